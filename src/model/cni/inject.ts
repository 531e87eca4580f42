/**
 * Request derivation on JSON text: what we do not set passes byte for byte, numbers beyond 2^53 included, which a
 * detour through values would damage (C11, L19, H5).
 */
import { type JsonSpan, readSpans, spanAt } from '../json-text.ts';

/**
 * The object in `confText` with the members of `fields` set and those dropped that `drop` names. Ours come last, where
 * decoders that match keys in any case (X10) let them win over a differently spelled one.
 * Throws JsonSyntaxError.
 */
export function injectConf(confText: string, fields: Readonly<Record<string, unknown>>, drop: (key: string) => boolean): string {
  const root = readSpans(confText);
  const kept = (root.members ?? []).filter(({ key }) => !drop(key) && !Object.hasOwn(fields, key));
  const members = [
    ...kept.map(({ key, value }) => `${JSON.stringify(key)}:${confText.slice(value.start, value.end)}`),
    ...Object.entries(fields).map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`),
  ];
  return `{${members.join(',')}}`;
}

/** The text of each element of the list's `plugins`. Throws JsonSyntaxError. */
export function pluginTexts(listText: string): string[] {
  const root = readSpans(listText);
  const plugins: JsonSpan = spanAt(root, ['plugins']);
  return (plugins === root ? [] : (plugins.items ?? [])).map(({ start, end }) => listText.slice(start, end));
}
