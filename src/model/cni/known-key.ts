/**
 * The value of `key` in `object`: spelled exactly, else in any case, because Go's JSON decoding matches keys that way and
 * real configurations and results rely on it (X10). Null counts as absent, as in Go; what is inherited is not seen.
 */
export function knownKey(object: Readonly<Record<string, unknown>>, key: string): unknown {
  if (Object.hasOwn(object, key)) return object[key] ?? undefined;
  const folded = key.toLowerCase();
  const found = Object.keys(object).findLast((candidate) => candidate.toLowerCase() === folded);
  return found === undefined ? undefined : (object[found] ?? undefined);
}

export const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
