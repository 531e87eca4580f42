/** `--insecure-options`: which defences a user switches off. @see rkt.md 1.1 */

/** What one option leaves unchecked; `ondisk` has no effect any more, and is taken for old scripts' sake. */
export const insecureOptions = ['image', 'tls', 'ondisk', 'http', 'pubkey', 'capabilities', 'paths', 'seccomp'] as const;
export type InsecureOption = (typeof insecureOptions)[number];

const groups: Readonly<Record<string, readonly InsecureOption[]>> = {
  none: [],
  'all-fetch': ['image', 'tls', 'http', 'pubkey'],
  'all-run': ['capabilities', 'paths', 'seccomp'],
  all: insecureOptions,
};

/** All words the flag takes. */
export const insecureWords: readonly string[] = ['none', ...insecureOptions, 'all-fetch', 'all-run', 'all'];

/** Reads comma lists; `unknown` are the words that mean nothing. */
export function parseInsecureOptions(lists: readonly string[]): {
  readonly options: ReadonlySet<InsecureOption>;
  readonly unknown: readonly string[];
} {
  const words = lists.flatMap((list) => list.split(',')).map((word) => word.trim());
  const options = new Set<InsecureOption>();
  const unknown: string[] = [];
  for (const word of words) {
    const single = insecureOptions.find((option) => option === word);
    const members = single === undefined && Object.hasOwn(groups, word) ? groups[word] : single === undefined ? undefined : [single];
    if (members === undefined) unknown.push(word);
    else for (const member of members) options.add(member);
  }
  return { options, unknown };
}
