/** A full disk, told with what would have been enough. */
import { compressionOf, decompress } from '../../host/decompress.ts';
import { freeSpace } from '../../host/linux.ts';
import { RuntimeError, isErrno, isRuntimeError } from '../../model/errors.ts';
import { storeFault } from '../../state/images/faults.ts';
import type { ImageStore } from '../../state/images/store.ts';
import type { ImageLimits } from '../render/limits.ts';
import { TarReader, type TarHandler } from '../render/tar.ts';
import { beginningOf, chunksOf } from './image-files.ts';
import type { LocalLayer, SourceLayer } from './source-image.ts';

/** What most file systems give a file at least. */
const blockBytes = 4096;

interface Need {
  bytes: number;
  files: number;
  /** layers of which only the size of the download is known count as that */
  isLeast: boolean;
}

const amount = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(1)} MiB`;

/** `error`, with a line that says how much the missing layers need when it is that the disk is full; anything else as it is. */
export async function withDiskNeed(error: unknown, store: ImageStore, layers: readonly SourceLayer[], limits: ImageLimits): Promise<unknown> {
  const fault = storeFault(error, 'cannot unpack a layer', store.dataDir);
  if (!isRuntimeError(fault) || !isErrno(fault.cause, 'ENOSPC', 'EDQUOT')) return error;
  const need: Need = { bytes: 0, files: 0, isLeast: false };
  for (const layer of new Map(layers.map((one) => [one.diffId, one])).values()) {
    if (store.layer(layer.diffId) !== undefined) continue;
    if ('open' in layer) await addNeed(need, layer, limits);
    else {
      need.bytes += layer.bytes;
      need.isLeast = true;
    }
  }
  const free = freeSpace(store.dataDir);
  return new RuntimeError('ERR_STORE_IO', fault.message, {
    cause: fault.cause,
    details: [
      ...fault.details,
      `the layers that are missing need ${need.isLeast ? `more than ${amount(need.bytes)}` : `${amount(need.bytes)} in ${need.files} files`}; ${amount(free.bytes)}${free.files === undefined ? '' : ` and ${free.files} files`} are free in ${store.dataDir}`,
    ],
    ...(fault.hint === undefined ? {} : { hint: fault.hint }),
  });
}

/** Reads a layer once more, and writes nothing. */
async function addNeed(need: Need, layer: LocalLayer, limits: ImageLimits): Promise<void> {
  using blob = layer.open();
  let dataBytes = 0;
  const handler: TarHandler = {
    entry({ type }) {
      if (type !== 'hardlink') need.files++;
      if (type === 'directory') need.bytes += blockBytes;
      dataBytes = 0;
    },
    data: (chunk) => void (dataBytes += chunk.length),
    end: () => void (need.bytes += Math.ceil(dataBytes / blockBytes) * blockBytes),
  };
  const reader = new TarReader(handler, limits, layer.what);
  await decompress(compressionOf(beginningOf(blob, 6)), chunksOf(blob), (chunk) => reader.push(chunk), layer.what);
}
