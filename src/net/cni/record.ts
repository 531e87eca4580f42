/** What was asked of a plugin and what it said, kept for the person who has to find out later (H1, complaint 27). */
import { appendFileSync } from 'node:fs';
import type { CniCommand } from '../../model/cni/types.ts';
import type { PluginNote } from '../../model/cni/plugin.ts';

/** One call; the same whether the plugin ran in process or as an executable. */
export interface CniCall {
  readonly verb: CniCommand;
  readonly network: string;
  /** plugin type; for an IPAM delegate its own, with `delegatedBy` */
  readonly plugin: string;
  readonly delegatedBy?: string;
  /** 'builtin' or the path of the executable */
  readonly via: string;
  /** CNI_* variables */
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
  /** exit status as text: `0`, `1`, `signal 9`, `timeout`, `interrupted`, `ENOENT` */
  readonly exit: string;
  readonly notes: readonly PluginNote[];
}

/** Characters kept of stdin, stdout and stderr each. */
export const maxRecordedText = 16 * 1024;

const bounded = (text: string): string => (text.length <= maxRecordedText ? text : `${text.slice(0, maxRecordedText)}… (${text.length - maxRecordedText} more characters)`);

/** A call as one line of JSON: whatever a plugin printed, a terminal that shows the line stays safe up to C1 controls, which are escaped too. */
export function callLine(call: CniCall): string {
  const line = JSON.stringify({ ...call, ms: Math.round(call.ms * 10) / 10, stdin: bounded(call.stdin), stdout: bounded(call.stdout), stderr: bounded(call.stderr) });
  return `${line.replace(/[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`;
}

/** A recorder that appends to `path`. */
export const recordTo = (path: string) => (call: CniCall): void => appendFileSync(path, callLine(call), { mode: 0o640 });
