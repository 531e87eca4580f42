/** Persistent tap devices, made in the network namespace this thread is in. @see linux/if_tun.h, Documentation/networking/tuntap.rst */
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs';
import { Errno, ioctl, isErrno } from './linux.ts';
import { findExecutable, runProgram } from './run-program.ts';

const device = '/dev/net/tun';
const TUNSETIFF = 0x400454ca;
const TUNSETPERSIST = 0x400454cb;
const TUNSETOWNER = 0x400454cc;
const TUNSETGROUP = 0x400454ce;
const IFF = { TAP: 2, MULTI_QUEUE: 0x100, NO_PI: 0x1000, VNET_HDR: 0x4000, TUN_EXCL: 0x8000 } as const;
const IFNAMSIZ = 16;

export interface TapOptions {
  readonly multiQueue: boolean;
  /** uid and gid that may open it; absent: only CAP_NET_ADMIN */
  readonly owner?: number | undefined;
  readonly group?: number | undefined;
}

/** Makes a tap called `name`, down. Whatever fails, nothing stays: a tap that is not yet persistent ends with its file. @throws Errno */
export function createTap(name: string, { multiQueue, owner, group }: TapOptions): void {
  const fd = openSync(device, 'r+');
  try {
    const request = Buffer.alloc(40);
    request.write(name, 0, IFNAMSIZ - 1, 'utf8');
    request.writeUInt16LE(IFF.TAP | IFF.NO_PI | IFF.VNET_HDR | IFF.TUN_EXCL | (multiQueue ? IFF.MULTI_QUEUE : 0), IFNAMSIZ);
    ioctl(fd, TUNSETIFF, request, `create tap ${name}`);
    if (owner !== undefined) ioctl(fd, TUNSETOWNER, owner, `owner of ${name}`);
    if (group !== undefined) ioctl(fd, TUNSETGROUP, group, `group of ${name}`);
    ioctl(fd, TUNSETPERSIST, 1, `keep ${name}`);
  } finally {
    closeSync(fd);
  }
}

/** The kernel's answer to a name that is taken: EBUSY with the flag that forbids to share. */
export const isTapNameTaken = (error: unknown): boolean => error instanceof Errno && error.call === 'ioctl' && error.code === 'EBUSY';

/** Whether there is anything to make a tap with. */
export function hasTaps(): boolean {
  try {
    closeSync(openSync(device, 'r+'));
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENODEV', 'ENXIO')) return false;
    throw error;
  }
}

/** Whether processes and devices of this machine have SELinux labels. */
export const hasSelinux = (): boolean => existsSync('/sys/fs/selinux/enforce');

/**
 * As {@link createTap}, with the SELinux label `context`. The kernel gives a tap the label of the process that makes it, so
 * `ip tuntap` is run as one with that label.
 */
export function createLabelledTap(name: string, { multiQueue, owner, group }: TapOptions, context: string): void {
  const program = findExecutable('ip', ['/usr/sbin', '/sbin', '/usr/bin', '/bin']);
  if (program === undefined) throw new Error('a tap with an SELinux label needs the program ip');
  const argv = [
    ...'ip tuntap add mode tap vnet_hdr dev'.split(' '),
    name,
    ...(owner === undefined ? [] : ['user', `${owner}`]),
    ...(group === undefined ? [] : ['group', `${group}`]),
    ...(multiQueue ? ['multi_queue'] : []),
  ];
  const label = '/proc/thread-self/attr/exec';
  writeFileSync(label, context);
  try {
    const outcome = runProgram({ path: program, argv, env: {}, timeoutMs: 10_000, maxBytes: 4096 });
    if (outcome.kind === 'not-started') throw new Error(`cannot run ${program}: ${outcome.reason}`);
    if (outcome.kind !== 'exited' || outcome.status !== 0) throw new Error(`ip tuntap: ${outcome.stderr.toString().trim()}`);
  } finally {
    writeFileSync(label, '\0');
  }
}
