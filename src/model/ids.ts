/** Names and ids, checked once at the edge. */

declare const brand: unique symbol;
type Branded<B extends string> = string & { readonly [brand]: B };

/** Full lower-case UUID of a pod; also its CNI container ID. */
export type PodId = Branded<'PodId'>;
/** `sha256:<64 hex>`, or `sha512:<128 hex>`: what an ACI is known by (appc 0.8.11 "Image ID Type") */
export type Digest = Branded<'Digest'>;

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
export const isPodId = (text: string): text is PodId => uuid.test(text);

const digest = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;
export const isDigest = (text: string): text is Digest => digest.test(text);
/** The digits of a digest. */
export const hexOf = (of: Digest): string => of.slice(of.indexOf(':') + 1);
/** The digest that has these digits: which algorithm made them is told by how many there are; undefined when they are none. */
export function digestOfHex(hex: string): Digest | undefined {
  const text = `${hex.length === 128 ? 'sha512' : 'sha256'}:${hex}`;
  return isDigest(text) ? text : undefined;
}
/** An image's id as it is printed: `sha512-` and 32 digits, or all of them (rkt 1.4 "fetch"). */
export const shownId = (id: Digest, full: boolean): string => (full ? id : id.slice(0, 'sha256:'.length + 32)).replace(':', '-');

/** Container ID grammar of CNI (R11, Z8). */
export const isContainerId = (text: string): boolean => /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(text);
/** Network name grammar (C3). */
export const isNetworkName = (text: string): boolean => /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(text);
/** What `--net` understands as something else than the name of a network (rkt 2.10). */
export const reservedNetworkNames: readonly string[] = ['host', 'none', 'all'];
/** Interface name as libcni and the kernel allow it (R13): 1-15 bytes. */
export const isIfName = (text: string): boolean =>
  text !== '' && text !== '.' && text !== '..' && Buffer.byteLength(text) <= 15 && !/[/:\s]/u.test(text);
/** App name: appc AC Name. */
export const isAppName = (text: string): boolean => /^[a-z0-9]+(-[a-z0-9]+)*$/.test(text) && text.length <= 128;

/** Name of a pod: one label of a host name, in lower case; what could be a whole UUID is none. */
export const isPodName = (text: string): boolean => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text) && !isPodId(text);

/** Why `text` is no host name (RFC 1123; the kernel's limit is 64 bytes); undefined when it is one. */
export function hostNameFault(text: string, most = 64): string | undefined {
  if (text === '') return 'is empty';
  if (text.length > most) return `is longer than ${most} bytes`;
  if (!/^[A-Za-z0-9.-]+$/.test(text)) return 'a host name has only letters, digits, dashes and dots';
  return text.split('.').every((label) => /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(label))
    ? undefined
    : 'each part between dots has 1 to 63 characters and no dash at its ends';
}

/** The nearest of `candidates` to `word`, when it is near enough to be what was meant. */
export function didYouMean(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word, candidate);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Insertions, deletions, replacements and swapped neighbours, one each. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? (before[j - 2] ?? 0) + 1 : Infinity;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1), swapped));
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}
