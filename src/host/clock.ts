/** Time and boot identity. The only place that reads them. */
import { readFileSync } from 'node:fs';

export const now = (): Date => new Date();
/** Monotonic milliseconds, for durations. (The first use of `performance` costs 1 ms: Node compiles perf_hooks.) */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;
/** Seconds since boot, suspended time included: /proc/uptime, which shell scripts can read too. */
export const uptimeSeconds = (): number => Number.parseFloat(readFileSync('/proc/uptime', 'utf8'));
/** Identifies this boot of the kernel; what the kernel held under another id is gone. */
export const bootId = (): string => (boot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
let boot: string | undefined;
/** Blocks this thread; for short polls of kernel state that has no descriptor to wait on. */
export function sleepMs(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
