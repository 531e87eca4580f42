/** Decodes what a plugin printed. */

/** The JSON value in `text`, boxed because null is one; undefined when it is no JSON. Printing nothing at all is no JSON. */
export function decodeJson(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return undefined; // whoever asked says in its own error what it wanted
  }
}
