/** Which credentials to try, and in which order. */
import type { Configuration } from '../../model/configuration.ts';
import { bestKey, domainKey, registryKey, type Credential } from '../../model/credentials.ts';
import { authFiles, credentialsInFile, type Environment } from './auth-files.ts';

/** What {@link credentialsFor} needs besides the configuration. */
export interface CredentialOptions {
  /** default: this process's */
  readonly env?: Environment;
  /** hears, as text for people, what could not be read; the search goes on */
  readonly problem?: (text: string) => void;
}

/**
 * Credentials for a registry (`repository` given) or for any other server, best first; empty: go there as nobody.
 * A registry: the file of REGISTRY_AUTH_FILE, then rkt's `dockerAuth` and `auth` kinds, then podman's and Docker's files, credential helpers included
 * (they are run by this call: ask only when a server wants a credential). Any other server: rkt's `auth` kind.
 * `registryOrDomain` is `host[:port]`; whoever follows a redirect to another host asks again for that one.
 */
export function credentialsFor(
  config: Pick<Configuration, 'auth' | 'dockerAuth'>,
  registryOrDomain: string,
  repository?: string,
  { env = process.env, problem = () => undefined }: CredentialOptions = {},
): Credential[] {
  const domain = config.auth.get(domainKey(registryOrDomain));
  if (repository === undefined) return domain === undefined ? [] : [domain];
  const ownKey = bestKey([...config.dockerAuth.keys()], registryKey(registryOrDomain), undefined);
  const own = [ownKey === undefined ? undefined : config.dockerAuth.get(ownKey), domain].filter((credential) => credential !== undefined);
  const files = authFiles(env);
  const inFiles = (): Credential[] => files.flatMap((file) => credentialsInFile(file, registryOrDomain, repository, env, problem));
  return files.some(({ required }) => required) ? [...inFiles(), ...own] : [...own, ...inFiles()];
}
