/** Image names and ids as people write them, in the one form the store knows them by. @see rkt.md 2.16; OCI distribution-spec 1.1 (names) */
import { isDigest, type Digest } from './ids.ts';

/** Where an image can come from. */
export const transports = ['oci', 'oci-archive', 'docker-archive', 'dir'] as const;
export type Transport = (typeof transports)[number];
export const isTransport = (word: string): word is Transport => (transports as readonly string[]).includes(word);

const host = '[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::[0-9]+)?';
const part = '[a-z0-9]+(?:(?:\\.|_{1,2}|-+)[a-z0-9]+)*';
const grammar = new RegExp(`^(?:${host}/)?${part}(?:/${part})*(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?$`);
const maxNameBytes = 200;

/**
 * `web` → `web:latest`, `docker.io/library/web:1` → `web:1`; undefined when `text` is not an image name
 * (a path, a reference with a transport, an id).
 */
export function canonicalImageName(text: string): string | undefined {
  if (text.length > maxNameBytes) return undefined;
  const colon = text.indexOf(':');
  if (colon > 0 && (isTransport(text.slice(0, colon)) || /^sha(?:256|512):/.test(text))) return undefined;
  const match = grammar.exec(text);
  if (match === null) return undefined;
  const name = text.replace(/^(?:index\.)?docker\.io\/(?:library\/)?/, '');
  return match[1] === undefined ? `${name}:latest` : name;
}

/** `sha256:…` or `sha256-…` (an OCI or Docker image), `sha512…` (an ACI), whole or its first digits. */
export interface ImageIdPrefix {
  readonly algorithm: 'sha256' | 'sha512';
  readonly hex: string;
  /** the whole id, when all digits are there */
  readonly id: Digest | undefined;
}

/** Reads an image id or its prefix, also behind `name@`; undefined when `text` is something else. */
export function imageIdPrefix(text: string): ImageIdPrefix | undefined {
  const match = /^(?:[^/][^@]*@)?(?:sha256[:-]([0-9a-fA-F]{0,64})|sha512[:-]([0-9a-fA-F]{0,128}))$/.exec(text);
  if (match === null) return undefined;
  const algorithm = match[2] === undefined ? 'sha256' : 'sha512';
  const hex = (match[1] ?? match[2] ?? '').toLowerCase();
  const id = `${algorithm}:${hex}`;
  return { algorithm, hex, id: isDigest(id) ? id : undefined };
}

/** A reference to a registry, whatever it holds: `docker://x` and rkt's `docker:x`. */
export const isRegistryText = (text: string): boolean => text.startsWith('docker:');

/**
 * File name by which the store knows what `text` (`docker://…`) stood for when it was last fetched. Apart from names: an archive may call
 * its image `nginx`, but it did not come from a registry. Undefined when `text` can be no such reference.
 */
export function registrySourceKey(text: string): string | undefined {
  const rest = text.replace(/^docker:(\/\/)?/, '');
  if (rest.length > maxNameBytes || !/^[A-Za-z0-9[][A-Za-z0-9[\]._:@/-]*$/.test(rest)) return undefined;
  const whole = /[:@][^/]*$/.test(rest) ? rest : `${rest}:latest`;
  return `docker:${whole.replaceAll('/', '%2F')}`;
}
