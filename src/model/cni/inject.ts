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

/** `confText` with the pod's names in `args.cni.names`; what else is in `args` stays. Throws JsonSyntaxError. */
export function injectNames(confText: string, names: readonly string[]): string {
  const args = objectAt(confText, 'args');
  const cni = injectConf(objectAt(args, 'cni'), { names }, () => false);
  return withObject(confText, 'args', withObject(args, 'cni', cni));
}

/** The text of the object that member `key` is; an empty one when it is none. */
function objectAt(text: string, key: string): string {
  const span = readSpans(text).members?.findLast((member) => member.key === key)?.value;
  return span?.members === undefined ? '{}' : text.slice(span.start, span.end);
}

function withObject(text: string, key: string, object: string): string {
  const others = injectConf(text, {}, (other) => other === key).slice(1, -1);
  return `{${others === '' ? '' : `${others},`}${JSON.stringify(key)}:${object}}`;
}

/** The last list read: its texts are asked for plugin by plugin and verb by verb, and reading it takes 0.3 ms. */
let last: { readonly listText: string; readonly texts: readonly string[] } | undefined;

/** The text of each element of the list's `plugins`. Throws JsonSyntaxError. */
export function pluginTexts(listText: string): readonly string[] {
  if (last?.listText === listText) return last.texts;
  const root = readSpans(listText);
  const plugins: JsonSpan = spanAt(root, ['plugins']);
  const texts = (plugins === root ? [] : (plugins.items ?? [])).map(({ start, end }) => listText.slice(start, end));
  last = { listText, texts };
  return texts;
}
