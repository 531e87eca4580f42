/** Files of the configuration directories: found, read, their JSON and header checked. @see rkt.md 2.15 */
import { lstatSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno, messageOf, printable } from '../../model/errors.ts';
import { isObject } from '../../model/cni/known-key.ts';
import { JsonSyntaxError, lineColumn, maxDepth, pathText, readSpans, spanAt } from '../../model/json-text.ts';
import type { Settings } from '../../model/settings.ts';

/** Directories and the kinds of file in each. */
export const directories = {
  'auth.d': ['auth', 'dockerAuth'],
  'paths.d': ['paths'],
  'stage1.d': ['stage1'],
  'registries.d': ['registries'],
  'limits.d': ['imageLimits'],
} as const;
export type ConfigDirectory = keyof typeof directories;
export type ConfigKind = (typeof directories)[ConfigDirectory][number];

/** What is wrong inside a document, and where. */
export interface Fault {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** One file whose header is right. */
export interface ConfigFile {
  readonly path: string;
  readonly kind: ConfigKind;
  readonly value: Readonly<Record<string, unknown>>;
  /** a fault as one line: file, line, column, where in the document, what */
  readonly faultText: (fault: Fault) => string;
}

/** Configuration directories, in the order they are read: what is read later wins. A directory that is named twice counts once. */
export const configDirectories = ({
  systemConfig,
  localConfig,
  userConfig,
}: Pick<Settings, 'systemConfig' | 'localConfig' | 'userConfig'>): string[] => [
  ...new Set([systemConfig, localConfig, ...(userConfig === undefined ? [] : [userConfig])]),
];

/** A configuration is a few kilobytes; what is larger is something else under a wrong name. */
const maxBytes = 1 << 20;

/** Reads every `*.json` of one sub-directory (`auth.d`, …) of one configuration directory, as they are asked for; `faults` hears what is wrong. */
export function* readDirectory(base: string, directory: ConfigDirectory, faults: string[]): Generator<ConfigFile> {
  const parent = join(base, directory);
  let names: string[];
  try {
    names = readdirSync(parent).filter((name) => name.endsWith('.json'));
  } catch (error) {
    // What an ordinary user may not look into is not meant for them: credentials are often kept from others.
    const isHidden = isErrno(error, 'EACCES') && process.getuid?.() !== 0;
    if (!isErrno(error, 'ENOENT') && !isHidden) faults.push(`${parent} cannot be read: ${messageOf(error)}`);
    return;
  }
  for (const path of names.sort().map((name) => join(parent, name))) {
    const text = readRegular(path, faults);
    const file = text === undefined ? undefined : parseFile(path, directory, text, faults);
    if (file !== undefined) yield file;
  }
}

/** The text of a regular file (links to one count); undefined for what is none, and when `faults` heard why it cannot be read. */
export function readRegular(path: string, faults: string[]): string | undefined {
  try {
    const status = statSync(path);
    // Never opened: a FIFO would block.
    if (!status.isFile()) return undefined;
    if (status.size > maxBytes) return void faults.push(`${path} is larger than ${maxBytes} bytes`);
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(readFileSync(path));
  } catch (error) {
    if (error instanceof TypeError) return void faults.push(`${path} is not UTF-8 text`);
    // Removed since the directory was listed: as if it had never been there.
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
    return void faults.push(isErrno(error, 'ENOENT') ? `${path} is a link to nothing` : `${path} cannot be read: ${messageOf(error)}`);
  }
}

/** Parses JSON; undefined when `faults` heard where it is wrong. */
export function parseJson(path: string, text: string, faults: string[]): { readonly value: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    // JSON.parse nests without limit, what tells places does not.
    if (text.split(/[[{]/).length > maxDepth) readSpans(text);
    return { value };
  } catch {
    faults.push(`${path}${syntaxFault(text)}`);
    return undefined;
  }
}

function syntaxFault(text: string): string {
  if (text.trim() === '') return ': not JSON: the file is empty';
  if (text.startsWith('\ufeff')) return ': not JSON: it begins with a byte order mark; save it as UTF-8 without one';
  try {
    readSpans(text);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    const { line, column } = lineColumn(text, error.offset);
    return `:${line}:${column}: not JSON: ${error.message}`;
  }
  return ': not JSON';
}

/** A fault of the document `text` as one line. */
export function placed(path: string, text: string, fault: Fault): string {
  const { line, column } = lineColumn(text, spanAt(readSpans(text), fault.path).start);
  const where = pathText(fault.path);
  return printable(`${path}:${line}:${column}: ${where === '' ? '' : `${where} `}${fault.message}`);
}

function parseFile(path: string, directory: ConfigDirectory, text: string, faults: string[]): ConfigFile | undefined {
  const parsed = parseJson(path, text, faults);
  if (parsed === undefined) return undefined;
  const { value } = parsed;
  const faultText = (fault: Fault): string => placed(path, text, fault);
  if (!isObject(value)) return void faults.push(faultText({ path: [], message: 'must be an object' }));
  const kinds: readonly ConfigKind[] = directories[directory];
  const { rktKind, rktVersion } = value;
  const kind = kinds.find((known) => known === rktKind);
  const wrong: Fault[] = [];
  if (kind === undefined) {
    const wanted = kinds.map((known) => JSON.stringify(known)).join(' or ');
    wrong.push({
      path: ['rktKind'],
      message: `${rktKind === undefined ? 'is missing; must be' : `is ${shown(rktKind)}, but files in ${directory} are of kind`} ${wanted}`,
    });
  }
  if (rktVersion !== 'v1')
    wrong.push({ path: ['rktVersion'], message: rktVersion === undefined ? 'is missing; must be "v1"' : `must be "v1", not ${shown(rktVersion)}` });
  faults.push(...wrong.map(faultText));
  return kind === undefined || wrong.length > 0 ? undefined : { path, kind, value, faultText };
}

/** A value in a message, cut. Never for what may be a secret. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined';
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
