/** Go's JSON decoding matches object keys without regard to case, and real configurations rely on it (X10). */

/** The value of `key` in `object`: spelled exactly, else in any case. Null counts as absent, as in Go. */
export function knownKey(object: Readonly<Record<string, unknown>>, key: string): unknown {
  const exact = object[key];
  if (exact !== undefined) return exact ?? undefined;
  const folded = key.toLowerCase();
  const found = Object.keys(object).find((candidate) => candidate.toLowerCase() === folded);
  return found === undefined ? undefined : (object[found] ?? undefined);
}
