/** How stored images are shown. @see rkt.md 1.4 (image list) */
import type { ImageFacts } from '../../images.ts';
import { printable } from '../../model/errors.ts';
import { shownId } from '../../model/ids.ts';
import { ago } from './pod.ts';

export const defaultFields = ['id', 'name', 'size', 'importtime', 'lastused'] as const;
/** rkt's fields, and all names an image can be run by. */
export const imageFields = [...defaultFields, 'names'] as const;
export type ImageField = (typeof imageFields)[number];
export const sortFields = ['name', 'importtime', 'lastused', 'size'] as const satisfies readonly ImageField[];
export type SortField = (typeof sortFields)[number];

const headers: Readonly<Record<ImageField, string>> = {
  id: 'ID',
  name: 'NAME',
  size: 'SIZE',
  importtime: 'IMPORT TIME',
  lastused: 'LAST USED',
  names: 'NAMES',
};
export const headersOf = (fields: readonly ImageField[]): string[] => fields.map((field) => headers[field]);

/** `12B`, `1.5KiB`, `88MiB`. */
export function sizeText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let amount = bytes;
  let unit = 0;
  while (amount >= 1024 && unit < units.length - 1) {
    amount /= 1024;
    unit++;
  }
  return `${unit > 0 && amount < 10 ? amount.toFixed(1) : Math.round(amount)}${units[unit] ?? ''}`;
}

/** What it is called: by what it can be run, else what it was called when it came. */
export const nameText = ({ image, names }: ImageFacts): string => names[0] ?? image.name;

const timeText = (ms: number | undefined, full: boolean, nowMs: number): string =>
  ms === undefined ? '-' : full ? new Date(ms).toISOString() : ago(nowMs - ms);

export function fieldText(facts: ImageFacts, field: ImageField, full: boolean, nowMs: number): string {
  switch (field) {
    case 'id':
      return full ? shownId(facts.image.id, true) : facts.image.id.slice(0, 'sha256:'.length + 12).replace(':', '-');
    case 'name':
      return nameText(facts);
    case 'size':
      return full ? String(facts.bytes) : sizeText(facts.bytes);
    case 'importtime':
      return timeText(facts.importedMs, full, nowMs);
    case 'lastused':
      return timeText(facts.lastUsedMs, full, nowMs);
    case 'names':
      return facts.names.join(',');
  }
}

/** Sorted by the first field that tells two apart. */
export function sorted(images: readonly ImageFacts[], fields: readonly SortField[], descending: boolean): ImageFacts[] {
  const key = (facts: ImageFacts, field: SortField): string | number =>
    field === 'name' ? nameText(facts) : field === 'size' ? facts.bytes : ((field === 'importtime' ? facts.importedMs : facts.lastUsedMs) ?? 0);
  const order = (a: ImageFacts, b: ImageFacts): number => {
    for (const field of fields) {
      const [one, other] = [key(a, field), key(b, field)];
      if (one !== other) return one < other ? -1 : 1;
    }
    return a.image.id < b.image.id ? -1 : 1;
  };
  return [...images].sort((a, b) => (descending ? -order(a, b) : order(a, b)));
}

const nanoseconds = (ms: number): number => Math.round(ms) * 1_000_000;

/** rkt's JSON; times in nanoseconds. */
export const imageJson = (facts: ImageFacts): object => ({
  id: shownId(facts.image.id, true),
  name: nameText(facts),
  ...(facts.importedMs === undefined ? {} : { import_time: nanoseconds(facts.importedMs) }),
  last_used_time: nanoseconds(facts.lastUsedMs),
  size: facts.bytes,
  names: facts.names,
});

/** A name in an image, for people: its bytes are what the image says. */
export const shownPath = (path: string): string => printable(Buffer.from(path, 'latin1').toString());
