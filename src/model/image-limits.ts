/** How much of an image rkt is willing to take, and how it says that something is more. */
import { RuntimeError } from './errors.ts';

/** Sizes that an archive only claims count like written ones. */
export interface ImageLimits {
  /** one file, as large as it says it is (holes count) */
  readonly maxFileBytes: number;
  /** one uncompressed layer: its stream, and the sum of its files */
  readonly maxLayerBytes: number;
  /** files, directories and links of one layer */
  readonly maxEntries: number;
  readonly maxPathBytes: number;
  readonly maxNameBytes: number;
  /** all extended headers of one entry, one long name, one sparse map */
  readonly maxHeaderBytes: number;
  /** index, manifest or configuration */
  readonly maxDocumentBytes: number;
  readonly maxLayers: number;
  /** an image archive, uncompressed */
  readonly maxArchiveBytes: number;
  /** how many times as large as its compressed form something may become */
  readonly maxRatio: number;
  /** up to here any ratio is fine: a small layer of zeros does no harm */
  readonly ratioFreeBytes: number;
}

const MiB = 1024 ** 2;
const GiB = 1024 ** 3;
export const defaultLimits: ImageLimits = {
  maxFileBytes: 8 * GiB,
  maxLayerBytes: 20 * GiB,
  maxEntries: 1_000_000,
  // Leaves half a kilobyte for the directory of the store: whatever is in a layer can be named from outside as well.
  maxPathBytes: 3584,
  maxNameBytes: 255,
  maxHeaderBytes: MiB,
  maxDocumentBytes: 4 * MiB,
  // One less than an overlay mount of Linux takes: directories may have to be corrected by a layer of ours.
  maxLayers: 499,
  maxArchiveBytes: 64 * GiB,
  maxRatio: 250,
  ratioFreeBytes: 128 * MiB,
};

/** What no configuration can raise: the kernel's own limits. */
export const kernelLimits: Partial<ImageLimits> = { maxPathBytes: 4095, maxNameBytes: 255, maxLayers: 499 };

/** Disk blocks that an entry takes whatever is in it: its inode, its name, its place among the names. */
const entryBytes = 4096;

/** The refusal of what is more than `limit` allows; says where the limit can be raised, when it can. */
export function beyondLimit(limit: keyof ImageLimits, what: string): RuntimeError {
  return new RuntimeError(
    'ERR_LAYER_LIMIT',
    what,
    limit in kernelLimits ? {} : { hint: `if you trust the image, raise ${limit} in a file of /etc/rkt/limits.d (kind imageLimits)` },
  );
}

/**
 * Refuses what unpacks to out of all proportion: `compressedBytes` have given `bytes` with `entries` files so far.
 * @throws ERR_LAYER_LIMIT
 */
export function checkRatio(limits: ImageLimits, what: string, compressedBytes: number, bytes: number, entries = 0): void {
  const taken = bytes + entries * entryBytes;
  if (taken <= limits.ratioFreeBytes || taken <= compressedBytes * limits.maxRatio) return;
  const shown = entries * entryBytes > bytes ? `${entries} files` : `${bytes} bytes`;
  throw beyondLimit('maxRatio', `${what} is a decompression bomb: ${compressedBytes} compressed bytes have become ${shown}, and it goes on`);
}
