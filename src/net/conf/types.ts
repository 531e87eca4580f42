/** What net.d directories hold, as values. */
import type { CniVersion, PluginConf } from '../../model/cni/types.ts';
import type { PlannedNetwork } from '../../model/plan.ts';

export type ConfOwner = PlannedNetwork['source']['owner'];

/** One net.d directory and whose it is. */
export interface ConfDirectory {
  readonly path: string;
  readonly owner: ConfOwner;
}

/** A network a file defines, valid. */
export interface NetworkConf {
  readonly name: string;
  /** `dropIns`: files whose plugins were appended, absent when there are none */
  readonly source: PlannedNetwork['source'];
  /** the configuration list as text: the file's own bytes, or a `.conf` wrapped, or with its drop-ins inserted */
  readonly text: string;
  /** the file's own bytes when it holds a single plugin (`.conf`, `.json`) */
  readonly rawConf?: string;
  /** versions the list names and rkt speaks, oldest first; never empty (L10, V1) */
  readonly versions: readonly CniVersion[];
  readonly disableCheck: boolean;
  readonly disableGC: boolean;
  /** inlined ones first, then those of drop-in files in file-name order (L13) */
  readonly plugins: readonly PluginConf[];
}

/** One thing wrong with one file. Lines and columns start at 1. */
export interface ConfFault {
  readonly path: string;
  readonly line?: number;
  readonly column?: number;
  /** `plugins[1].type`; '' for the whole file */
  readonly jsonPath: string;
  readonly message: string;
}

/** A file that defines no network because of its faults. */
export interface FaultyFile {
  readonly path: string;
  readonly owner: ConfOwner;
  /** the network it meant to define, when that much can be read */
  readonly name?: string;
  readonly faults: readonly ConfFault[];
}

/** Everything found, overridden definitions included: directories by precedence, files by name. */
export interface LoadedConf {
  readonly networks: readonly NetworkConf[];
  readonly faulty: readonly FaultyFile[];
  /** oddities that change nothing, e.g. a reserved key */
  readonly notices: readonly string[];
}

/** `file:line:column: json.path: what is wrong` */
export function faultText(fault: ConfFault): string {
  const place = fault.line === undefined ? fault.path : `${fault.path}:${fault.line}:${fault.column ?? 1}`;
  return `${place}: ${fault.jsonPath === '' ? '' : `${fault.jsonPath}: `}${fault.message}`;
}
