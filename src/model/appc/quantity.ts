/** Quantities of resources as appc borrowed them from Kubernetes: `500m`, `2G`, `1.5Gi`, `1e3`. @see appc 0.8.11 spec/ace.md "Resource Isolators" */

const decimals: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, '': 0, k: 3, K: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const binaries: Readonly<Record<string, number>> = { Ki: 10, Mi: 20, Gi: 30, Ti: 40, Pi: 50, Ei: 60 };
const grammar = /^([+-]?)(\d+\.?\d*|\.\d+)(?:([eE][+-]?\d{1,3})|([numkKMGTPE]|[KMGTPE]i)?)$/;
/** The largest power of ten that is worth computing: beyond, no machine has so much of anything. */
const maxExponent = 30;

/** A thousandth of the unit; rounded up, as Kubernetes does. undefined when `text` is no quantity. */
export function milliOf(text: string): bigint | undefined {
  const match = grammar.exec(text);
  if (match === null || text.length > 64) return undefined;
  const [, sign = '', number = '', exponent = '', suffix = ''] = match;
  const [whole = '', fraction = ''] = number.split('.');
  const digits = BigInt(`${whole}${fraction}` || '0');
  const power = (exponent === '' ? (decimals[suffix] ?? 0) : Number(exponent.slice(1))) + 3 - fraction.length;
  if (Math.abs(power) > maxExponent + fraction.length) return undefined;
  const factor = 1n << BigInt(binaries[suffix] ?? 0);
  const scaled = digits * factor * 10n ** BigInt(Math.max(0, power));
  const divisor = 10n ** BigInt(Math.max(0, -power));
  const size = (scaled + divisor - 1n) / divisor;
  return sign === '-' ? -size : size;
}
