/**
 * Where things are in a JSON text. `JSON.parse` says neither line and column of a syntax error (its messages
 * differ between Node 20, 24 and Bun) nor where a value stands; this reader does. It is used when
 * something is wrong or text must be spliced, not on the way of a valid file.
 */

/** A value's place: offsets into the text, `end` exclusive. */
export interface JsonSpan {
  readonly start: number;
  readonly end: number;
  /** members of an object in text order */
  readonly members?: readonly { readonly key: string; readonly value: JsonSpan }[];
  /** elements of an array */
  readonly items?: readonly JsonSpan[];
}

/** A syntax error at `offset` of the text. */
export class JsonSyntaxError extends Error {
  constructor(
    readonly offset: number,
    message: string,
  ) {
    super(message);
    this.name = 'JsonSyntaxError';
  }
}

/** What is an escape, or must not be in a string. */
// oxlint-disable-next-line no-control-regex -- control characters are exactly what is looked for
const needsCare = /[\\\u0000-\u001f]/;

/** Levels of nesting {@link readSpans} follows. */
export const maxDepth = 500;

/**
 * Reads `text` as JSON (RFC 8259). Throws {@link JsonSyntaxError}. `onTopLevelString` hears every string
 * member of the top-level object as soon as it is read, so that a broken file can still tell its name.
 */
export function readSpans(text: string, onTopLevelString: (key: string, value: string) => void = () => undefined): JsonSpan {
  let at = 0;

  const fail = (message: string, offset = at): never => {
    throw new JsonSyntaxError(offset, message);
  };
  const shown = (): string => (at >= text.length ? 'the end of the file' : JSON.stringify(String.fromCodePoint(text.codePointAt(at) ?? 0)));
  const skipSpace = (): void => {
    for (let code = text.charCodeAt(at); code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09; code = text.charCodeAt(at)) at++;
  };
  const string = (): string => {
    const start = at;
    // Nearly all of them need no second look.
    const plain = text.slice(at + 1, text.indexOf('"', at + 1));
    if (text[at + 1 + plain.length] === '"' && !needsCare.test(plain)) {
      at += plain.length + 2;
      return plain;
    }
    for (at++; at < text.length && text[at] !== '"'; at++) {
      if (text.charCodeAt(at) < 0x20) fail('a string must end on its line and hold no control characters');
      if (text[at] !== '\\') continue;
      const escape = /^\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/.exec(text.slice(at, at + 6));
      if (escape === null) return fail('unknown escape in a string');
      at += escape[0].length - 1;
    }
    if (at >= text.length) fail('this string has no end', start);
    at++;
    return JSON.parse(text.slice(start, at)) as string;
  };
  const object = (depth: number): JsonSpan => {
    const start = at++;
    const members: { key: string; value: JsonSpan }[] = [];
    for (skipSpace(); text[at] !== '}'; skipSpace()) {
      if (members.length > 0) {
        if (text[at] !== ',') fail(`expected "," or "}", found ${shown()}`);
        at++;
        skipSpace();
        if (text[at] === '}') fail('a comma before "}" is not allowed');
      }
      if (text[at] !== '"') fail(`expected a key in double quotes, found ${shown()}`);
      const key = string();
      skipSpace();
      if (text[at] !== ':') fail(`expected ":" after a key, found ${shown()}`);
      at++;
      const child = value(depth + 1);
      if (depth === 0 && text[child.start] === '"') onTopLevelString(key, JSON.parse(text.slice(child.start, child.end)) as string);
      members.push({ key, value: child });
    }
    return { start, end: ++at, members };
  };
  const array = (depth: number): JsonSpan => {
    const start = at++;
    const items: JsonSpan[] = [];
    for (skipSpace(); text[at] !== ']'; skipSpace()) {
      if (items.length > 0) {
        if (text[at] !== ',') fail(`expected "," or "]", found ${shown()}`);
        at++;
        skipSpace();
        if (text[at] === ']') fail('a comma before "]" is not allowed');
      }
      items.push(value(depth + 1));
    }
    return { start, end: ++at, items };
  };
  const value = (depth: number): JsonSpan => {
    if (depth > maxDepth) fail(`nested deeper than ${maxDepth} levels`);
    skipSpace();
    const start = at;
    if (text[at] === '{') return object(depth);
    if (text[at] === '[') return array(depth);
    if (text[at] === '"') {
      string();
      return { start, end: at };
    }
    const word = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.+-])/.exec(text.slice(at, at + 400));
    if (word === null) {
      if (text.startsWith('//', at) || text.startsWith('/*', at)) fail('comments are not allowed in JSON');
      return fail(`expected a value, found ${shown()}`);
    }
    at += word[0].length;
    return { start, end: at };
  };

  const root = value(0);
  skipSpace();
  if (at < text.length) fail(`nothing may follow the value, found ${shown()}`);
  return root;
}

/** Line and column (both from 1, columns in UTF-16 units) of an offset. */
export function lineColumn(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  return { line, column: offset - before.lastIndexOf('\n') };
}

/** The span at `path`, or of the nearest ancestor that exists. Of a repeated key the last one counts, as in JSON.parse. */
export function spanAt(root: JsonSpan, path: readonly (string | number)[]): JsonSpan {
  let span = root;
  for (const step of path) {
    const next = typeof step === 'number' ? span.items?.[step] : span.members?.findLast((member) => member.key === step)?.value;
    if (next === undefined) return span;
    span = next;
  }
  return span;
}

/** `plugins[1].ipam.type` */
export const pathText = (path: readonly (string | number)[]): string =>
  path.reduce<string>(
    (text, step) =>
      typeof step === 'number'
        ? `${text}[${step}]`
        : /^[\w./-]+$/.test(step)
          ? `${text}${text === '' ? '' : '.'}${step}`
          : `${text}[${JSON.stringify(step)}]`,
    '',
  );

/**
 * True when `bytes` (JSON or not) open more than `levels` brackets inside each other. For documents of strangers: JSON.parse
 * takes any depth, and fifty bytes of memory for every bracket.
 */
export function exceedsDepth(bytes: Uint8Array, levels: number): boolean {
  let depth = 0;
  let inText = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === 0x22) inText = !inText;
    else if (inText) {
      if (byte === 0x5c) i++;
    } else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > levels) return true;
    } else if (byte === 0x5d || byte === 0x7d) {
      depth--;
    }
  }
  return false;
}
