/** Names inside a layer: cleaned, bounded, never outside. Pure; names are binary strings. @see OCI image-spec 1.1 layer.md */
import { RuntimeError } from '../../model/errors.ts';
import { beyondLimit, type ImageLimits } from './limits.ts';
import { corrupt, shownName } from './tar-header.ts';

/** A place in a layer; both parts are empty for its root. */
export interface LayerPath {
  /** `a/b`, without `.`, `..`, double or outer slashes */
  readonly parent: string;
  readonly leaf: string;
}

/**
 * Splits the name of an entry or of a hard link's target. Absolute names are taken from the layer's root, as by every
 * reader. @throws ERR_LAYER_ESCAPE for a `..`, ERR_LAYER_LIMIT, ERR_LAYER_CORRUPT for a NUL or no name at all
 */
export function splitLayerPath(name: string, limits: ImageLimits, where: string): LayerPath {
  if (name === '') throw corrupt(`${where} has no name`);
  if (name.includes('\0')) throw corrupt(`${where} has a NUL byte in its name`);
  if (name.length > limits.maxPathBytes) throw beyondLimit('maxPathBytes', `${where} has a path of ${name.length} bytes`);
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  for (const part of parts) {
    if (part === '..') throw new RuntimeError('ERR_LAYER_ESCAPE', `${where} leads out of the layer by ".."`);
    if (part.length > limits.maxNameBytes) throw beyondLimit('maxNameBytes', `${where} has a name of ${part.length} bytes`);
  }
  const leaf = parts.pop() ?? '';
  return { parent: parts.join('/'), leaf };
}

/** What a leaf says about the layers below. */
export type Whiteout = { readonly kind: 'hide'; readonly name: string } | { readonly kind: 'opaque' } | { readonly kind: 'ignored' };

/** True for what is inside one of aufs's own directories. */
export const isAufsPath = (parent: string): boolean => parent.startsWith('.wh..wh.') || parent.includes('/.wh..wh.');

/** Reads `.wh.` names; undefined for an ordinary one. @throws ERR_LAYER_CORRUPT, ERR_LAYER_ESCAPE */
export function whiteoutOf(leaf: string, where: string): Whiteout | undefined {
  if (!leaf.startsWith('.wh.')) return undefined;
  if (leaf === '.wh..wh..opq') return { kind: 'opaque' };
  // What aufs kept for itself (.wh..wh.aufs, .wh..wh.plnk, .wh..wh.orph) means nothing to others.
  if (leaf.startsWith('.wh..wh.')) return { kind: 'ignored' };
  const name = leaf.slice('.wh.'.length);
  if (name === '') throw corrupt(`${where} hides a file without a name`);
  if (name === '.' || name === '..') throw new RuntimeError('ERR_LAYER_ESCAPE', `${where} hides ${JSON.stringify(shownName(name))}`);
  return { kind: 'hide', name };
}
