/** What opens a registry or a server, and for which places it is meant. Secrets are in here: never print one, see {@link withoutSecret}. */

/** `source` says where it was found, for messages about refused credentials: a path, or a program. */
export type Credential =
  | { readonly kind: 'basic'; readonly user: string; readonly password: string; readonly source: string }
  | { readonly kind: 'bearer'; readonly token: string; readonly source: string }
  /** OAuth2 refresh token, which a token server exchanges (Docker's `identitytoken`) */
  | { readonly kind: 'identity'; readonly token: string; readonly source: string }
  /** requests are signed with AWS signature version 4; without a region it is us-east-1 */
  | {
      readonly kind: 'aws';
      readonly accessKeyId: string;
      readonly secretAccessKey: string;
      readonly region: string | undefined;
      readonly source: string;
    };

/** A credential as it may be told: what it is and where it came from. */
export function withoutSecret(credential: Credential): string {
  switch (credential.kind) {
    case 'basic':
      return `user ${JSON.stringify(credential.user)} of ${credential.source}`;
    case 'bearer':
      return `the token of ${credential.source}`;
    case 'identity':
      return `the identity token of ${credential.source}`;
    case 'aws':
      return `AWS key ${JSON.stringify(credential.accessKeyId)} of ${credential.source}`;
    default:
      return credential satisfies never;
  }
}

/** Docker's registry has three names. */
const dockerHosts: readonly string[] = ['docker.io', 'index.docker.io', 'registry-1.docker.io'];

/**
 * A key of an authentication file (`https://index.docker.io/v1/`, `quay.io`, `reg:5000/team`) or a registry's name → `host[:port][/path]`,
 * in the form both are compared in.
 */
export function registryKey(text: string): string {
  // Docker writes whole URLs, whose path (/v1/, /v2/) is the API's; a path without a scheme is a repository (containers-auth.json).
  const url = /^https?:\/\/([^/]*)/i.exec(text);
  const [host = '', ...path] = (url?.[1] ?? text.replace(/\/+$/, '')).split('/');
  const lower = host.toLowerCase();
  return [dockerHosts.includes(lower) ? 'docker.io' : lower, ...path].join('/');
}

/**
 * The entry of `keys` that fits `registry/repository` best: the longest path first, at last the registry alone.
 * @see containers-auth.json(5)
 */
export function bestKey<K extends string>(keys: readonly K[], registry: string, repository: string | undefined): K | undefined {
  const parts = [registryKey(registry), ...(repository ?? '').split('/').filter((part) => part !== '')];
  for (let length = parts.length; length > 0; length--) {
    const wanted = parts.slice(0, length).join('/');
    const found = keys.find((key) => registryKey(key) === wanted);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A domain as servers are compared by: lower case, and without the port that https has anyway. */
export const domainKey = (domain: string): string => domain.toLowerCase().replace(/:443$/, '');
