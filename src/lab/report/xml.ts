/** XML from values: what is written is a tree, so nothing that a name contains ends up as markup. Pure. @see XML 1.0 2.2, 2.4 */

export interface Element {
  readonly tag: string;
  readonly attributes?: Readonly<Record<string, string | number | undefined>>;
  readonly children?: readonly (Element | string)[];
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
  '\n': '&#10;',
  '\t': '&#9;',
  '\r': '&#13;',
};

/** Characters that XML 1.0 has no way to write (2.2), lone surrogates included: shown as U+FFFD. */
// oxlint-disable-next-line no-control-regex -- these are what is looked for
const unwritable = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

const inText = (text: string): string => text.replace(unwritable, '\ufffd').replace(/[&<>\r]/g, (one) => entities[one] ?? one);
const inAttribute = (text: string): string => text.replace(unwritable, '\ufffd').replace(/[&<>"'\n\t\r]/g, (one) => entities[one] ?? one);

function write({ tag, attributes = {}, children = [] }: Element, indent: string): string {
  const written = Object.entries(attributes).flatMap(([name, value]) => (value === undefined ? [] : [` ${name}="${inAttribute(String(value))}"`]));
  const head = `${indent}<${tag}${written.join('')}`;
  if (children.length === 0) return `${head}/>\n`;
  const [first] = children;
  if (children.length === 1 && typeof first === 'string') return `${head}>${inText(first)}</${tag}>\n`;
  return `${head}>\n${children.map((child) => (typeof child === 'string' ? inText(child) : write(child, `${indent}  `))).join('')}${indent}</${tag}>\n`;
}

export const xmlText = (root: Element): string => `<?xml version="1.0" encoding="UTF-8"?>\n${write(root, '')}`;
