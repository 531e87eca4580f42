/** Kind `imageLimits`: how large images may be. Sizes are bytes, as numbers or with a unit: `40GiB`, `512M`. */
import { defaultLimits, kernelLimits, type ImageLimits } from '../../model/image-limits.ts';
import { didYouMean } from '../../model/ids.ts';
import { shown, type ConfigFile } from './files.ts';

const keys = Object.keys(defaultLimits) as (keyof ImageLimits)[];
const isSize = (key: string): boolean => key.endsWith('Bytes');
const units = ['', 'K', 'M', 'G', 'T'];

/** A positive whole number; undefined for anything else. */
function amountOf(key: string, value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value > 0 ? value : undefined;
  const match = typeof value === 'string' && isSize(key) ? /^([0-9]{1,16}) ?([KMGT]?)(i?B)?$/i.exec(value) : null;
  if (match === null) return undefined;
  const bytes = Number(match[1]) * 1024 ** units.indexOf((match[2] ?? '').toUpperCase());
  return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : undefined;
}

/** The limits a file sets; `faults` hears of what is no limit. */
export function checkImageLimits(file: ConfigFile, faults: string[]): Partial<ImageLimits> {
  const limits: Partial<Record<keyof ImageLimits, number>> = {};
  for (const [written, value] of Object.entries(file.value)) {
    if (written === 'rktKind' || written === 'rktVersion') continue;
    const key = keys.find((known) => known === written);
    if (key === undefined) {
      const meant = didYouMean(written, keys);
      const advice = meant === undefined ? `limits are ${keys.join(', ')}` : `did you mean ${meant}?`;
      faults.push(file.faultText({ path: [written], message: `is no limit; ${advice}` }));
      continue;
    }
    const amount = amountOf(key, value);
    const most = kernelLimits[key];
    if (amount === undefined) {
      const wanted = isSize(key) ? 'a number of bytes above 0, such as 1048576 or "1MiB"' : 'a whole number above 0';
      faults.push(file.faultText({ path: [key], message: `must be ${wanted}, not ${shown(value)}` }));
    } else if (most !== undefined && amount > most) {
      faults.push(file.faultText({ path: [key], message: `is ${amount}; Linux takes at most ${most}` }));
    } else {
      limits[key] = amount;
    }
  }
  return limits;
}
