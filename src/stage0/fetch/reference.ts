/**
 * What the user wrote → what is meant. Pure: whether a path exists is asked of the caller.
 * @see rkt.md 1.3, 2.16; containers-transports(5) for the grammar of oci:, oci-archive:, docker-archive:, dir:
 */
import { parseAciName, type AciName } from '../../model/aci-name.ts';
import { RuntimeError, printable } from '../../model/errors.ts';
import {
  canonicalImageName,
  imageIdPrefix,
  isRegistryText,
  isTransport,
  transports,
  type ImageIdPrefix,
  type Transport,
} from '../../model/image-name.ts';
import { didYouMean } from '../../model/ids.ts';

/** `transport` undefined: to be found out by looking at `path`. `ref`: which image in there. */
export interface PathReference {
  readonly kind: 'path';
  readonly transport: Transport | undefined;
  readonly path: string;
  readonly ref: string | undefined;
}
export type ImageReference =
  | PathReference
  | { readonly kind: 'name'; readonly name: string }
  /** an ACI on a server */
  | { readonly kind: 'url'; readonly url: string }
  /** an ACI by name and labels */
  | { readonly kind: 'aci'; readonly wanted: AciName }
  /** what `docker://` means is up to the registry's part */
  | { readonly kind: 'registry' }
  | ({ readonly kind: 'id' } & Pick<ImageIdPrefix, 'algorithm' | 'hex'>);

const transportHint = `images come from docker://[REGISTRY/]NAME[:TAG], ${transports.map((transport) => `${transport}:PATH${transport === 'dir' ? '' : '[:REF]'}`).join(', ')}, a path, or by the name they have in the store`;

/** @throws ERR_IMAGE_REFERENCE saying what to write instead */
export function parseReference(text: string, exists: (path: string) => boolean): ImageReference {
  if (text === '') throw new RuntimeError('ERR_IMAGE_REFERENCE', 'the image reference is empty', { hint: transportHint });
  if (text.includes('\0')) throw new RuntimeError('ERR_IMAGE_REFERENCE', 'the image reference holds a NUL byte');
  if (isRegistryText(text)) return { kind: 'registry' };
  const prefix = imageIdPrefix(text);
  if (prefix !== undefined) return { kind: 'id', algorithm: prefix.algorithm, hex: prefix.hex };
  const colon = text.indexOf(':');
  const word = colon < 0 ? '' : text.slice(0, colon);
  if (isTransport(word)) {
    const rest = text.slice(colon + 1);
    if (rest === '') throw new RuntimeError('ERR_IMAGE_REFERENCE', `image reference "${word}:" names no path`, { hint: `${word}:PATH[:REF]` });
    return { kind: 'path', transport: word, ...splitPath(rest, exists) };
  }
  if (/^(\.{0,2}\/|\.{1,2}$)/.test(text)) return { kind: 'path', transport: undefined, ...splitPath(text, exists) };
  if (text.startsWith('file:')) return { kind: 'path', transport: undefined, ...splitPath(pathOfFileUrl(text), exists) };
  if (/^https?:\/\/[^/]/i.test(text)) return { kind: 'url', url: text };
  if (/^[a-z0-9][^,=]*,[^,=]+=/.test(text) && !exists(text)) return { kind: 'aci', wanted: aciName(text) };
  if (/^(https?|containers-storage|docker-daemon):/.test(text)) throw foreign(text, word);
  const name = canonicalImageName(text);
  if (name !== undefined && !/\.(aci|tar|tgz|oci|tar\.(gz|zst))$/.test(text)) {
    const meant = colon < 0 || word.length < 3 || text.slice(colon + 1) === 'latest' ? undefined : didYouMean(word, transports);
    if (meant !== undefined && exists(splitPath(text.slice(colon + 1), exists).path)) throw unknownTransport(word, meant);
    return { kind: 'name', name };
  }
  const split = splitPath(text, exists);
  if (exists(split.path)) return { kind: 'path', transport: undefined, ...split };
  const meant = didYouMean(word, transports);
  if (meant !== undefined) throw unknownTransport(word, meant);
  if (name !== undefined) return { kind: 'path', transport: undefined, ...split };
  throw new RuntimeError('ERR_IMAGE_REFERENCE', `image reference ${JSON.stringify(printable(text))} is neither a name nor a path`, {
    hint: text === text.toLowerCase() ? transportHint : `names are lower-case: ${text.toLowerCase()}`,
  });
}

/** @throws ERR_IMAGE_REFERENCE */
function aciName(text: string): AciName {
  const wanted = parseAciName(text);
  if (typeof wanted !== 'string') return wanted;
  throw new RuntimeError('ERR_IMAGE_REFERENCE', `${JSON.stringify(printable(text))} names no ACI: ${printable(wanted)}`, {
    hint: 'HOST/NAME[:VERSION][,LABEL=VALUE]…',
  });
}

/** `file:///a%20b` → `/a b`; `file:a` as rkt took it. @throws ERR_IMAGE_REFERENCE */
function pathOfFileUrl(text: string): string {
  const rest = text.replace(/^file:(\/\/(localhost(?=\/))?)?/, '');
  let path: string;
  try {
    path = decodeURIComponent(rest);
  } catch (cause) {
    throw new RuntimeError('ERR_IMAGE_REFERENCE', `${JSON.stringify(printable(text))} is no file: address`, { cause, hint: 'write the path alone' });
  }
  if (path === '' || path.includes('\0')) throw new RuntimeError('ERR_IMAGE_REFERENCE', 'file: names no path', { hint: 'file:///PATH' });
  return path;
}

/** A path may hold colons, and so may what comes after it: the longest part that exists is the path; none: all up to the first colon. */
function splitPath(text: string, exists: (path: string) => boolean): { path: string; ref: string | undefined } {
  for (let end = text.length; end > 0; end = text.lastIndexOf(':', end - 1)) {
    if (exists(text.slice(0, end))) return { path: text.slice(0, end), ref: text.slice(end + 1) || undefined };
  }
  const [path = text] = text.split(':', 1);
  return path === '' ? { path: text, ref: undefined } : { path, ref: text.slice(path.length + 1) || undefined };
}

function unknownTransport(word: string, meant: string): RuntimeError {
  return new RuntimeError('ERR_IMAGE_REFERENCE', `no such image source "${printable(word)}"`, { hint: `did you mean ${meant}:?` });
}

function foreign(text: string, word: string): RuntimeError {
  const hints: Readonly<Record<string, string>> = {
    http: 'http://HOST/PATH.aci',
    https: 'https://HOST/PATH.aci',
  };
  const hint = hints[word] ?? `skopeo copy ${text} oci:DIR:TAG && rkt run oci:DIR:TAG`;
  return new RuntimeError('ERR_IMAGE_REFERENCE', `rkt does not read images from "${word}:"`, { hint: printable(hint) });
}
