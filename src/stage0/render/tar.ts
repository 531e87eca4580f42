/**
 * A streaming tar reader: bytes are pushed in, members come out. ustar, pax, GNU long names, base-256 numbers, and
 * every sparse format; what is damaged, cut short or larger than the limits is refused.
 * @see POSIX.1-2017 pax; GNU tar manual "Tar Internals"; Go archive/tar as the reader images are tested with
 */
import type { RuntimeError } from '../../model/errors.ts';
import { beyondLimit, type ImageLimits } from './limits.ts';
import { paxNumber, paxScope, paxText, paxTimeNs, paxXattrs, parsePax } from './pax.ts';
import { checkRegions, gnuRealSize, gnuRegions, parseMapText, SparseMapReader, type Region } from './sparse.ts';
import { blockBytes, corrupt, decodeHeader, isZeroBlock, shownName, type EntryType, type RawHeader, type TarEntry } from './tar-header.ts';

/** What is told about each member, in order: entry, its data in pieces (files only), end. */
export interface TarHandler {
  entry(entry: TarEntry): void;
  /** `position`: offset of `chunk` in the file; the chunk is only valid during the call */
  data(chunk: Buffer, position: number): void;
  end(entry: TarEntry): void;
}

const types: Readonly<Record<string, EntryType>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  S: 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
};

type Phase = 'header' | 'extended' | 'gnu-sparse' | 'sparse-map' | 'body' | 'padding' | 'one-zero-block' | 'trailer';

/** A member between its header and its data. */
interface Current {
  readonly entry: TarEntry;
  readonly where: string;
  regions: Region[] | undefined;
}

export class TarReader {
  /** bytes taken so far */
  position = 0;
  #phase: Phase = 'header';
  readonly #carry = Buffer.alloc(blockBytes);
  #carried = 0;
  /** bytes of the current body or padding still to come */
  #left = 0;
  #padding = 0;
  #extended: { flag: string; parts: Buffer[] } = { flag: '', parts: [] };
  readonly #global = new Map<string, Buffer>();
  #local = new Map<string, Buffer>();
  /** bytes of extended headers: of all global ones, and of those that wait for their member */
  #globalBytes = 0;
  #localBytes = 0;
  #longName: string | undefined;
  #longLink: string | undefined;
  #current: Current | undefined;
  #mapReader: SparseMapReader | undefined;
  #mapBytes = 0;
  #region = 0;
  #inRegion = 0;
  #entries = 0;
  #claimedBytes = 0;

  /** `what` names the archive in errors. */
  constructor(
    readonly handler: TarHandler,
    readonly limits: ImageLimits,
    readonly what: string,
    readonly maxBytes = limits.maxLayerBytes,
  ) {}

  /** Takes the next bytes. @throws ERR_LAYER_CORRUPT, ERR_LAYER_LIMIT, and whatever the handler throws */
  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) {
      const taken = this.#take(chunk, at);
      at += taken;
      this.position += taken;
      if (this.position > this.maxBytes) throw this.#limit('maxLayerBytes', `is larger than ${this.maxBytes} bytes`);
    }
  }

  /** No more bytes. @throws ERR_LAYER_CORRUPT when the archive stops in the middle of something */
  finish(): void {
    // Many writers leave out the zero blocks, some the padding of the last file: what matters is whole.
    const whole =
      (this.#phase === 'header' && this.#carried === 0 && !this.#pendingExtended()) || ['padding', 'one-zero-block', 'trailer'].includes(this.#phase);
    if (!whole) throw corrupt(`${this.what} is cut short: it ends after ${this.position} bytes`);
  }

  /** Headers stand at multiples of a block, however the bytes arrive. */
  get #blockStart(): number {
    return Math.floor(this.position / blockBytes) * blockBytes;
  }
  /** During {@link TarHandler.entry}: where the entry's data begins in the archive (not for sparse files). */
  get dataOffset(): number {
    return this.#blockStart + blockBytes;
  }

  /** How many of the next bytes nobody wants to see; a reader of a file may step over them with {@link skip}. */
  get unwanted(): number {
    return this.#phase === 'padding' ? this.#left : 0;
  }
  skip(bytes: number): void {
    if (bytes === 0) return;
    this.#left -= bytes;
    this.position += bytes;
    if (this.#left === 0) this.#phase = 'header';
  }
  /** The data of the entry just announced is not wanted. For readers that only look at headers. */
  skipBody(): void {
    this.#left += this.#padding;
    this.#padding = 0;
    this.#current = undefined;
    this.#phase = this.#left === 0 ? 'header' : 'padding';
  }

  #pendingExtended(): boolean {
    return this.#local.size > 0 || this.#longName !== undefined || this.#longLink !== undefined;
  }

  #take(chunk: Buffer, at: number): number {
    switch (this.#phase) {
      case 'trailer':
        return chunk.length - at;
      case 'padding':
        return this.#skipPadding(chunk.length - at);
      case 'body':
        return this.#body(chunk, at);
      case 'extended':
        return this.#extendedBody(chunk, at);
      default: {
        if (this.#carried === 0 && chunk.length - at >= blockBytes) {
          this.#block(chunk.subarray(at, at + blockBytes));
          return blockBytes;
        }
        const taken = Math.min(blockBytes - this.#carried, chunk.length - at);
        chunk.copy(this.#carry, this.#carried, at, at + taken);
        this.#carried += taken;
        if (this.#carried === blockBytes) {
          this.#carried = 0;
          this.#block(this.#carry);
        }
        return taken;
      }
    }
  }

  #skipPadding(available: number): number {
    const taken = Math.min(this.#left, available);
    this.#left -= taken;
    if (this.#left === 0) this.#phase = 'header';
    return taken;
  }

  #block(block: Buffer): void {
    if (this.#phase === 'gnu-sparse') return this.#gnuExtension(block);
    if (this.#phase === 'sparse-map') return this.#sparseMap(block);
    const where = `${this.what}: the header at byte ${this.#blockStart}`;
    if (isZeroBlock(block)) {
      if (this.#pendingExtended()) throw corrupt(`${where} is missing`);
      this.#phase = this.#phase === 'one-zero-block' ? 'trailer' : 'one-zero-block';
      return undefined;
    }
    if (this.#phase === 'one-zero-block') throw corrupt(`${where}: something follows the end of the archive`);
    return this.#header(decodeHeader(block, where), block, where);
  }

  #header(raw: RawHeader, block: Buffer, where: string): void {
    if ('xgXLK'.includes(raw.typeFlag)) {
      // A small header many times is as much as a large one.
      const bytes = raw.typeFlag === 'g' ? (this.#globalBytes += raw.size + blockBytes) : (this.#localBytes += raw.size + blockBytes);
      if (bytes > this.limits.maxHeaderBytes) throw this.#limit('maxHeaderBytes', `has extended headers of ${bytes} bytes`);
      this.#extended = { flag: raw.typeFlag, parts: [] };
      this.#left = raw.size;
      this.#padding = padding(raw.size);
      this.#phase = 'extended';
      if (raw.size === 0) this.#extendedEnd();
      return;
    }
    if (raw.typeFlag === 'V') {
      this.#startPadding(raw.size + padding(raw.size));
      return;
    }
    this.#member(raw, block, where);
  }

  #extendedBody(chunk: Buffer, at: number): number {
    const taken = Math.min(this.#left, chunk.length - at);
    this.#extended.parts.push(Buffer.from(chunk.subarray(at, at + taken)));
    this.#left -= taken;
    if (this.#left === 0) this.#extendedEnd();
    return taken;
  }

  #extendedEnd(): void {
    const { flag, parts } = this.#extended;
    const body = Buffer.concat(parts);
    const where = `${this.what}: the extended header before byte ${this.position}`;
    if (flag === 'L' || flag === 'K') {
      const end = body.indexOf(0);
      const name = body.toString('latin1', 0, end < 0 ? body.length : end);
      if (flag === 'L') this.#longName = name;
      else this.#longLink = name;
    } else if (flag === 'g') {
      for (const [key, value] of parsePax(body, where)) this.#global.set(key, value);
    } else {
      for (const [key, value] of parsePax(body, where)) this.#local.set(key, value);
    }
    this.#startPadding(this.#padding);
  }

  /** A real member: its header with everything the headers before it said. */
  #member(raw: RawHeader, block: Buffer, header: string): void {
    if (++this.#entries > this.limits.maxEntries) throw this.#limit('maxEntries', `has more than ${this.limits.maxEntries} entries`);
    const pax = paxScope(this.#global, this.#local);
    const sparse10 = pax.get('GNU.sparse.major')?.toString() === '1' && pax.get('GNU.sparse.minor')?.toString() === '0';
    const mapText = sparse10 ? undefined : pax.get('GNU.sparse.map');
    const isPaxSparse = sparse10 || mapText !== undefined;
    const name = (isPaxSparse ? paxText(pax, 'GNU.sparse.name', header) : undefined) ?? paxText(pax, 'path', header) ?? this.#longName ?? raw.name;
    const where = `${this.what}: entry ${JSON.stringify(shownName(name))}`;
    const type = name.endsWith('/') && types[raw.typeFlag] === 'file' ? 'directory' : types[raw.typeFlag];
    if (type === undefined) throw corrupt(`${where} is of unknown type ${JSON.stringify(raw.typeFlag)}`);
    // Links, directories and devices have no data, whatever their size field says (as in Go's reader).
    const storedBytes = types[raw.typeFlag] === 'file' ? (paxNumber(pax, 'size', where) ?? raw.size) : 0;
    if (type === 'directory' && storedBytes > 0) throw corrupt(`${where} is a directory with data`);
    const paxSize = isPaxSparse ? (paxNumber(pax, 'GNU.sparse.realsize', where) ?? paxNumber(pax, 'GNU.sparse.size', where)) : undefined;
    const bytes = type !== 'file' ? 0 : raw.typeFlag === 'S' ? gnuRealSize(block, where) : (paxSize ?? storedBytes);
    this.#claim(bytes, storedBytes, where);
    const entry: TarEntry = {
      name,
      type,
      linkName: paxText(pax, 'linkpath', where) ?? this.#longLink ?? raw.linkName,
      bytes,
      mode: raw.mode,
      uid: idOf(paxNumber(pax, 'uid', where) ?? raw.uid, where),
      gid: idOf(paxNumber(pax, 'gid', where) ?? raw.gid, where),
      mtimeNs: paxTimeNs(pax, 'mtime', where) ?? BigInt(raw.mtime) * 1_000_000_000n,
      major: raw.major,
      minor: raw.minor,
      xattrs: paxXattrs(this.#local),
    };
    if (this.#localBytes > 0) this.#local = new Map();
    this.#localBytes = 0;
    this.#longName = undefined;
    this.#longLink = undefined;
    this.#left = storedBytes;
    this.#padding = padding(storedBytes);
    this.#current = { entry, where, regions: undefined };
    if (type === 'file' && raw.typeFlag === 'S') return this.#gnuSparse(block, this.#current);
    if (type === 'file' && sparse10) {
      this.#mapReader = new SparseMapReader(where);
      this.#mapBytes = 0;
      this.#phase = 'sparse-map';
      return undefined;
    }
    if (type === 'file' && mapText !== undefined)
      this.#current.regions = checkRegions(parseMapText(mapText.toString('latin1'), where), bytes, storedBytes, where);
    return this.#announce();
  }

  #claim(bytes: number, storedBytes: number, where: string): void {
    const maxFileBytes = Math.min(this.limits.maxFileBytes, this.maxBytes);
    const largest = Math.max(bytes, storedBytes);
    if (bytes < 0) throw corrupt(`${where} has a negative size`);
    if (largest > maxFileBytes) throw beyondLimit('maxFileBytes', `${where} claims ${largest} bytes; the limit for one file is ${maxFileBytes}`);
    this.#claimedBytes += largest;
    if (this.#claimedBytes > this.maxBytes) throw this.#limit('maxLayerBytes', `claims files of more than ${this.maxBytes} bytes`);
  }

  #gnuSparse(block: Buffer, current: Current): void {
    const { regions, more } = gnuRegions(block, 'header', current.where);
    current.regions = regions;
    if (more) this.#phase = 'gnu-sparse';
    else this.#sparseReady(current);
  }
  #gnuExtension(block: Buffer): void {
    const current = this.#current;
    if (current?.regions === undefined) return;
    const { regions, more } = gnuRegions(block, 'extension', current.where);
    for (const region of regions) current.regions.push(region);
    if (current.regions.length * 24 > this.limits.maxHeaderBytes) throw this.#limit('maxHeaderBytes', 'has a sparse map that is too long');
    if (!more) this.#sparseReady(current);
  }
  #sparseMap(block: Buffer): void {
    const current = this.#current;
    if (current === undefined || this.#mapReader === undefined) return;
    if (this.#left < blockBytes) throw corrupt(`${current.where}: the sparse map is cut short`);
    this.#left -= blockBytes;
    this.#mapBytes += blockBytes;
    if (this.#mapBytes > this.limits.maxHeaderBytes) throw this.#limit('maxHeaderBytes', 'has a sparse map that is too long');
    current.regions = this.#mapReader.push(block);
    if (current.regions === undefined) return;
    this.#mapReader = undefined;
    this.#sparseReady(current);
  }
  #sparseReady(current: Current): void {
    current.regions = checkRegions(current.regions ?? [], current.entry.bytes, this.#left, current.where);
    this.#announce();
  }

  #announce(): void {
    const current = this.#current;
    if (current === undefined) return;
    this.#region = 0;
    this.#inRegion = 0;
    this.#phase = 'body';
    this.handler.entry(current.entry);
    // The handler may have called skipBody().
    if (this.#current === current && this.#left === 0) this.#endMember(current);
  }

  #body(chunk: Buffer, at: number): number {
    const current = this.#current;
    if (current === undefined) return 0;
    const { regions, entry } = current;
    let taken = Math.min(this.#left, chunk.length - at);
    if (regions === undefined) {
      this.handler.data(chunk.subarray(at, at + taken), entry.bytes - this.#left);
    } else {
      const region = regions[this.#region];
      if (region === undefined) throw corrupt(`${current.where}: data beyond the sparse map`);
      taken = Math.min(taken, region.bytes - this.#inRegion);
      this.handler.data(chunk.subarray(at, at + taken), region.offset + this.#inRegion);
      this.#inRegion += taken;
      if (this.#inRegion === region.bytes) {
        this.#region++;
        this.#inRegion = 0;
      }
    }
    this.#left -= taken;
    if (this.#left === 0) this.#endMember(current);
    return taken;
  }

  #endMember(current: Current): void {
    this.#current = undefined;
    this.#startPadding(this.#padding);
    this.handler.end(current.entry);
  }

  #startPadding(bytes: number): void {
    this.#left = bytes;
    this.#padding = 0;
    this.#phase = bytes === 0 ? 'header' : 'padding';
  }

  #limit = (limit: keyof ImageLimits, what: string): RuntimeError => beyondLimit(limit, `${this.what} ${what}`);
}

const padding = (bytes: number): number => (blockBytes - (bytes % blockBytes)) % blockBytes;

/** Above, the kernel's "no change" value: a file cannot belong to it. */
const maxId = 0xfffffffe;
function idOf(id: number, where: string): number {
  if (id < 0 || id > maxId) throw corrupt(`${where} belongs to id ${id}, which Linux does not have`);
  return id;
}
