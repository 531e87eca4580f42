/** Stored images in other forms: an ACI, an OCI layout, a plain directory, a manifest. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { AppcImage } from '../model/appc/image.ts';
import { RuntimeError } from '../model/errors.ts';
import type { Digest } from '../model/ids.ts';
import type { StoredImage } from '../model/oci.ts';
import { appcView, ociConfigOf, withoutLayers } from '../stage0/pack/appc-view.ts';
import { requireLayoutPlace, writeOciLayout, type PackedImage } from '../stage0/pack/oci-layout.ts';
import { outputFault, writeOutputDirectory, writeOutputFile } from '../stage0/pack/output.ts';
import { TarWriter, fileSink } from '../stage0/pack/tar-writer.ts';
import { packTree } from '../stage0/pack/tree.ts';
import { copyLayers } from '../stage1/flavors/oci/copy-layers.ts';
import { ociDocuments, readBlob } from '../state/images/documents.ts';
import { openLease } from '../state/images/locks.ts';
import type { ImageStore } from '../state/images/store.ts';
import { withMergedView } from './merged-view.ts';

/** Where to, as the user writes it. */
export type ImageTarget =
  | { readonly kind: 'aci' | 'oci-archive'; readonly path: string }
  | { readonly kind: 'oci'; readonly path: string; readonly tag: string | undefined };

/** `OUT.aci`, `OUT.oci.tar`, `oci:DIR[:TAG]`, `oci-archive:FILE`. @throws ERR_CLI_USAGE */
export function parseTarget(text: string): ImageTarget {
  const [, transport = '', rest = ''] = /^(oci|oci-archive):(.+)$/.exec(text) ?? [];
  if (transport === 'oci-archive') return { kind: 'oci-archive', path: rest };
  if (transport === 'oci') {
    const [, path = rest, tag] = /^(.+):([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})$/.exec(rest) ?? [];
    return { kind: 'oci', path, tag };
  }
  if (text.endsWith('.aci')) return { kind: 'aci', path: text };
  if (text.endsWith('.oci.tar')) return { kind: 'oci-archive', path: text };
  throw new RuntimeError('ERR_CLI_USAGE', `${JSON.stringify(text)} does not say in what form`, {
    hint: 'write OUT.aci, OUT.oci.tar, oci:DIR[:TAG] or oci-archive:FILE',
  });
}

/** Does `work` with an image whose layers nobody removes meanwhile. @throws ERR_IMAGE_NOT_FOUND when it went before */
function withLayers<T>(store: ImageStore, image: StoredImage, more: readonly Digest[], work: () => T): T {
  using lease = openLease(store.dataDir);
  for (const layer of [...image.layers, ...more]) lease.keep(layer);
  if (store.image(image.id) === undefined) throw new RuntimeError('ERR_IMAGE_NOT_FOUND', `image ${image.name} was removed from the store meanwhile`);
  return work();
}

/** The manifest of an ACI as it came; of another image what it would be as an ACI. `keepConfig`: with what is needed to make the same image of it again */
export function appcManifest(dataDir: string, image: StoredImage, keepConfig: boolean): AppcImage {
  if (image.appc !== undefined) return readBlob(dataDir, image.appc.manifest) as AppcImage;
  const { config, configDigest } = ociDocuments(dataDir, image);
  return appcView({ image, config, configDigest, keepConfig });
}

/** The manifest of an archive that holds everything: nothing is missing from it any more, and nothing is to be left out. */
export function wholeManifest(dataDir: string, image: StoredImage): AppcImage {
  const { dependencies, pathWhitelist, ...manifest } = appcManifest(dataDir, image, true);
  void dependencies;
  void pathWhitelist;
  return manifest;
}

/** Writes an image to where `target` says. @throws ERR_IMAGE_OUTPUT, ERR_STORE_IO */
export function writeImage(store: ImageStore, image: StoredImage, target: ImageTarget, overwrite: boolean): void {
  switch (target.kind) {
    case 'aci':
      withLayers(store, image, [], () => writeOutputFile(target.path, overwrite, (fd) => writeAci(store, image, fd)));
      return;
    case 'oci':
      requireLayoutPlace(target.path, resolve(target.path));
      withLayers(store, image, diffIdsOf(store, image), () => writeLayout(store, image, target.path, target.tag ?? tagOf(image.name)));
      return;
    case 'oci-archive':
      withLayers(store, image, diffIdsOf(store, image), () =>
        writeOutputFile(target.path, overwrite, (fd) => writeOciArchive(store, image, target.path, fd)),
      );
  }
}

/** appc 0.8.11 spec/aci.md "Image Archives": the manifest, then everything below rootfs/. */
function writeAci(store: ImageStore, image: StoredImage, fd: number): void {
  const manifest = wholeManifest(store.dataDir, image);
  withMergedView(store, image.layers, (root) => writeTreeAsAci(manifest, root, fd));
}

/** An ACI of the tree at `root`, to `fd`. */
export function writeTreeAsAci(manifest: AppcImage, root: string, fd: number): void {
  const bytes = Buffer.from(JSON.stringify(manifest));
  const tar = new TarWriter(fileSink(fd));
  tar.entry({ name: 'manifest', type: 'file', mode: 0o644, uid: 0, gid: 0, mtimeNs: 0n, bytes: bytes.length });
  tar.data(bytes);
  packTree(root, { prefix: 'rootfs/' }, tar);
  tar.finish();
}

/** A new layout is there as a whole or not at all; one that was there stays what it is until its index is replaced. */
function writeLayout(store: ImageStore, image: StoredImage, written: string, tag: string): void {
  const write = (directory: string): void => void writeOciLayout(directory, tag, packed(store, image));
  const path = resolve(written);
  if (!existsSync(path)) {
    writeOutputDirectory(written, false, write);
    return;
  }
  try {
    write(path);
  } catch (error) {
    throw outputFault(written, error);
  }
}

function writeOciArchive(store: ImageStore, image: StoredImage, beside: string, fd: number): void {
  const directory = mkdtempSync(join(dirname(resolve(beside)), '.rkt-layout-'));
  try {
    writeOciLayout(directory, tagOf(image.name), packed(store, image));
    const tar = new TarWriter(fileSink(fd));
    packTree(directory, { prefix: '' }, tar);
    tar.finish();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const tagOf = (name: string): string => /:([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})$/.exec(name)?.[1] ?? 'latest';

const diffIdsOf = (store: ImageStore, image: StoredImage): readonly Digest[] =>
  image.appc === undefined ? ociDocuments(store.dataDir, image).diffIds : image.appc.rootfs;

/** The layers an image was made of, when all of them are still there; else those one can see. */
function packed(store: ImageStore, image: StoredImage): PackedImage {
  const own = diffIdsOf(store, image);
  const layers = (own.length > 0 && own.every((layer) => store.layer(layer) !== undefined) ? own : image.layers).map((diffId) => {
    const [path = ''] = store.layerPaths({ layers: [diffId] });
    const record = store.layer(diffId);
    const layer = { opaqueRoot: record?.opaqueRoot ?? false, listsRoot: record?.listsRoot ?? true, implicit: record?.implicit ?? [] };
    return (tar: TarWriter): void => packTree(path, { prefix: '', layer }, tar);
  });
  if (image.appc !== undefined) return { config: ociConfigOf(appcManifest(store.dataDir, image, false), image), history: undefined, layers };
  const { config } = ociDocuments(store.dataDir, image);
  return { config: withoutLayers(config), history: config['history'], layers };
}

export interface RenderOptions {
  readonly rootfsOnly: boolean;
  readonly overwrite: boolean;
  /** an ACI without what it depends on */
  readonly ownOnly: boolean;
}

/** Puts an image's root file system, and its manifest beside it, into a directory. Files with several names keep them. @throws ERR_IMAGE_OUTPUT */
export function renderImage(store: ImageStore, image: StoredImage, directory: string, { rootfsOnly, overwrite, ownOnly }: RenderOptions): void {
  const layers = ownOnly && image.appc !== undefined && store.layer(image.id) !== undefined ? [image.id] : image.layers;
  withLayers(store, image, layers, () =>
    writeOutputDirectory(directory, overwrite, (target) => {
      const rootfs = rootfsOnly ? target : join(target, 'rootfs');
      if (!rootfsOnly) {
        mkdirSync(rootfs);
        writeFileSync(join(target, 'manifest'), JSON.stringify(appcManifest(store.dataDir, image, false)));
      }
      withMergedView(store, layers, (root) => copyLayers([root], rootfs));
    }),
  );
}
