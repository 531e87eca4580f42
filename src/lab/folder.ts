/** Reads what an experiment is made of: a folder, one file, or standard input. */
import { readFileSync, readdirSync, statSync, type Dirent } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { RuntimeError, isErrno, messageOf } from '../model/errors.ts';
import { badInputStatus } from '../policy/manifests/faults.ts';
import type { Folder } from '../policy/manifests/folder.ts';
import { mostCharacters } from '../policy/manifests/yaml.ts';

const experimentNames = ['experiment.yaml', 'experiment.yml', 'experiment.json'];
const isManifest = (name: string): boolean => /\.(ya?ml|json)$/i.test(name);
/** Folders that hold no manifests of their own. */
const isPassedOver = (name: string): boolean => name.startsWith('.') || name === 'node_modules';
const mostFiles = 10_000;

const standardInput = '-';

/**
 * Opens a folder, a file, or `-`. Nothing below a link to a folder is read, so there are no cycles.
 * @throws ERR_LAB_INPUT when there is nothing to read
 */
export function openFolder(path: string): Folder {
  if (path === standardInput) return ofTexts('standard input', new Map([[standardInput, readFileSync(0, 'utf8')]]));
  if (!statOf(path).isDirectory()) return ofFile(path);
  const folder = ofFiles(resolve(path));
  const name = experimentNames.find((one) => folder.files.includes(one));
  return {
    ...folder,
    ...(name === undefined ? {} : asExperiment(join(path, name))),
    files: folder.files.filter((file) => file !== name),
  };
}

/** One file: manifests, or an experiment that names what else it is made of. Several experiments may share a folder so. */
function ofFile(path: string): Folder {
  const folder = { ...ofFiles(dirname(path), false), name: basename(path) };
  const found = readManifestFile(path);
  const isExperiment = 'text' in found && !/^["']?(kind|apiVersion)\b/m.test(found.text) && experimentKeys.test(found.text);
  return isExperiment ? { ...folder, ...asExperiment(path), files: [] } : { ...folder, files: [basename(path)] };
}
const experimentKeys = /^["']?(pods|policies|steps|probes|namespaces|networks|expect)["']?:/m;

function asExperiment(path: string): Pick<Folder, 'experiment'> {
  const found = readManifestFile(path);
  if ('fault' in found) throw refuse(`${path}: ${found.fault}`);
  return { experiment: { file: basename(path), text: found.text } };
}

const refuse = (message: string, hint?: string): RuntimeError =>
  new RuntimeError('ERR_LAB_INPUT', message, { exitCode: badInputStatus, ...(hint === undefined ? {} : { hint }) });

function statOf(path: string): ReturnType<typeof statSync> & object {
  try {
    return statSync(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) throw refuse(`there is no ${path}`, 'name a folder of manifests, a file, or - for standard input');
    throw refuse(`cannot read ${path}: ${messageOf(error)}`);
  }
}

function ofTexts(name: string, texts: ReadonlyMap<string, string>): Folder {
  return {
    name,
    files: [...texts.keys()],
    expand: (pattern) => (texts.has(pattern) ? [pattern] : []),
    read: (file) => {
      const text = texts.get(file);
      return text === undefined ? { fault: `there is no ${file}` } : { text };
    },
  };
}

function ofFiles(root: string, list = true): Folder {
  return {
    name: basename(root),
    files: list ? manifestsBelow(root, root) : [],
    expand: (pattern) => expand(root, pattern),
    read: (file) => readManifestFile(resolve(root, file)),
  };
}

function readManifestFile(path: string): { text: string } | { fault: string } {
  try {
    // A size is checked before the content is in memory, and the parser checks characters again.
    const { size } = statSync(path);
    if (size > mostCharacters) return { fault: `the file has ${size} bytes, more than the ${mostCharacters} that are read` };
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path)) };
  } catch (error) {
    if (error instanceof TypeError) return { fault: 'the file is not UTF-8 text' };
    if (isErrno(error, 'ENOENT', 'EISDIR', 'ENOTDIR')) return { fault: 'there is no such file' };
    return { fault: `cannot be read: ${messageOf(error)}` };
  }
}

/** Paths below `root`, relative to `base`, sorted. */
function manifestsBelow(root: string, base: string): string[] {
  const found: string[] = [];
  const walk = (dir: string): void => {
    for (const entry of entriesOf(dir)) {
      const path = join(dir, entry.name);
      if (entry.isDirectory()) {
        if (!isPassedOver(entry.name)) walk(path);
      } else if (isManifest(entry.name) && !entry.name.startsWith('.')) found.push(relative(base, path));
      if (found.length > mostFiles) throw refuse(`${base} has more than ${mostFiles} manifests`, 'name the folder that holds the experiment');
    }
  };
  walk(root);
  return found.sort();
}

function entriesOf(dir: string): Dirent[] {
  try {
    return readdirSync(dir, { withFileTypes: true });
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw refuse(`cannot read ${dir}: ${messageOf(error)}`);
  }
}

/** `*` and `?` stay within a name, `**` crosses folders. What is no pattern is a file, or a folder with all below it. */
function expand(root: string, pattern: string): string[] {
  const parts = pattern.split('/');
  const wild = parts.findIndex((part) => /[*?]/.test(part));
  if (wild < 0) {
    const path = resolve(root, pattern);
    const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
    return isFolder ? manifestsBelow(path, root) : [relative(root, path)];
  }
  const start = resolve(root, parts.slice(0, wild).join('/') || '.');
  const matcher = globExpression(parts.slice(wild).join('/'));
  return manifestsBelow(start, start)
    .filter((path) => matcher.test(path))
    .map((path) => relative(root, join(start, path)));
}

function globExpression(pattern: string): RegExp {
  const source = pattern.replace(/\*\*\/|\*\*|[*?]|[.+^${}()|[\]\\]/g, (token) => {
    if (token === '**/') return '(?:.*/)?';
    if (token === '**') return '.*';
    if (token === '*') return '[^/]*';
    return token === '?' ? '[^/]' : `\\${token}`;
  });
  return new RegExp(`^${source}$`);
}
