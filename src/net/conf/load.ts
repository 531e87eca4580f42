/** Reads net.d directories. @see rkt.md 2.10, cni.md L10-L14 */
import { existsSync, lstatSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../../host/linux.ts';
import { messageOf } from '../../model/errors.ts';
import { byteOrder } from './order.ts';
import { parseList, parseSingle, type ConfText, type Parsed } from './parse.ts';
import type { ConfDirectory, ConfFault, FaultyFile, LoadedConf, NetworkConf } from './types.ts';

/** fatal: replacement characters would end up in a plugin's stdin; ignoreBOM: keep the bytes as they are */
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A configuration is a few kilobytes; what is larger is something else under a wrong name. */
const maxBytes = 1 << 20;

/** The three net.d directories, in order of precedence. `builtin` is the one that comes with rkt. */
export const confDirectories = (settings: { readonly localConfig: string; readonly systemConfig: string }, builtin: string): ConfDirectory[] => [
  { path: join(settings.localConfig, 'net.d'), owner: 'admin' },
  { path: join(settings.systemConfig, 'net.d'), owner: 'system' },
  { path: builtin, owner: 'builtin' },
];

/**
 * Loads every `.conf`, `.json` and `.conflist` of the directories. Never throws for what the files hold:
 * which fault matters depends on the request, so the planner decides. A directory that does not exist is empty.
 */
export function loadConf(directories: readonly ConfDirectory[]): LoadedConf {
  const networks: NetworkConf[] = [];
  const faulty: FaultyFile[] = [];
  const notices: string[] = [];
  const seen = new Set<string>();
  for (const { path: directory, owner } of directories) {
    // --system-config may name the admin's directory: one file must not be its own duplicate.
    if (seen.has(directory)) continue;
    seen.add(directory);
    const listed = list(directory, ['.conf', '.json', '.conflist']);
    if (listed.fault !== undefined) faulty.push({ path: directory, owner, faults: [listed.fault] });
    for (const path of listed.paths) {
      const read = readConf(path);
      if (read === undefined) continue;
      const parsed: Parsed<NetworkConf> = 'message' in read ? { faults: [read] } : parse(read, directory, owner);
      if ('ok' in parsed) {
        networks.push(parsed.ok);
        notices.push(...parsed.notices);
      } else {
        faulty.push({ path, owner, faults: parsed.faults, ...(parsed.name === undefined ? {} : { name: parsed.name }) });
      }
    }
  }
  return { networks, faulty, notices };
}

function parse(file: ConfText, directory: string, owner: ConfDirectory['owner']): Parsed<NetworkConf> {
  if (!file.path.endsWith('.conflist')) return parseSingle(file, owner);
  const unreadable: ConfFault[] = [];
  const parsed = parseList(file, owner, (network) => {
    const dropIns = `${directory}/${network}`;
    // Most networks have none, and a directory that is missing costs ten times as much to read as to look for.
    if (!existsSync(dropIns)) return [];
    const listed = list(dropIns, ['.conf']);
    // A file of the network's name is nobody's drop-in directory.
    if (listed.fault !== undefined && statSync(listed.fault.path, { throwIfNoEntry: false })?.isDirectory() !== false) unreadable.push(listed.fault);
    const reads = listed.paths.map(readConf).filter((read) => read !== undefined);
    unreadable.push(...reads.filter((read) => 'message' in read));
    return reads.filter((read) => 'text' in read);
  });
  if (unreadable.length === 0) return parsed;
  return 'ok' in parsed ? { faults: unreadable, name: parsed.ok.name } : { ...parsed, faults: [...parsed.faults, ...unreadable] };
}

function list(directory: string, endings: readonly string[]): { paths: string[]; fault?: ConfFault } {
  try {
    const names = readdirSync(directory).filter((name) => endings.some((ending) => name.endsWith(ending) && name !== ending));
    return { paths: names.sort(byteOrder).map((name) => `${directory}/${name}`) };
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return { paths: [] };
    return { paths: [], fault: { path: directory, jsonPath: '', message: `cannot be read: ${messageOf(error)}` } };
  }
}

/** Undefined for what is not a regular file (rkt 2.10: never opened, a FIFO would block); links to files count as files. */
function readConf(path: string): ConfText | ConfFault | undefined {
  try {
    const status = statSync(path);
    if (!status.isFile()) return undefined;
    if (status.size > maxBytes) return { path, jsonPath: '', message: `is larger than ${maxBytes} bytes` };
    return { path, text: strictUtf8.decode(readFileSync(path)) };
  } catch (error) {
    if (error instanceof TypeError) return { path, jsonPath: '', message: 'is not UTF-8 text' };
    // Removed since the directory was listed: as if it had never been there.
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
    return { path, jsonPath: '', message: isErrno(error, 'ENOENT') ? 'is a link to nothing' : `cannot be read: ${messageOf(error)}` };
  }
}
