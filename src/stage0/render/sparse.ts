/** Files with holes: where the pieces that an archive stores belong. Pure. @see GNU tar manual "Storing Sparse Files" */
import { corrupt, numberField } from './tar-header.ts';

/** A piece of data in the unpacked file. */
export interface Region {
  readonly offset: number;
  readonly bytes: number;
}

/** @throws ERR_LAYER_CORRUPT when pieces overlap, leave the file, or are not what is stored */
export function checkRegions(regions: readonly Region[], fileBytes: number, storedBytes: number, where: string): Region[] {
  let end = 0;
  let stored = 0;
  for (const { offset, bytes } of regions) {
    if (offset < end || offset + bytes > fileBytes) throw corrupt(`${where}: the sparse map is not in order`);
    end = offset + bytes;
    stored += bytes;
  }
  if (stored !== storedBytes) throw corrupt(`${where}: the sparse map speaks of ${stored} bytes, ${storedBytes} are stored`);
  return regions.filter(({ bytes }) => bytes > 0);
}

const regionsOf = (numbers: readonly number[]): Region[] =>
  Array.from({ length: numbers.length / 2 }, (_, i) => ({ offset: numbers[2 * i] ?? 0, bytes: numbers[2 * i + 1] ?? 0 }));

function numberOf(text: string, where: string): number {
  if (!/^[0-9]{1,16}$/.test(text)) throw corrupt(`${where}: the sparse map is damaged`);
  return Number(text);
}

/** `offset,bytes,offset,bytes…` of pax formats 0.0 and 0.1. */
export function parseMapText(text: string, where: string): Region[] {
  const numbers = text === '' ? [] : text.split(',').map((word) => numberOf(word, where));
  if (numbers.length % 2 !== 0) throw corrupt(`${where}: the sparse map is damaged`);
  return regionsOf(numbers);
}

/** The map before the data of pax format 1.0: decimal lines, a count and then pairs, padded to a block. Each byte is looked at once. */
export class SparseMapReader {
  #count: number | undefined;
  readonly #numbers: number[] = [];
  /** what came of the last line */
  #line = '';

  constructor(readonly where: string) {}

  /** Takes the next block; undefined when the map needs another one. @throws ERR_LAYER_CORRUPT */
  push(block: Buffer): Region[] | undefined {
    const text = this.#line + block.toString('latin1');
    let at = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', at)) {
      const number = numberOf(text.slice(at, end), this.where);
      at = end + 1;
      if (this.#count === undefined) this.#count = number;
      else this.#numbers.push(number);
      if (this.#numbers.length === 2 * this.#count) return regionsOf(this.#numbers);
    }
    this.#line = text.slice(at);
    // What is no number by now will not become one.
    if (this.#line !== '') numberOf(this.#line, this.where);
    return undefined;
  }
}

/** The pairs in an old GNU header (4 at 386) or one of its extension blocks (21 at 0); `more` when another extension follows. */
export function gnuRegions(block: Buffer, kind: 'header' | 'extension', where: string): { regions: Region[]; more: boolean } {
  const [start, count, flag] = kind === 'header' ? [386, 4, 482] : [0, 21, 504];
  const regions: Region[] = [];
  for (let i = 0; i < count; i++) {
    const at = start + i * 24;
    if (block[at] === 0) break;
    regions.push({
      offset: numberField(block, at, 12, `${where}: sparse offset`),
      bytes: numberField(block, at + 12, 12, `${where}: sparse length`),
    });
  }
  return { regions, more: block[flag] === 1 };
}

/** How large the unpacked file of an old GNU sparse header is. */
export const gnuRealSize = (header: Buffer, where: string): number => numberField(header, 483, 12, `${where}: real size`);
