/** Names of ACIs as people write them: `example.com/app:1.0,os=linux,arch=amd64`. @see appc 0.8.11 (discovery); rkt.md 2.16 */

export interface AciName {
  /** an AC Identifier */
  readonly name: string;
  /** `version` among them when it was written behind a colon */
  readonly labels: ReadonlyMap<string, string>;
}

/** AC Identifier: the grammar of names and of the prefixes they have. Neither `..` nor an absolute path is one. */
export const isIdentifier = (text: string): boolean => /^[a-z0-9]+([-._~/][a-z0-9]+)*$/.test(text);

/** @returns the name, or (a string) why `text` is none */
export function parseAciName(text: string): AciName | string {
  const [head = '', ...pairs] = text.split(',');
  const colon = head.indexOf(':');
  const name = colon < 0 ? head : head.slice(0, colon);
  if (!isIdentifier(name)) return `${JSON.stringify(name)} is no name: lower-case letters and digits, single - . _ ~ / between them`;
  const labels = new Map<string, string>();
  for (const pair of [...(colon < 0 ? [] : [`version=${head.slice(colon + 1)}`]), ...pairs]) {
    const equals = pair.indexOf('=');
    const [key, value] = equals < 0 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)];
    if (!isIdentifier(key)) return `${JSON.stringify(key)} is no name of a label`;
    if (value === '') return `label ${key} has no value`;
    if (key === 'name') return 'a label cannot be called "name"';
    if (labels.has(key)) return `label ${key} is given twice`;
    labels.set(key, value);
  }
  return { name, labels };
}
