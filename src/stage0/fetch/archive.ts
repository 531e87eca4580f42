/** Image files inside a tar archive: found by one pass over its headers, read in place. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { compressionOf, decompress } from '../../host/decompress.ts';
import { RuntimeError, isCode, messageOf } from '../../model/errors.ts';
import { beyondLimit, checkRatio, type ImageLimits } from '../render/limits.ts';
import type { TarEntry } from '../render/tar-header.ts';
import { TarReader, type TarHandler } from '../render/tar.ts';
import { beginningOf, chunksOf, openFile, type ByteRange, type ImageFiles } from './image-files.ts';

/** Where a member is, or which other member it stands for. */
type Member = { readonly offset: number; readonly bytes: number } | { readonly linkTo: string };

/** Links in old `docker save` archives lead from layer to layer; more in a row than this is a loop. */
const maxLinks = 8;
const stepBytes = 64 * 1024;
/** A few for each layer of each image that is in it. */
const maxMembers = 100_000;

/**
 * Opens an archive. A compressed one cannot be read in place: it is uncompressed into `scratch`, an existing directory.
 * @throws ERR_IMAGE_NOT_FOUND, ERR_IMAGE_INVALID, ERR_LAYER_LIMIT
 */
export async function openArchive(path: string, what: string, scratch: string, limits: ImageLimits): Promise<ImageFiles> {
  const file = openFile(path, what);
  if (file === undefined) throw new RuntimeError('ERR_IMAGE_NOT_FOUND', `there is no file ${path}`);
  let tar = file;
  let seen: { entries: number } | undefined;
  try {
    const compression = compressionOf(beginningOf(file, 6));
    if (compression !== 'none') {
      tar = await uncompressed(file, join(scratch, 'archive.tar'), what, limits);
      file[Symbol.dispose]();
    }
    seen = { entries: 0 };
    const members = indexMembers(tar, what, limits, seen);
    return { what, open: (wanted) => openMember(tar, members, wanted, what), [Symbol.dispose]: () => tar[Symbol.dispose]() };
  } catch (error) {
    tar[Symbol.dispose]();
    // The codes speak of layers; here it is the archive around them.
    if (isCode(error, 'ERR_LAYER_CORRUPT'))
      throw new RuntimeError('ERR_IMAGE_INVALID', seen?.entries === 0 ? noImage(what, error) : messageOf(error), { cause: error });
    throw error;
  }
}

const noImage = (what: string, error: unknown): string =>
  `${what} is no image (neither an ACI nor an OCI or Docker archive): ${messageOf(error).replace(what, '').replace(/^:? */, '')}`;

async function uncompressed(file: ByteRange, target: string, what: string, limits: ImageLimits): Promise<ByteRange> {
  const fd = openSync(target, 'wx+', 0o600);
  let bytes = 0;
  let readBytes = 0;
  try {
    await decompress(
      compressionOf(beginningOf(file, 6)),
      chunksOf(file, (done) => void (readBytes = done)),
      (chunk) => {
        bytes += chunk.length;
        if (bytes > limits.maxArchiveBytes)
          throw beyondLimit('maxArchiveBytes', `${what} is larger than ${limits.maxArchiveBytes} bytes when uncompressed`);
        checkRatio(limits, what, readBytes, bytes);
        for (let at = 0; at < chunk.length;) at += writeSync(fd, chunk, at);
      },
      what,
    );
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return { fd, offset: 0, bytes, [Symbol.dispose]: () => closeSync(fd) };
}

const normalised = (name: string): string => {
  const parts: string[] = [];
  for (const part of name.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
};

/** Reads headers only: data is stepped over, unless it is shorter than a read. `seen`: how many there were. */
function indexMembers(tar: ByteRange, what: string, limits: ImageLimits, seen: { entries: number }): Map<string, Member> {
  const members = new Map<string, Member>();
  const handler: TarHandler = {
    entry(entry: TarEntry) {
      const offset = reader.dataOffset;
      seen.entries++;
      if (entry.type === 'file') reader.skipBody();
      // No file of an image has such a name, and many of them would fill the memory.
      if (entry.name.length + entry.linkName.length > limits.maxPathBytes) return;
      const name = normalised(entry.name);
      if (entry.type === 'file') members.set(name, { offset, bytes: entry.bytes });
      else if (entry.type === 'symlink')
        members.set(name, { linkTo: normalised(entry.linkName.startsWith('/') ? entry.linkName : `${name}/../${entry.linkName}`) });
      else if (entry.type === 'hardlink') members.set(name, { linkTo: normalised(entry.linkName) });
    },
    data: () => undefined,
    end: () => undefined,
  };
  const reader = new TarReader(
    handler,
    { ...limits, maxFileBytes: limits.maxArchiveBytes, maxEntries: Math.min(limits.maxEntries, maxMembers) },
    what,
    limits.maxArchiveBytes,
  );
  for (let at = 0; at < tar.bytes;) {
    const chunk = beginningOf({ ...tar, offset: at, bytes: tar.bytes - at }, stepBytes);
    reader.push(chunk);
    at += chunk.length;
    const step = Math.min(reader.unwanted, tar.bytes - at);
    if (step > 0) {
      reader.skip(step);
      at += step;
    }
  }
  reader.finish();
  for (const [name, member] of members) {
    if ('offset' in member && member.offset + member.bytes > tar.bytes)
      throw new RuntimeError('ERR_IMAGE_INVALID', `${what} is cut short in ${name}`);
  }
  return members;
}

function openMember(tar: ByteRange, members: ReadonlyMap<string, Member>, wanted: string, what: string): ByteRange | undefined {
  let member = members.get(normalised(wanted));
  for (let links = 0; member !== undefined && 'linkTo' in member; links++) {
    if (links === maxLinks) throw new RuntimeError('ERR_IMAGE_INVALID', `${wanted} of ${what} is a loop of links`);
    member = members.get(member.linkTo);
  }
  return member === undefined
    ? undefined
    : { fd: tar.fd, offset: tar.offset + member.offset, bytes: member.bytes, [Symbol.dispose]: () => undefined };
}
