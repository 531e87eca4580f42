/**
 * The archive of an ACI, read in one pass: its manifest, its root file system into a directory, and its id, which is the
 * hash of what is inside the compression. There is nothing else in an ACI, and what else there is is refused.
 * @see appc 0.8.11 spec/aci.md "Image Archives", "Image ID"
 */
import { createHash } from 'node:crypto';
import { compressionOf, decompress } from '../../host/decompress.ts';
import { checkImageManifest, type AppcImage } from '../../model/appc/image.ts';
import { RuntimeError, isCode } from '../../model/errors.ts';
import type { Digest } from '../../model/ids.ts';
import { beginningOf, chunksOf, type ByteRange } from '../fetch/image-files.ts';
import { checkRatio, type ImageLimits } from '../render/limits.ts';
import { shownName, type TarEntry } from '../render/tar-header.ts';
import { TarReader, type TarHandler } from '../render/tar.ts';
import { LayerUnpacker, type UnpackedLayer } from '../render/unpack.ts';

/** How a manifest is called in messages about it. */
const manifestOf = (what: string): string => `the manifest of ${what}`;

export interface AciManifest {
  readonly manifest: AppcImage;
  /** as it stands in the archive */
  readonly manifestBytes: Buffer;
}

/** What an unpacked ACI turned out to be. */
export interface UnpackedAci extends AciManifest {
  readonly id: Digest;
  readonly layer: UnpackedLayer;
  /** of the uncompressed archive */
  readonly tarBytes: number;
}

/** Tells the two things in an ACI apart; `rootfs` hears of the second with names as they are in the app. */
class AciMembers implements TarHandler {
  manifest: AciManifest | undefined;
  hasRootfs = false;
  #receiving: 'manifest' | 'rootfs' | undefined;
  #parts: Buffer[] = [];

  constructor(
    readonly what: string,
    readonly limits: ImageLimits,
    readonly rootfs: TarHandler | undefined,
  ) {}

  entry(entry: TarEntry): void {
    this.#receiving = undefined;
    const where = `${this.what}: entry ${JSON.stringify(shownName(entry.name))}`;
    const [top, ...below] = partsOf(entry.name, where);
    if (top === 'manifest' && below.length === 0) {
      if (entry.type !== 'file') throw new RuntimeError('ERR_IMAGE_INVALID', `${where} is a ${entry.type}, and should be a file`);
      if (this.manifest !== undefined) throw new RuntimeError('ERR_IMAGE_INVALID', `${where} is there for the second time`);
      if (entry.bytes > this.limits.maxDocumentBytes) throw new RuntimeError('ERR_LAYER_LIMIT', `${manifestOf(this.what)} has ${entry.bytes} bytes`);
      this.#receiving = 'manifest';
    } else if (top === 'rootfs') {
      this.hasRootfs = true;
      this.#receiving = 'rootfs';
      this.rootfs?.entry({ ...entry, name: below.join('/') || '.', linkName: entry.type === 'hardlink' ? targetOf(entry, where) : entry.linkName });
    } else if (top !== undefined || entry.type !== 'directory') {
      throw new RuntimeError('ERR_IMAGE_INVALID', `${where} is beside rootfs: an ACI has a manifest and a rootfs, and nothing else`);
    }
  }

  data(chunk: Buffer, position: number): void {
    if (this.#receiving === 'manifest') this.#parts.push(Buffer.from(chunk));
    else if (this.#receiving === 'rootfs') this.rootfs?.data(chunk, position);
  }

  end(entry: TarEntry): void {
    if (this.#receiving === 'rootfs') this.rootfs?.end(entry);
    if (this.#receiving !== 'manifest') return;
    const manifestBytes = Buffer.concat(this.#parts);
    if (manifestBytes.length !== entry.bytes) throw new RuntimeError('ERR_IMAGE_INVALID', `${manifestOf(this.what)} has holes`);
    // At once: what does not even say what it is need not be unpacked.
    this.manifest = { manifest: checkImageManifest(manifestBytes, manifestOf(this.what)), manifestBytes };
  }
}

/** `./rootfs//etc/` → `rootfs`, `etc` */
function partsOf(name: string, where: string): string[] {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw new RuntimeError('ERR_LAYER_ESCAPE', `${where} leads out of the image by ".."`);
  return parts;
}

function targetOf({ linkName }: TarEntry, where: string): string {
  const [top, ...below] = partsOf(linkName, `${where}: its target`);
  if (top !== 'rootfs')
    throw new RuntimeError('ERR_LAYER_ESCAPE', `${where} is a hard link to ${JSON.stringify(shownName(linkName))}, which is not in rootfs`);
  return below.join('/') || '.';
}

/** Reads an ACI to its end, the root file system into `root`, an empty directory. @throws ERR_IMAGE_INVALID, ERR_LAYER_*, ERR_STORE_IO */
export async function unpackAci(
  file: ByteRange,
  root: string,
  limits: ImageLimits,
  what: string,
  onRead: (doneBytes: number) => void,
): Promise<UnpackedAci> {
  const hash = createHash('sha512');
  // In an ACI a name is a name: it has no layers below whose files it could hide.
  using unpacker = new LayerUnpacker(root, limits, what, undefined, 'plain names');
  const members = new AciMembers(what, limits, unpacker);
  const reader = new TarReader(members, limits, what);
  await readArchive(file, what, reader, (chunk) => hash.update(chunk), onRead);
  reader.finish();
  const { manifest } = members;
  if (manifest === undefined) throw new RuntimeError('ERR_IMAGE_INVALID', `${what} has no manifest`);
  if (!members.hasRootfs) throw new RuntimeError('ERR_IMAGE_INVALID', `${what} has no rootfs`);
  return { ...manifest, id: `sha512:${hash.digest('hex')}` as Digest, layer: unpacker.finish(), tarBytes: reader.position };
}

/** Ends the reading of an archive of which enough is known. */
class Enough extends Error {}

/** Only the manifest; of the archive no more is read than has to be. @throws ERR_IMAGE_INVALID, ERR_LAYER_* */
export async function readAciManifest(file: ByteRange, limits: ImageLimits, what: string): Promise<AciManifest> {
  const members = new AciMembers(what, limits, undefined);
  const reader = new TarReader(members, limits, what);
  try {
    await readArchive(
      file,
      what,
      reader,
      () => {
        if (members.manifest !== undefined) throw new Enough();
      },
      () => undefined,
    );
  } catch (error) {
    if (!(error instanceof Enough)) throw error;
  }
  if (members.manifest === undefined) throw new RuntimeError('ERR_IMAGE_INVALID', `${what} has no manifest`);
  return members.manifest;
}

async function readArchive(
  file: ByteRange,
  what: string,
  reader: TarReader,
  onChunk: (chunk: Buffer) => void,
  onRead: (doneBytes: number) => void,
): Promise<void> {
  const first = beginningOf(file, 6);
  let compressedBytes = 0;
  const read = (doneBytes: number): void => {
    compressedBytes = doneBytes;
    onRead(doneBytes);
  };
  try {
    await decompress(
      compressionOf(first),
      chunksOf(file, read),
      (chunk) => {
        reader.push(chunk);
        onChunk(chunk);
        checkRatio(reader.limits, what, compressedBytes, reader.position);
      },
      what,
    );
  } catch (error) {
    if (!isCode(error, 'ERR_LAYER_CORRUPT') || reader.position >= 512 || compressionOf(first) !== 'none') throw error;
    throw new RuntimeError('ERR_IMAGE_INVALID', `${what} is no ACI: neither a tar archive nor one compressed with gzip, bzip2, xz or zstd`, {
      cause: error,
      ...(isEncrypted(first) ? { hint: `it is encrypted: gpg --decrypt --output PLAIN.aci ${what}` } : {}),
    });
  }
}

/** A packet by which OpenPGP messages encrypted with a passphrase begin. @see RFC 4880 5.3, 4.2 */
const isEncrypted = (first: Buffer): boolean => (first[0] === 0x8c && first[2] === 4) || (first[0] === 0xc3 && first[2] === 4);
