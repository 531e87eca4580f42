/** What libcni's loop needs from the composition root. */
import type { Plugin } from '../../model/cni/plugin.ts';
import type { CniCall } from './record.ts';

export interface CniServices {
  /** our plugins by type, used in process where the plan says `via: 'builtin'` */
  readonly plugins: ReadonlyMap<string, Plugin>;
  /** hears of every call when it has ended, delegates included (H1) */
  record(call: CniCall): void;
  /** libcni's cache directory; `/var/lib/cni` unless there is a reason ({@link defaultCacheDir}) */
  readonly cacheDir: string;
  /** deadline of one plugin call, its delegates and retries included, in ms */
  readonly timeoutMs: number;
  /** deadline of one DEL or GC call: its own, because clean-up must run when the time of ADD is used up (L23) */
  readonly cleanupTimeoutMs: number;
  /** monotonic, ms */
  now(): number;
  /** environment of executables; CNI_* in it is replaced */
  readonly env: Readonly<Record<string, string>>;
}

export const defaultCacheDir = '/var/lib/cni';
export const defaultTimeoutMs = 30_000;
