/** Streams of compressed data, opened: gzip by zlib (on its own thread), the others by their programs, which every Node and Bun can start. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { RuntimeError, isErrno, printable } from '../model/errors.ts';

export type Compression = 'none' | 'gzip' | 'zstd' | 'bzip2' | 'xz';

const magics: readonly (readonly [Compression, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  // A zstd frame to be skipped, as zstd:chunked puts in front or between.
  ['zstd', [0x50, 0x2a, 0x4d, 0x18]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
];

/** How data is compressed, told from its first bytes (six are enough). A tar never begins with any of these. */
export const compressionOf = (first: Uint8Array): Compression =>
  magics.find(([, magic]) => magic.every((byte, i) => first[i] === byte))?.[0] ?? 'none';

/** {@link compressionOf} for a layer of an OCI or Docker image. @throws ERR_LAYER_CORRUPT for one that such images may not have */
export function layerCompressionOf(first: Uint8Array, what: string): Compression {
  const kind = compressionOf(first);
  if (kind === 'none' || kind === 'gzip' || kind === 'zstd') return kind;
  throw new RuntimeError('ERR_LAYER_CORRUPT', `${what} is compressed with ${kind}, which images may not be`, {
    hint: 'OCI images have gzip, zstd or no compression',
  });
}

const chunkBytes = 256 * 1024;

/** A source of bytes that is read when it is asked. */
export type Chunks = Iterable<Buffer> | AsyncIterable<Buffer>;
/** Takes the uncompressed bytes; a chunk is only valid until the next one. */
export type Sink = (chunk: Buffer) => void;

/**
 * Runs `source` through the decompressor into `sink`; what sink or source throws comes out unchanged.
 * `what` names the data in errors. @throws ERR_LAYER_CORRUPT for damaged or truncated data, ERR_HOST_PROGRAM_MISSING without its program
 */
export async function decompress(kind: Compression, source: Chunks, sink: Sink, what: string): Promise<void> {
  switch (kind) {
    case 'none':
      for await (const chunk of source) sink(chunk);
      return;
    case 'gzip':
      await gunzip(source, sink, what);
      return;
    default:
      await decompressBy(kind, source, sink, what);
  }
}

const into =
  (sink: Sink) =>
  async (chunks: AsyncIterable<Buffer>): Promise<void> => {
    for await (const chunk of chunks) sink(chunk);
  };

async function gunzip(source: Chunks, sink: Sink, what: string): Promise<void> {
  // A pipeline that its end broke may reject with the AbortError of its beginning: the reason is kept here.
  let reason: unknown;
  const watched: Sink = (chunk) => {
    try {
      sink(chunk);
    } catch (error) {
      reason ??= error;
      throw error;
    }
  };
  try {
    await pipeline(Readable.from(source), createGunzip({ chunkSize: chunkBytes }), into(watched));
  } catch (error) {
    if (reason !== undefined) throw reason;
    if (error instanceof Error && 'code' in error && String(error.code).startsWith('Z_')) {
      throw new RuntimeError('ERR_LAYER_CORRUPT', `${what} is not whole gzip data: ${error.message}`, { cause: error });
    }
    throw error;
  }
}

/** Programs are called as their compressions are; Debian has each in a package, bzip2 and zstd by these names. */
/** Twice what `xz -9` needs. */
const xzMemoryMiB = 128;
const packages = { zstd: 'zstd', bzip2: 'bzip2', xz: 'xz-utils' } as const;

async function decompressBy(program: keyof typeof packages, source: Chunks, sink: Sink, what: string): Promise<void> {
  const { execa } = await import('execa');
  const child = execa(program, ['-d', '-c', '-q', ...(program === 'xz' ? [`--memlimit-decompress=${xzMemoryMiB}MiB`] : [])], {
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'pipe',
    buffer: { stdout: false, stderr: true },
    maxBuffer: 65_536,
    encoding: 'buffer',
    reject: false,
    // Execa's own would be a handler of signals in place of ours. What is left alone ends when its input does.
    cleanup: false,
    extendEnv: false,
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C' },
  });
  // Fed and emptied at the same time; a decoder that stopped reading ends the feeding with EPIPE, and its exit says why.
  const feeding = pipeline(Readable.from(source), child.stdin).then(
    () => undefined,
    (error: unknown) => error,
  );
  let failure: unknown;
  try {
    await into(sink)(child.stdout as AsyncIterable<Buffer>);
  } catch (error) {
    failure = error;
    child.kill('SIGKILL');
  }
  const fed = await feeding;
  const result = await child;
  if (failure !== undefined) throw failure;
  if (isErrno(result, 'ENOENT'))
    throw new RuntimeError('ERR_HOST_PROGRAM_MISSING', `${program} is not installed, and ${what} is compressed with it`, {
      hint: `apt install ${packages[program]}`,
      cause: result,
    });
  if (fed !== undefined && !isErrno(fed, 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE')) throw fed;
  if (result.exitCode !== 0) {
    const reason =
      printable(Buffer.from(result.stderr ?? '').toString())
        .trim()
        .split('\n')[0] ?? '';
    if (reason.includes('too much memory'))
      throw new RuntimeError('ERR_LAYER_LIMIT', `${what} needs more memory to be uncompressed than zstd takes by default: ${reason}`);
    throw new RuntimeError(
      'ERR_LAYER_CORRUPT',
      `${what} is not whole ${program} data: ${reason === '' ? `${program} ended with ${result.exitCode ?? result.signal ?? 'an error'}` : reason}`,
    );
  }
}
