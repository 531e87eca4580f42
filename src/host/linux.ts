/**
 * One function per system call, typed; the C side (linux.c) only passes words through.
 * Everything here acts on the calling (main) thread and is synchronous: namespaces are per thread.
 * Failures throw {@link Errno}; absence that callers expect is tested with {@link isErrno}.
 * @see reference native B (traps), man pages of section 2 (x86_64 and aarch64 numbers)
 */
import { createRequire } from 'node:module';
import { monotonicMs } from './clock.ts';
export { isErrno } from '../model/errors.ts';

declare const __DIST__: string;

type Word = number | bigint | string | Uint8Array | null;
interface Native {
  syscall(nr: number, ...args: Word[]): number;
  run(path: string, argv: string[], env: string[], stdin: Uint8Array | null, timeoutMs: number, maxBytes: number, cwd: string | null): NativeRun;
  execve(path: string, argv: string[], env: string[], keepFds: number[]): number;
  sendDetached(fd: number, message: Uint8Array): number;
  runDetached(path: string, argv: string[], env: string[], cwd: string | null): number;
  endWith(pidfd: number, text: string, lingerMs: number): number;
  trapSignals(signals: number[]): number;
  pendingSignal(): number;
  releaseSignals(): number;
}

/** What a child process did. `errno` is set when it could not be started at all. */
export interface NativeRun {
  readonly errno: number;
  /** exit code, -1 when a signal ended it */
  readonly status: number;
  readonly signal: number;
  readonly timedOut: boolean;
  /** a trapped INT, TERM or HUP arrived while it ran, and it was killed */
  readonly interrupted: boolean;
  readonly truncated: boolean;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

const native = createRequire(`${__DIST__}/`)(`${__DIST__}/linux.node`) as Native;

/** System call numbers: [x86_64, aarch64]. */
const numbers = {
  close: [3, 57],
  memfd_create: [319, 279],
  lseek: [8, 62],
  ioctl: [16, 29],
  socket: [41, 198],
  sendto: [44, 206],
  recvfrom: [45, 207],
  setsockopt: [54, 208],
  flock: [73, 32],
  fdatasync: [75, 83],
  syncfs: [306, 267],
  mount: [165, 40],
  umount2: [166, 39],
  fsetxattr: [190, 7],
  lsetxattr: [189, 6],
  lgetxattr: [192, 9],
  llistxattr: [195, 12],
  openat: [257, 56],
  mkdirat: [258, 34],
  mknodat: [259, 33],
  fchownat: [260, 54],
  unlinkat: [263, 35],
  renameat2: [316, 276],
  linkat: [265, 37],
  symlinkat: [266, 36],
  fchmodat: [268, 53],
  unshare: [272, 97],
  utimensat: [280, 88],
  setns: [308, 268],
  statfs: [137, 43],
  pidfd_open: [434, 434],
  pidfd_send_signal: [424, 424],
  openat2: [437, 437],
  ppoll: [271, 73],
  chroot: [161, 51],
  setgroups: [116, 159],
  setresuid: [117, 147],
  setresgid: [119, 149],
  getsockname: [51, 204],
  open_tree: [428, 428],
  move_mount: [429, 429],
  mount_setattr: [442, 442],
} as const satisfies Record<string, readonly [number, number]>;
const arch = process.arch === 'arm64' ? 1 : 0;

const names: Record<number, string> = {
  1: 'EPERM',
  2: 'ENOENT',
  3: 'ESRCH',
  4: 'EINTR',
  5: 'EIO',
  6: 'ENXIO',
  7: 'E2BIG',
  9: 'EBADF',
  11: 'EAGAIN',
  12: 'ENOMEM',
  13: 'EACCES',
  16: 'EBUSY',
  17: 'EEXIST',
  18: 'EXDEV',
  19: 'ENODEV',
  20: 'ENOTDIR',
  21: 'EISDIR',
  22: 'EINVAL',
  23: 'ENFILE',
  24: 'EMFILE',
  26: 'ETXTBSY',
  27: 'EFBIG',
  28: 'ENOSPC',
  30: 'EROFS',
  31: 'EMLINK',
  32: 'EPIPE',
  34: 'ERANGE',
  36: 'ENAMETOOLONG',
  38: 'ENOSYS',
  39: 'ENOTEMPTY',
  40: 'ELOOP',
  61: 'ENODATA',
  75: 'EOVERFLOW',
  85: 'ERESTART',
  92: 'ENOPROTOOPT',
  93: 'EPROTONOSUPPORT',
  95: 'EOPNOTSUPP',
  97: 'EAFNOSUPPORT',
  98: 'EADDRINUSE',
  99: 'EADDRNOTAVAIL',
  100: 'ENETDOWN',
  101: 'ENETUNREACH',
  105: 'ENOBUFS',
  110: 'ETIMEDOUT',
  113: 'EHOSTUNREACH',
  122: 'EDQUOT',
};

/** Name of an errno, `E<number>` when it has none here. */
export const errnoName = (errno: number): string => names[errno] ?? `E${errno}`;

/** A failed system call. `code` reads like Node's (`ENOENT`), so one predicate serves both. */
export class Errno extends Error {
  readonly code: string;
  constructor(
    readonly call: string,
    readonly errno: number,
    readonly subject = '',
    readonly detail = '',
  ) {
    super(`${call}${subject === '' ? '' : ` ${subject}`}: ${errnoName(errno)}${detail === '' ? '' : ` (${detail})`}`);
    this.name = 'Errno';
    this.code = errnoName(errno);
  }
}

let moves = 0;
/** Changes when this thread may have changed namespaces: what was learned of them holds until then. */
export const namespaceMoves = (): number => moves;

/** Raw call: result or -errno, never throws. For callers that branch on the errno. */
export function raw(name: keyof typeof numbers, ...args: Word[]): number {
  if (name === 'setns' || name === 'unshare') moves++;
  return native.syscall(numbers[name][arch], ...args);
}

/** The call's result; a signal that came between begins it anew. @throws Errno */
export function call(name: keyof typeof numbers, subject: string, ...args: Word[]): number {
  for (;;) {
    const result = raw(name, ...args);
    if (result >= 0) return result;
    if (result !== -4) throw new Errno(name, -result, subject);
  }
}

export const O = {
  RDONLY: 0,
  WRONLY: 1,
  RDWR: 2,
  CREAT: 0o100,
  EXCL: 0o200,
  TRUNC: 0o1000,
  APPEND: 0o2000,
  NONBLOCK: 0o4000,
  DIRECTORY: 0o200000,
  NOFOLLOW: 0o400000,
  CLOEXEC: 0o2000000,
  PATH: 0o10000000,
} as const;
export const CLONE = { NEWNS: 0x20000, NEWCGROUP: 0x2000000, NEWUTS: 0x4000000, NEWIPC: 0x8000000, NEWPID: 0x20000000, NEWNET: 0x40000000 } as const;
export const MS = {
  RDONLY: 1,
  NOSUID: 2,
  NODEV: 4,
  NOEXEC: 8,
  REMOUNT: 32,
  BIND: 4096,
  REC: 16384,
  PRIVATE: 1 << 18,
  SLAVE: 1 << 19,
  SHARED: 1 << 20,
  STRICTATIME: 1 << 24,
} as const;
export const MNT_DETACH = 2;
export const RESOLVE = { NO_XDEV: 1, NO_MAGICLINKS: 2, NO_SYMLINKS: 4, BENEATH: 8, IN_ROOT: 16 } as const;
export const LOCK = { SH: 1, EX: 2, NB: 4, UN: 8 } as const;
export const AT_FDCWD = -100;
const AT_REMOVEDIR = 0x200;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;

export const close = (fd: number): void => void call('close', `fd ${fd}`, fd);
export const unshare = (flags: number): void => void call('unshare', `0x${flags.toString(16)}`, flags);
export const setns = (fd: number, type: number): void => void call('setns', `fd ${fd}`, fd, type);
export const flock = (fd: number, operation: number): void => void call('flock', `fd ${fd}`, fd, operation);
export const fdatasync = (fd: number): void => void call('fdatasync', `fd ${fd}`, fd);

export function mount(source: string | null, target: string, type: string | null, flags: number, data: string | null): void {
  call('mount', `${source ?? type ?? ''} on ${target}`, source, target, type, flags, data);
}
export const umount = (target: string, flags = 0): void => void call('umount2', target, target, flags);

/** A file name: text, or its bytes with a NUL at the end, for names need not be UTF-8. */
export type Name = string | Uint8Array;
const text = (name: Name): string => (typeof name === 'string' ? name : Buffer.from(name).toString('utf8', 0, name.length - 1));

/** Opens `path` below the directory `dirFd`; no link may lead out of it. `resolve`: {@link RESOLVE} bits. */
export function openat2(dirFd: number, path: Name, flags: number, mode: number, resolve: number): number {
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(flags | O.CLOEXEC), 0);
  how.writeBigUInt64LE(BigInt(mode), 8);
  how.writeBigUInt64LE(BigInt(resolve), 16);
  for (let tries = 0; ; tries++) {
    const fd = raw('openat2', dirFd, path, how, 24);
    if (fd >= 0) return fd;
    // EAGAIN: a rename raced with the lookup of "..": the kernel asks for another try.
    if ((fd !== -11 && fd !== -4) || tries > 100) throw new Errno('openat2', -fd, text(path));
  }
}
export const mkdirat = (dirFd: number, name: Name, mode: number): void => void call('mkdirat', text(name), dirFd, name, mode);
export const mknodat = (dirFd: number, name: Name, mode: number, device: bigint | number): void =>
  void call('mknodat', text(name), dirFd, name, mode, device);
export const symlinkat = (target: Name, dirFd: number, name: Name): void => void call('symlinkat', text(name), target, dirFd, name);
export const linkat = (fromFd: number, from: Name, toFd: number, to: Name): void => void call('linkat', text(to), fromFd, from, toFd, to, 0);
export const unlinkat = (dirFd: number, name: Name, directory = false): void =>
  void call('unlinkat', text(name), dirFd, name, directory ? AT_REMOVEDIR : 0);
export const renameat = (fromFd: number, from: Name, toFd: number, to: Name): void => void call('renameat2', text(to), fromFd, from, toFd, to, 0);
export const fchownat = (dirFd: number, name: Name, uid: number, gid: number): void =>
  void call('fchownat', text(name), dirFd, name, uid, gid, AT_SYMLINK_NOFOLLOW | (name === '' ? AT_EMPTY_PATH : 0));
export const fchmodat = (dirFd: number, name: Name, mode: number): void => void call('fchmodat', text(name), dirFd, name, mode);

/** Sets modification (and access) time of `name` itself, links not followed. `ns`: nanoseconds since the epoch. */
export function utimensat(dirFd: number, name: Name, ns: bigint): void {
  const times = Buffer.alloc(32);
  // Rounded down, not towards zero: the nanoseconds of a time before 1970 are still counted upwards.
  const whole = (ns - (((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n)) / 1_000_000_000n;
  for (const offset of [0, 16]) {
    times.writeBigInt64LE(whole, offset);
    times.writeBigInt64LE(ns - whole * 1_000_000_000n, offset + 8);
  }
  call('utimensat', text(name), dirFd, name, times, AT_SYMLINK_NOFOLLOW);
}
/** Extended attribute on a path, links not followed. Reach names below a dirfd by `/proc/self/fd/N/name`. */
export const lsetxattr = (path: Name, name: string, value: Uint8Array): void =>
  void call('lsetxattr', `${text(path)} ${name}`, path, name, value, value.length, 0);
export const fsetxattr = (fd: number, name: string, value: Uint8Array): void =>
  void call('fsetxattr', `fd ${fd} ${name}`, fd, name, value, value.length, 0);
/** Moves the write position of `fd` to `offset` bytes from its start. */
export const seek = (fd: number, offset: number): void => void call('lseek', `fd ${fd}`, fd, offset, 0);
/** Writes everything of the file system that holds `fd` to its device: one barrier for a tree of many files. */
export const syncfs = (fd: number): void => void call('syncfs', `fd ${fd}`, fd);

export const pidfdOpen = (pid: number): number => call('pidfd_open', `pid ${pid}`, pid, 0);
export const pidfdSendSignal = (pidfd: number, signal: number): void => void call('pidfd_send_signal', `signal ${signal}`, pidfd, signal, null, 0);

/** `argument`: a number, or what the kernel reads and writes. `subject` says in errors what it was for. */
export const ioctl = (fd: number, request: number, argument: number | Uint8Array, subject: string): void =>
  void call('ioctl', subject, fd, request, argument);

/** Whether `fd` is a terminal (TCGETS answers). Importing node:tty for this costs 5 ms, for it brings node:net. */
export const isTerminal = (fd: number): boolean => raw('ioctl', fd, 0x5401, Buffer.alloc(64)) === 0;

/** Waits until `fd` is readable (a pidfd: until that process ended). False when `timeoutMs` passed first. */
export function waitReadable(fd: number, timeoutMs: number): boolean {
  const poll = Buffer.alloc(8);
  const time = Buffer.alloc(16);
  const deadline = monotonicMs() + timeoutMs;
  for (;;) {
    const left = Math.max(0, deadline - monotonicMs());
    poll.writeInt32LE(fd, 0);
    poll.writeInt16LE(1, 4);
    time.writeBigInt64LE(BigInt(Math.floor(left / 1000)), 0);
    time.writeBigInt64LE(BigInt(Math.floor((left % 1000) * 1e6)), 8);
    const ready = raw('ppoll', poll, 1, time, null, 8);
    if (ready === -4) continue;
    if (ready < 0) throw new Errno('ppoll', -ready);
    return ready > 0;
  }
}

export const socket = (family: number, type: number, protocol: number): number => call('socket', `family ${family}`, family, type, protocol);
export function setsockopt(fd: number, level: number, option: number, value: number): void {
  const word = Buffer.alloc(4);
  word.writeInt32LE(value);
  call('setsockopt', `option ${option}`, fd, level, option, word, 4);
}
export const send = (fd: number, message: Uint8Array): number => call('sendto', `fd ${fd}`, fd, message, message.length, 0, null, 0);
/** Receives one datagram into `into`; returns its full length (may exceed the buffer: MSG_TRUNC). */
export const receive = (fd: number, into: Uint8Array, flags = 0): number =>
  call('recvfrom', `fd ${fd}`, fd, into, into.length, flags | 0x20, null, null);

/** The same, without waiting; undefined when nothing is there: that is no error, and an exception would cost more than the call. */
export function receiveNow(fd: number, into: Uint8Array): number | undefined {
  const [MSG_DONTWAIT, MSG_TRUNC, EAGAIN, EINTR] = [0x40, 0x20, 11, 4];
  for (;;) {
    const result = raw('recvfrom', fd, into, into.length, MSG_DONTWAIT | MSG_TRUNC, null, null);
    if (result >= 0) return result;
    if (result === -EAGAIN) return undefined;
    if (result !== -EINTR) throw new Errno('recvfrom', -result, `fd ${fd}`);
  }
}

/** Filesystem type magic of `path` (statfs f_type). */
export function filesystemType(path: string): number {
  const result = Buffer.alloc(120);
  call('statfs', path, path, result);
  return Number(result.readBigInt64LE(0));
}

/** What an ordinary user may still put on the file system of `path`; `files` undefined: as many as there is space for. */
export function freeSpace(path: string): { readonly bytes: number; readonly files: number | undefined } {
  const result = Buffer.alloc(120);
  call('statfs', path, path, result);
  return {
    bytes: Number(result.readBigInt64LE(8) * result.readBigInt64LE(32)),
    files: result.readBigInt64LE(40) === 0n ? undefined : Number(result.readBigInt64LE(48)),
  };
}

/**
 * Replaces this process (same pid). Returns only by throwing. Of the open files, 0-2 and `keepFds` survive. Trapped signals
 * ({@link trapSignals}) are blocked in the new program and pending there if they come late; EINTR when one came before.
 */
export function execve(path: string, argv: readonly string[], env: Readonly<Record<string, string>>, keepFds: readonly number[]): never {
  const result = native.execve(path, [...argv], environmentList(env), [...keepFds]);
  throw new Errno('execve', -result, path);
}

/** Runs a program to its end; see linux.c for the process group, deadline and interrupt rules. */
export function run(
  path: string,
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  options: { stdin?: Uint8Array; timeoutMs: number; maxBytes: number; cwd?: string },
): NativeRun {
  return native.run(path, [...argv], environmentList(env), options.stdin ?? null, options.timeoutMs, options.maxBytes, options.cwd ?? null);
}

/** send(2) in a process of its own, which keeps every open file but 0-2 (locks too) until the kernel is done. */
export function sendDetached(fd: number, message: Uint8Array): void {
  const result = native.sendDetached(fd, message);
  if (result < 0) throw new Errno('fork', -result);
}

/** Starts a program that nobody waits for, in the namespaces of this thread: session of its own, no open files, no standard streams. `cwd`: ours by default. */
export function runDetached(
  path: string,
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  options: { readonly cwd?: string } = {},
): void {
  const result = native.runDetached(path, [...argv], environmentList(env), options.cwd ?? null);
  if (result < 0) throw new Errno('fork', -result, path);
}

/** When the process `pidfd` ends, `text` is written to stderr, and `lingerMs` later this process, whatever program it is by then, gets SIGINT. */
export function endWith(pidfd: number, text: string, lingerMs: number): void {
  const result = native.endWith(pidfd, text, lingerMs);
  if (result < 0) throw new Errno('fork', -result);
}

const environmentList = (env: Readonly<Record<string, string>>): string[] => Object.entries(env).map(([key, value]) => `${key}=${value}`);

export const SIGNAL = { HUP: 1, INT: 2, QUIT: 3, KILL: 9, TERM: 15 } as const;
/** From now on these signals are remembered instead of ending the process; ask {@link pendingSignal} between steps. */
export const trapSignals = (...signals: number[]): void => void native.trapSignals(signals);
/** The last trapped signal, 0 if none arrived. */
export const pendingSignal = (): number => native.pendingSignal();

/** Trapped signals end the process again; what is pending stays so. */
export const releaseSignals = (): void => void native.releaseSignals();
