/** The order of `ls` in the C locale: by bytes, not by UTF-16 units and not by the user's language. */
export const byteOrder = (a: string, b: string): number =>
  // Units and bytes differ in order only where a pair of units is one character.
  surrogate.test(a) || surrogate.test(b) ? Buffer.compare(Buffer.from(a), Buffer.from(b)) : a < b ? -1 : a > b ? 1 : 0;
const surrogate = /[\ud800-\udfff]/;
