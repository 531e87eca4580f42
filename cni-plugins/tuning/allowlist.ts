/** Which settings the administrator lets configurations change: regular expressions, one a line; without the file, all. */
import { readText } from '../../src/host/files.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import { messageOf } from '../../src/model/errors.ts';
import type { Setting } from './conf.ts';

const allowlistFile = '/etc/cni/tuning/allowlist.conf';

/** Keys are matched as the configuration has them, IFNAME included, anywhere in the key. @throws CniError 7 */
export function refuseForbidden(settings: readonly Setting[]): void {
  const allowed = readAllowlist();
  if (allowed === undefined) return;
  const forbidden = settings.filter(({ key }) => !allowed.some(({ pattern }) => pattern.test(key))).map(({ key }) => key);
  if (forbidden.length > 0)
    throw new CniError(
      cniCode.config,
      `Sysctl ${forbidden.join(', ')} is not allowed. Only the following sysctls are allowed: [${allowed.map(({ line }) => line).join(' ')}]`,
      allowlistFile,
    );
}

/** Undefined: there is no list. @throws CniError 7 naming a line that is no expression: letting it out would allow less, or more, than is meant */
export function readAllowlist(): { readonly line: string; readonly pattern: RegExp }[] | undefined {
  let text: string | undefined;
  try {
    text = readText(allowlistFile);
  } catch (error) {
    throw new CniError(cniCode.io, `cannot read ${allowlistFile}: ${messageOf(error)}`);
  }
  return text
    ?.split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => ({ line, pattern: patternOf(line) }));
}

/**
 * An expression of Go's syntax as one of ours. They agree where the list needs them to; what they do not share (`[[:alpha:]]`, `\z`,
 * `(?s)`) is a syntax error in Unicode mode, so it cannot come to mean something else.
 */
export function patternOf(line: string): RegExp {
  const ignoresCase = line.startsWith('(?i)');
  const source = (ignoresCase ? line.slice(4) : line)
    // Go lets every punctuation mark be escaped, Unicode mode only those that mean something.
    .replaceAll(/\\([^A-Za-z0-9])/g, (_, mark: string) => `\\u{${(mark.codePointAt(0) ?? 0).toString(16)}}`)
    .replaceAll('(?P<', '(?<');
  try {
    return new RegExp(source, ignoresCase ? 'iu' : 'u');
  } catch (error) {
    throw new CniError(cniCode.config, `${allowlistFile}: ${JSON.stringify(line)} is not understood`, messageOf(error));
  }
}
