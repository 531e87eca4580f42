/**
 * `docker://[REGISTRY/]NAME[:TAG|@DIGEST]` taken apart. Pure.
 * @see OCI distribution-spec 1.1 "Pulling manifests"; docker/distribution reference grammar; rkt.md 2.16
 */
import { RuntimeError, printable } from '../../model/errors.ts';
import { isDigest, type Digest } from '../../model/ids.ts';

export interface RegistryReference {
  /** host[:port]; `docker.io` is the name, not the server, of Docker's */
  readonly registry: string;
  readonly repository: string;
  /** undefined when only a digest was given */
  readonly tag: string | undefined;
  readonly digest: Digest | undefined;
}

const part = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const repositoryGrammar = new RegExp(`^${part}(?:/${part})*$`);
const registryGrammar = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/;
const maxRepositoryBytes = 255;

/** True when the first component of a name is the name of a registry: it has a dot or a port, or is this machine. */
export const isRegistry = (component: string): boolean => /[.:[]/.test(component) || component === 'localhost';

/** @param text - with or without `docker:` or `docker://`. @throws ERR_IMAGE_REFERENCE saying which part is wrong */
export function parseRegistryReference(text: string, defaultRegistry: string): RegistryReference {
  const fail = (message: string, hint = 'docker://[REGISTRY/]NAME[:TAG|@DIGEST]'): never => {
    throw new RuntimeError('ERR_IMAGE_REFERENCE', `image reference ${JSON.stringify(printable(text))}: ${message}`, { hint });
  };
  const whole = text.replace(/^docker:(\/\/)?/, '');
  const at = whole.indexOf('@');
  const digest = at < 0 ? undefined : whole.slice(at + 1);
  const named = at < 0 ? whole : whole.slice(0, at);
  if (digest !== undefined && !isDigest(digest))
    fail(`${JSON.stringify(printable(digest))} is no digest`, 'a digest is sha256: and 64 hexadecimal digits');
  const slash = named.indexOf('/');
  const first = slash < 0 ? '' : named.slice(0, slash);
  const hasRegistry = slash >= 0 && isRegistry(first);
  const registry = (hasRegistry ? first : defaultRegistry).replace(/^(index|registry-1)\.docker\.io$/, 'docker.io');
  const rest = hasRegistry ? named.slice(slash + 1) : named;
  const colon = rest.indexOf(':');
  const tag = colon < 0 ? undefined : rest.slice(colon + 1);
  let repository = colon < 0 ? rest : rest.slice(0, colon);
  if (!registryGrammar.test(registry)) fail(`${JSON.stringify(printable(registry))} is no registry: HOST or HOST:PORT`);
  if (repository === '') fail('it names no repository');
  if (registry === 'docker.io' && !repository.includes('/')) repository = `library/${repository}`;
  if (!repositoryGrammar.test(repository))
    fail(
      `${JSON.stringify(printable(repository))} is no name of a repository`,
      repository === repository.toLowerCase() ? undefined : `names are lower-case: ${printable(repository.toLowerCase())}`,
    );
  if (repository.length > maxRepositoryBytes) fail(`the name is longer than ${maxRepositoryBytes} bytes`);
  if (tag !== undefined && !/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/.test(tag)) fail(`${JSON.stringify(printable(tag))} is no tag`);
  return { registry, repository, tag: tag ?? (digest === undefined ? 'latest' : undefined), digest: digest as Digest | undefined };
}

/** As people write it. */
export const shownReference = ({ registry, repository, tag, digest }: RegistryReference): string =>
  `${registry}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
