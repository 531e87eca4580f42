/** YAML and JSON text → values that know their line. Aliases are followed within limits, duplicate keys refused. */
import { LineCounter, isAlias, isMap, isScalar, isSeq, parseAllDocuments, type Document, type Node } from 'yaml';
import type { Faults } from './faults.ts';

export type Scalar = string | number | boolean | null;
export interface MapEntry {
  readonly line: number;
  readonly value: Located;
}
/** A value with the line it begins on. `plain`: a scalar that was written without quotes; `raw` is its text. */
export type Located = { readonly line: number } & (
  | { readonly kind: 'map'; readonly entries: ReadonlyMap<string, MapEntry> }
  | { readonly kind: 'list'; readonly items: readonly Located[] }
  | { readonly kind: 'scalar'; readonly value: Scalar; readonly raw: string; readonly plain: boolean }
);

/** Characters of one file. An object of the API server is 1.5 MiB at most, and parsing a MiB takes 0.7 s. */
export const mostCharacters = 4 << 20;
/** Values that aliases of one file may stand for, copies counted: a billion laughs is refused before it is laughed. */
const mostAliased = 10_000;
/** Levels of nesting: recursion below is safe, and nobody writes more. */
const mostLevels = 100;
const mostFaultsOfFile = 20;

class Refused extends Error {
  constructor(
    readonly line: number,
    message: string,
  ) {
    super(message);
  }
}

/**
 * Reads every document of a file.
 * @returns those without fault, empty ones left out; a document with a fault is told and left out
 */
export function readYaml(file: string, text: string, faults: Faults): Located[] {
  if (text.length > mostCharacters) {
    faults.add({ file, line: 1 }, '', `the file has ${text.length} characters, more than the ${mostCharacters} that are read`);
    return [];
  }
  const control = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.exec(text); // oxlint-disable-line no-control-regex -- YAML 1.2 5.1 forbids them
  if (control !== null) {
    const line = text.slice(0, control.index).split('\n').length;
    faults.add({ file, line }, '', `the control character 0x${control[0].charCodeAt(0).toString(16).padStart(2, '0')} is not allowed in YAML`);
    return [];
  }
  const tooDeep = deepestFlow(text);
  if (tooDeep !== undefined) {
    faults.add({ file, line: tooDeep }, '', `more than ${mostLevels} levels of nesting`);
    return [];
  }
  const lines = new LineCounter();
  const documents = parse(file, text, lines, faults);
  const budget = { left: mostAliased };
  return documents.flatMap((document): Located[] => {
    if (document.errors.length > 0) {
      // What follows the first error of grammar is mostly its echo.
      const grammar = document.errors.find(({ code }) => code !== 'DUPLICATE_KEY');
      const told = document.errors.filter((error) => error === grammar || error.code === 'DUPLICATE_KEY');
      for (const error of told.slice(0, mostFaultsOfFile)) faults.add({ file, line: lineAt(lines, error.pos[0]) }, '', reason(error));
      return [];
    }
    if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) return [];
    try {
      return [locate(document.contents, document, lines, budget, 0, 0)];
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      faults.add({ file, line: error.line }, '', error.message);
      return [];
    }
  });
}

const lineAt = (lines: LineCounter, offset: number): number => Math.max(lines.linePos(offset).line, 1);

function parse(file: string, text: string, lines: LineCounter, faults: Faults): Document[] {
  try {
    const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, merge: true, uniqueKeys: true, logLevel: 'silent' });
    return Array.isArray(documents) ? (documents as Document[]) : [];
  } catch (error) {
    // The parser recurses over block nesting, which cannot be counted as cheaply as brackets.
    if (!(error instanceof RangeError)) throw error;
    faults.add({ file, line: 1 }, '', `more than ${mostLevels} levels of nesting`);
    return [];
  }
}

/** The line on which brackets become nested too deeply. Brackets in strings are counted as well: they come in pairs, or are few. */
function deepestFlow(text: string): number | undefined {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x5b || code === 0x7b) depth++;
    else if (code === 0x5d || code === 0x7d) depth = Math.max(depth - 1, 0);
    else continue;
    if (depth > mostLevels * 10) return text.slice(0, i).split('\n').length;
  }
  return undefined;
}

/** The parser's message, in our tone: its first sentence, lower-case. */
function reason({ code, message }: { code: string; message: string }): string {
  if (code === 'DUPLICATE_KEY') return 'the key is there twice in one mapping';
  if (code === 'TAB_AS_INDENT') return 'a tab cannot indent YAML: use spaces';
  const first = message.split('\n')[0] ?? message;
  return `not YAML: ${first.charAt(0).toLowerCase()}${first.slice(1).replace(/\.$/, '')}`;
}

function locate(node: Node | null, document: Document, lines: LineCounter, budget: { left: number }, level: number, aliased: number): Located {
  const line = lineAt(lines, node?.range?.[0] ?? 0);
  if (level > mostLevels) throw new Refused(line, `more than ${mostLevels} levels of nesting`);
  if (aliased > 0 && --budget.left < 0) throw new Refused(line, `aliases stand for more than ${mostAliased} values`);
  if (isAlias(node)) {
    const target = node.resolve(document);
    if (target === undefined) throw new Refused(line, `no anchor &${node.source} before this alias`);
    return locate(target, document, lines, budget, level + 1, aliased + 1);
  }
  if (isMap(node)) {
    const entries = new Map<string, MapEntry>();
    for (const pair of node.items) {
      const key = pair.key as Node | null;
      const keyLine = lineAt(lines, key?.range?.[0] ?? node.range?.[0] ?? 0);
      if (isScalar(key) && key.source === '<<' && key.type === 'PLAIN') {
        mergeInto(entries, locate(pair.value as Node | null, document, lines, budget, level + 1, aliased + 1), keyLine);
        continue;
      }
      if (!isScalar(key)) throw new Refused(keyLine, 'a key of a mapping must be text');
      const name = typeof key.value === 'string' ? key.value : (key.source ?? String(key.value));
      const value =
        pair.value === null
          ? ({ kind: 'scalar', value: null, raw: '', plain: true, line: keyLine } as const)
          : locate(pair.value as Node, document, lines, budget, level + 1, aliased);
      entries.set(name, { line: keyLine, value: value.kind === 'scalar' && value.raw === '' ? { ...value, line: keyLine } : value });
    }
    return { kind: 'map', entries, line };
  }
  if (isSeq(node))
    return { kind: 'list', items: node.items.map((item) => locate(item as Node | null, document, lines, budget, level + 1, aliased)), line };
  if (!isScalar(node)) return { kind: 'scalar', value: null, raw: '', plain: true, line };
  const { value } = node;
  if (value !== null && typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean')
    throw new Refused(line, `a value of type ${typeof value} has no place in a manifest`);
  return { kind: 'scalar', value, raw: node.source ?? String(value), plain: node.type === 'PLAIN', line };
}

/** `<<: *defaults`: keys that are written out win, wherever they stand. */
function mergeInto(entries: Map<string, MapEntry>, merged: Located, line: number): void {
  const maps = merged.kind === 'list' ? merged.items : [merged];
  for (const map of maps) {
    if (map.kind !== 'map') throw new Refused(line, 'only mappings can be merged by <<');
    for (const [key, entry] of map.entries) if (!entries.has(key)) entries.set(key, entry);
  }
}

/**
 * Whether a plain scalar is a boolean to Kubernetes' reader (YAML 1.1), though it is text in YAML 1.2. `y` and `n` are to it as well, but
 * are let pass: examples call namespaces so.
 */
export const isOldBoolean = (located: Located): boolean => located.kind === 'scalar' && located.plain && /^(yes|no|on|off)$/i.test(located.raw);
