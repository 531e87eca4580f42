/** How much of an image rkt is willing to take. Sizes that an archive only claims count like written ones. */
export interface ImageLimits {
  /** one file, as large as it says it is (holes count) */
  readonly maxFileBytes: number;
  /** one uncompressed layer: its stream, and the sum of its files */
  readonly maxLayerBytes: number;
  readonly maxEntries: number;
  readonly maxPathBytes: number;
  readonly maxNameBytes: number;
  /** one extended header, long name or sparse map */
  readonly maxHeaderBytes: number;
  /** index, manifest or configuration */
  readonly maxDocumentBytes: number;
  readonly maxLayers: number;
  /** an image archive, uncompressed */
  readonly maxArchiveBytes: number;
}

const GiB = 1024 ** 3;
export const defaultLimits: ImageLimits = {
  maxFileBytes: 8 * GiB,
  maxLayerBytes: 20 * GiB,
  maxEntries: 2_000_000,
  maxPathBytes: 4095,
  maxNameBytes: 255,
  maxHeaderBytes: 1024 ** 2,
  maxDocumentBytes: 4 * 1024 ** 2,
  // One less than an overlay mount of Linux takes: directories may have to be corrected by a layer of ours.
  maxLayers: 499,
  maxArchiveBytes: 64 * GiB,
};
