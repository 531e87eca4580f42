/** Meta discovery: a name → where its images and the keys of its owner are. @see appc 0.8.11; rkt.md 2.16 */
import { now } from '../../host/clock.ts';
import type { AciName } from '../../model/aci-name.ts';
import type { Credential } from '../../model/credentials.ts';
import { RuntimeError, messageOf, printable } from '../../model/errors.ts';
import { authorizationFor } from '../http/authorization.ts';
import type { HttpClient } from '../http/client.ts';
import type { DiscoveryTag } from './meta.ts';
import { completeLabels, expandTemplate, type AciEndpoint } from './template.ts';

export type { AciEndpoint };

/** How servers are asked. */
export interface ServerAccess {
  readonly http: HttpClient;
  /** for `host[:port]` */
  readonly credential: (host: string) => Credential | undefined;
  /** pages and keys may come without encryption */
  readonly insecureHttp: boolean;
  /** nobody but the owner of a domain can have sent what comes from there: everything is encrypted and every certificate checked */
  readonly isAuthentic: boolean;
}

/** Pages have their tags at the top, but templates of blogs are generous. */
const maxPageBytes = 4 << 20;

/**
 * Places to fetch `wanted` from, best first; none of them was asked yet.
 * @throws ERR_DISCOVERY naming every page that was asked and what it answered; `cause`: why the last one did not, if none did
 */
export async function discoverImage(wanted: AciName, access: ServerAccess, arch: string = process.arch): Promise<AciEndpoint[]> {
  const labels = completeLabels(wanted, arch);
  return walk(wanted.name, access, 'an image', (tags) =>
    tags
      .filter(({ name, prefix }) => name === 'ac-discovery' && wanted.name.startsWith(prefix))
      .flatMap(({ target }) => expandTemplate(target, wanted.name, labels) ?? [])
      .filter(({ aci, signature }) => isWebUrl(aci, access) && isWebUrl(signature, access)),
  );
}

/** Locations of the public keys for names below `prefix`. @throws ERR_DISCOVERY */
export const discoverKeys = async (prefix: string, access: ServerAccess): Promise<string[]> =>
  walk(prefix, access, 'public keys', (tags) => [
    ...new Set(
      tags
        .filter((tag) => tag.name === 'ac-discovery-pubkeys' && prefix.startsWith(tag.prefix) && isWebUrl(tag.target, access))
        .map(({ target }) => target),
    ),
  ]);

const isWebUrl = (text: string, { insecureHttp }: ServerAccess): boolean => {
  const protocol = URL.canParse(text) ? new URL(text).protocol : '';
  return protocol === 'https:' || (protocol === 'http:' && insecureHttp);
};

/** Asks for the name itself, then for what is left of it without its last part, and so on; the first page that helps counts. */
async function walk<T>(name: string, access: ServerAccess, what: string, choose: (tags: readonly DiscoveryTag[]) => T[]): Promise<T[]> {
  const parts = name.split('/');
  const { discoveryTags } = await import('./meta.ts');
  const attempts: string[] = [];
  let isAnswered = false;
  let silence: RuntimeError | undefined;
  for (let length = parts.length; length > 0; length--) {
    const place = parts.slice(0, length).join('/');
    for (const scheme of access.insecureHttp ? ['https', 'http'] : ['https']) {
      const text = `${scheme}://${place}?ac-discovery=1`;
      if (!URL.canParse(text)) {
        attempts.push(`${scheme}://${place}: no host is called that`);
        continue;
      }
      const url = new URL(text);
      const page = await readPage(url, access);
      if (page.html === undefined) {
        attempts.push(`${url.origin}${url.pathname}: ${page.failure}`);
        isAnswered ||= page.error === undefined;
        silence = page.error ?? silence;
        continue;
      }
      isAnswered = true;
      const tags = discoveryTags(page.html);
      const chosen = choose(tags);
      if (chosen.length > 0) return chosen;
      attempts.push(`${url.origin}${url.pathname}: ${tags.length === 0 ? 'no discovery tags' : `${tags.length} discovery tags, none that helps`}`);
      break;
    }
  }
  throw new RuntimeError('ERR_DISCOVERY', `discovery finds no place of ${what} for ${printable(name)}`, {
    details: attempts.map((line) => printable(line)),
    ...(isAnswered || silence === undefined ? {} : { cause: silence }),
    hint: access.insecureHttp ? 'is the name spelled right?' : 'is the name spelled right? A server without TLS needs --insecure-options=http',
  });
}

async function readPage(
  url: URL,
  access: ServerAccess,
): Promise<{ readonly html: string } | { readonly html?: undefined; readonly failure: string; readonly error?: RuntimeError }> {
  try {
    const authorized = authorizationFor(access.credential(url.host), url, now());
    const { status, body } = await access.http.document(url, {
      ...authorized,
      headers: { accept: 'text/html', ...authorized.headers },
      maxBytes: maxPageBytes,
    });
    return status === 200 ? { html: body.toString('utf8') } : { failure: `status ${status}` };
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    return { failure: messageOf(error), error };
  }
}
