/**
 * A pathWhitelist, exactly: the listed paths and the directories that lead to them, in a layer of its own. An overlay mount
 * could only hide by name what is below, and would hide it from the images that are put on top and beside.
 * Files are linked from the layers they come from: they cost no space.
 * @see appc 0.8.11 spec/ace.md "Filesystem Setup", spec/aci.md "pathWhitelist"
 */
import { lstatSync, type Stats } from 'node:fs';
import { AT_FDCWD, linkat } from '../../host/linux.ts';
import { nodePath, rawName } from '../../host/names.ts';
import { isErrno } from '../../model/errors.ts';
import type { Digest } from '../../model/ids.ts';
import type { LayerRecord } from '../../state/images/records.ts';
import type { ImageStore } from '../../state/images/store.ts';
import { digestOf } from '../fetch/source-image.ts';
import { contributors, directoryFacts, makeCorrections, takeFacts, type UnpackedTree } from '../render/corrections.ts';

/** What one sees at a path, and in which layer. */
interface Seen {
  readonly path: string;
  readonly root: string;
  readonly stat: Stats;
}

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(nodePath(rawName(path)));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** `layers`: top first. A link is never followed: what is behind one is not at this path. */
function lookUp(layers: readonly UnpackedTree[], path: string): Seen | undefined {
  const slash = path.lastIndexOf('/');
  for (const { root } of contributors(layers, slash < 0 ? '' : path.slice(0, slash))) {
    const stat = statOf(`${root}/${path}`);
    if (stat !== undefined) return { path, root, stat };
  }
  return undefined;
}

/** JSON is text, file names are bytes. */
const asBytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
const cleaned = (path: string): string =>
  asBytes(path)
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');
const ancestors = (path: string): string[] => {
  const parts = path.split('/');
  return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('/'));
};

/** The layer that shows of `records` (bottom first, all in the store) what `whitelist` lets through; what it lists and nobody has is no fault. */
export async function whitelistLayer(store: ImageStore, records: readonly LayerRecord[], whitelist: readonly string[]): Promise<LayerRecord> {
  const paths = [...new Set(whitelist.map(cleaned))].filter((path) => path !== '').sort();
  const layers = records.map(({ diffId }) => diffId);
  // Named by what it is made of: the same parts and the same list give the same layer.
  const diffId: Digest = digestOf(Buffer.from(JSON.stringify({ pathWhitelist: paths, layers })));
  const topDown = records.toReversed();
  const roots = store.layerPaths({ layers });
  const trees = topDown.map(({ implicit, whitedOut }, i): UnpackedTree => ({ root: roots[i] ?? '', implicit, whitedOut }));
  return store.addLayer(diffId, async ({ root }) => {
    const { entries, bytes } = fill(root, trees, paths);
    // What the root is like says the topmost that lists it.
    const like = topDown.findIndex(({ listsRoot }) => listsRoot === true);
    const from = trees[Math.max(0, like)];
    if (from !== undefined) takeFacts(from.root, root);
    return { tarBytes: bytes, entries, opaqueRoot: false, implicit: [], whitedOut: [], listsRoot: like >= 0 };
  });
}

function fill(root: string, trees: readonly UnpackedTree[], paths: readonly string[]): { readonly entries: number; readonly bytes: number } {
  const seen = paths.flatMap((path) => lookUp(trees, path) ?? []);
  const directories = new Set(seen.flatMap(({ path, stat }) => (stat.isDirectory() ? [...ancestors(path), path] : ancestors(path))));
  const facts = directoryFacts(trees, [...directories].sort());
  const leaves = seen.filter(({ stat }) => !stat.isDirectory());
  makeCorrections(root, facts, () => {
    for (const { root: from, path } of leaves) linkat(AT_FDCWD, rawName(`${from}/${path}`), AT_FDCWD, rawName(`${root}/${path}`));
  });
  return { entries: facts.length + leaves.length, bytes: leaves.reduce((total, { stat }) => total + (stat.isFile() ? stat.size : 0), 0) };
}
