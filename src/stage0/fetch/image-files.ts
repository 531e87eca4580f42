/**
 * The files of an image, wherever they are: in a directory or in an archive. Reads are synchronous: the calling
 * thread may be in a mount namespace that others do not see.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { refuseInterrupted } from '../../host/interruption.ts';
import { RuntimeError, isErrno, messageOf } from '../../model/errors.ts';

/** Some bytes of an open file. */
export interface ByteRange extends Disposable {
  readonly fd: number;
  readonly offset: number;
  readonly bytes: number;
}

export interface ImageFiles extends Disposable {
  /** how to call the whole in messages */
  readonly what: string;
  /** the file at the relative `path`; undefined when there is none. @throws ERR_IMAGE_INVALID when it is something else than a file */
  open(path: string): ByteRange | undefined;
}

const chunkBytes = 256 * 1024;

/** The bytes of a range, one chunk at a time; the next one overwrites nothing of the one before. @throws ERR_IMAGE_INVALID when the file got shorter; ERR_INTERRUPTED */
export function* chunksOf(range: ByteRange, onRead: (doneBytes: number) => void = () => undefined): Generator<Buffer> {
  for (let done = 0; done < range.bytes;) {
    refuseInterrupted();
    const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, range.bytes - done));
    const got = readSync(range.fd, chunk, 0, chunk.length, range.offset + done);
    if (got === 0) throw new RuntimeError('ERR_IMAGE_INVALID', 'the image became shorter while it was read');
    done += got;
    onRead(done);
    yield chunk.subarray(0, got);
  }
}

/** All bytes of a range. */
export const bytesOf = (range: ByteRange): Buffer => Buffer.concat([...chunksOf(range)]);

/** The first bytes of a range, at most `count`. */
export const beginningOf = (range: ByteRange, count: number): Buffer => bytesOf({ ...range, bytes: Math.min(count, range.bytes) });

/** Opens a regular file; a fifo or device does not block and is refused. undefined when there is none. */
export function openFile(path: string, what: string): ByteRange | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw new RuntimeError('ERR_IMAGE_INVALID', `cannot read ${what}: ${messageOf(error)}`, { cause: error });
  }
  const stat = fstatSync(fd);
  if (!stat.isFile()) {
    closeSync(fd);
    throw new RuntimeError('ERR_IMAGE_INVALID', `${what} is not a regular file`);
  }
  return { fd, offset: 0, bytes: stat.size, [Symbol.dispose]: () => closeSync(fd) };
}

/** The files of an image directory. `what` names it. */
export function directoryFiles(directory: string, what: string): ImageFiles {
  return {
    what,
    open: (path) => openFile(join(directory, path), `${path} of ${what}`),
    [Symbol.dispose]: () => undefined,
  };
}
