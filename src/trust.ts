/** `rkt config` and `rkt trust`: the table of contents for what is configured and who is trusted. */
import { isIdentifier } from './model/aci-name.ts';
import { RuntimeError } from './model/errors.ts';
import type { Settings } from './model/settings.ts';
import type { NewlyTrusted, Reviewer } from './stage0/discovery/trust-keys.ts';
import { loadConfiguration } from './state/config/load.ts';

export { configurationDocument } from './state/config/document.ts';
export { loadConfiguration };
export { configuredDataDir } from './state/config/paths.ts';

export interface KeyRequest {
  /** names the keys count for; undefined: all */
  readonly prefix: string | undefined;
  /** files and URLs; none: the prefix is asked for them by discovery */
  readonly locations: readonly string[];
  readonly insecureHttp: boolean;
  readonly skipReview: boolean;
}

/** Makes public keys trusted. @returns what is trusted now, and the locations that the person did not believe. @throws ERR_TRUST_KEY, ERR_DISCOVERY, ERR_HTTP_*, ERR_CONFIG_INVALID */
export async function trustPublicKeys(
  settings: Settings,
  { prefix, locations, insecureHttp, skipReview }: KeyRequest,
  reviewer: Reviewer,
): Promise<{ readonly trusted: readonly NewlyTrusted[]; readonly refused: readonly string[] }> {
  if (prefix !== undefined && !isIdentifier(prefix))
    throw new RuntimeError('ERR_TRUST_KEY', `${JSON.stringify(prefix)} is no prefix of image names`, {
      hint: 'for example example.com or example.com/team: lower-case letters and digits, single - . _ ~ / between them',
    });
  const { serverAccess } = await import('./stage0/discovery/access.ts');
  const { discoverKeys } = await import('./stage0/discovery/discover.ts');
  const { trustKeys } = await import('./stage0/discovery/trust-keys.ts');
  const insecureKeys = settings.insecure.has('pubkey');
  const access = serverAccess(settings, loadConfiguration(settings), {
    insecureHttp: insecureHttp || insecureKeys,
    insecureTls: insecureKeys,
    onWait: (text) => reviewer.warn(text),
  });
  using _http = access.http;
  const review = skipReview ? 'skip' : settings.trustKeysFromHttps ? 'skip-https' : 'ask';
  const found = locations.length > 0 || prefix === undefined ? locations : await discoverKeys(prefix, access);
  return await trustKeys(settings, { prefix, locations: found, review }, access, reviewer);
}
