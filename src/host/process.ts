/** Other processes: named by pid *and* start time, because a pid alone may be somebody else's by the time it is used. */
import { statSync } from 'node:fs';
import { namesIn, readText } from './files.ts';
import { close, endWith, isErrno, pidfdOpen, pidfdSendSignal, waitReadable } from './linux.ts';

/** A process that a file or journal remembers. `startTime`: clock ticks since boot, as in /proc/PID/stat. */
export interface ProcessId {
  readonly pid: number;
  readonly startTime: string;
}

/** When `pid` started (field 22 of its stat file); undefined when there is no such process, or only its zombie. */
export function startTimeOf(pid: number): string | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  // The command in field 2 may hold spaces and parentheses: count from the last one.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields === undefined || fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}

/** Reads a `pid starttime` file; undefined when it does not exist or says something else. */
export function readProcessId(path: string): ProcessId | undefined {
  const match = /^(\d+) (\d+)\s*$/.exec(readText(path) ?? '');
  return match === null ? undefined : { pid: Number(match[1]), startTime: match[2] ?? '' };
}

export const isAlive = (process: ProcessId): boolean => startTimeOf(process.pid) === process.startTime;

/** A process that cannot be mistaken for another: holds a pidfd. */
export interface HeldProcess extends Disposable {
  /** False when it has ended. */
  signal(number: number): boolean;
  /** Waits for its end; false when `timeoutMs` passed first. */
  waitEnd(timeoutMs: number): boolean;
  /** With its end this process ends too, by SIGINT, also when it has become another program: `text` goes to stderr, and it has `lingerMs` more. */
  endWithIt(text: string, lingerMs: number): void;
}

/** Holds the very process `wanted` names; undefined when it has ended. */
export function holdProcess(wanted: ProcessId): HeldProcess | undefined {
  let fd: number;
  try {
    fd = pidfdOpen(wanted.pid);
  } catch (error) {
    if (isErrno(error, 'ESRCH', 'EINVAL')) return undefined;
    throw error;
  }
  // Opened first, compared second: what the descriptor holds is what the start time is read from, or it has ended.
  if (!isAlive(wanted)) {
    close(fd);
    return undefined;
  }
  return {
    signal(number) {
      try {
        pidfdSendSignal(fd, number);
        return true;
      } catch (error) {
        if (isErrno(error, 'ESRCH')) return false;
        throw error;
      }
    },
    waitEnd: (timeoutMs) => waitReadable(fd, timeoutMs),
    endWithIt: (text, lingerMs) => endWith(fd, text, lingerMs),
    [Symbol.dispose]: () => close(fd),
  };
}

/** Processes that have `path` open, found by looking at every descriptor there is: slow, and as of now. */
export function openersOf(path: string): ProcessId[] {
  const wanted = statSync(path);
  const isOpenIn = (pid: number, fd: string): boolean => {
    try {
      const { dev, ino } = statSync(`/proc/${pid}/fd/${fd}`);
      return dev === wanted.dev && ino === wanted.ino;
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ESRCH', 'EACCES')) return false; // closed, ended, or somebody else's
      throw error;
    }
  };
  return namesIn('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    const pid = Number(name);
    const startTime = startTimeOf(pid);
    return startTime !== undefined && descriptorsOf(pid).some((fd) => isOpenIn(pid, fd)) ? [{ pid, startTime }] : [];
  });
}

function descriptorsOf(pid: number): string[] {
  try {
    return namesIn(`/proc/${pid}/fd`);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH', 'EACCES')) return [];
    throw error;
  }
}
