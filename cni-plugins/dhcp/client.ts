/** The DHCP client of an attachment: busybox's udhcpc in the pod's namespace, one process each, which nobody waits for. */
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { monotonicMs, sleepMs, uptimeSeconds } from '../../src/host/clock.ts';
import { readText } from '../../src/host/files.ts';
import { SIGNAL, pendingSignal, runDetached } from '../../src/host/linux.ts';
import { netnsIdentity, withNetns } from '../../src/host/netns.ts';
import { type HeldProcess, holdProcess, startTimeOf } from '../../src/host/process.ts';
import { findExecutable, runProgram } from '../../src/host/run-program.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import type { ReleaseOp } from '../../src/model/release.ts';
import { isErrno } from '../../src/model/errors.ts';
import type { DhcpConf } from './conf.ts';
import { type Lease, parseLease } from './lease.ts';
import { type ClientFiles, readRecord } from './store.ts';

declare const __DIST__: string;

const directories = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
const script = `${__DIST__}/dhcp/lease-event`;
/** No lease: 100 and more are a plugin's own codes (P23). */
const noLease = 100;

const pollMs = 5;
const discoverIntervalSeconds = 2;
/** The client gives up by itself; this much later it is taken for stuck. */
const stuckAfterMs = 3_000;
/** How long a release may take. */
const endTimeoutMs = 2_000;

/** The client's program; busybox is asked whether it has the applet. @throws CniError 50 when there is none */
export function findClient(): string {
  const own = findExecutable('udhcpc', directories);
  if (own !== undefined) return own;
  const busybox = findExecutable('busybox', directories);
  if (busybox === undefined) throw unavailable('neither udhcpc nor busybox is installed');
  const listed = runProgram({ path: busybox, argv: ['busybox', '--list'], env: {}, timeoutMs: 5_000, maxBytes: 1 << 16 });
  if (listed.kind === 'exited' && listed.stdout.toString().split('\n').includes('udhcpc')) return busybox;
  throw unavailable(`${busybox} has no udhcpc`);
}
const unavailable = (reason: string): CniError =>
  new CniError(cniCode.notAvailable, `no DHCP client: ${reason}`, `install Debian's udhcpc or busybox-static; searched ${directories.join(', ')}`);

/**
 * Starts a client for `ifName` in `netns` and waits for its first lease.
 * @throws CniError {@link noLease} when there is none; the client is then ended by {@link stopClient}
 */
export function acquire(files: ClientFiles, netns: string, ifName: string, conf: DhcpConf): Lease {
  const program = findClient();
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  const argv = [
    'udhcpc',
    '-f', // stays the process we started
    '-R', // releases the lease when it is ended
    '-C', // the client identifier is ours
    '-o', // what is asked for is ours
    '-n', // without a first lease it ends
    '-i',
    ifName,
    '-p',
    files.pid,
    '-s',
    script,
    '-T',
    `${discoverIntervalSeconds}`,
    '-t',
    `${Math.ceil(conf.timeoutMs / 1000 / discoverIntervalSeconds)}`,
    ...conf.request.flatMap((number) => ['-O', `${number}`]),
    ...[...conf.provide].flatMap(([number, bytes]) => ['-x', `0x${number.toString(16)}:${hex(bytes)}`]),
  ];
  const signalBefore = pendingSignal();
  withNetns(netns, () => runDetached(program, argv, { PATH: directories.join(':'), RKT_DHCP_DIR: files.dir }, { cwd: '/' }));
  const deadlineMs = monotonicMs() + conf.timeoutMs + stuckAfterMs;
  using client = { held: undefined as HeldProcess | undefined, [Symbol.dispose]: () => client.held?.[Symbol.dispose]() };
  for (;;) {
    // Asked before the lease is looked for: what a client that has ended wrote is there by then.
    client.held ??= heldClient(files);
    const ended = client.held?.waitEnd(0) ?? false;
    const lease = parseLease(readText(files.lease) ?? '');
    if (lease !== undefined) return lease;
    if (ended || monotonicMs() > deadlineMs) throw new CniError(noLease, noLeaseText(files, ifName, conf.timeoutMs), noLeaseDetails);
    if (pendingSignal() !== signalBefore) throw new CniError(cniCode.internal, `interrupted while waiting for a DHCP lease on ${ifName}`);
    sleepMs(pollMs);
  }
}
const noLeaseDetails = 'is there a DHCP server on the network that the interface is connected to?';
function noLeaseText(files: ClientFiles, ifName: string, timeoutMs: number): string {
  const refused = readText(files.refused)?.trim();
  if (refused === undefined) return `no DHCP server answered on ${ifName} within ${timeoutMs / 1000} s`;
  return `the DHCP server refused a lease on ${ifName}${refused === '' ? '' : `: ${refused}`}`;
}

/** @throws CniError when the client does not run in `netns`, or the lease is over */
export function checkClient(files: ClientFiles, netns: string, ifName: string): Lease {
  const fail = (message: string): CniError => new CniError(cniCode.internal, message);
  using client = heldClient(files);
  if (readText(files.lost) !== undefined) throw fail(`the DHCP lease of ${ifName} was lost: it ran out, or the server took it back`);
  if (client === undefined) throw fail(`the DHCP client of ${ifName} is not running`);
  if (readRecord(files)?.netns !== netnsIdentity(netns)) throw fail(`the DHCP client of ${ifName} runs in another namespace than ${netns}`);
  const lease = parseLease(readText(files.lease) ?? '');
  if (lease === undefined) throw fail(`the DHCP client of ${ifName} has no lease`);
  if (uptimeSeconds() > lease.expiresUptimeSeconds) throw fail(`the DHCP lease of ${ifName} on ${lease.address.text} has expired`);
  return lease;
}

/** Ends the client; it gives its lease back if its interface is still there. Fine when there is none. @throws CniError when even SIGKILL does not end it */
export function stopClient(files: ClientFiles): void {
  // Without a lease its script has nothing to take back.
  rmSync(files.lease, { force: true });
  using client = heldClient(files) ?? searchedClient(files);
  if (client === undefined || !client.signal(SIGNAL.TERM) || client.waitEnd(endTimeoutMs)) return;
  client.signal(SIGNAL.KILL);
  if (!client.waitEnd(endTimeoutMs)) throw new CniError(cniCode.internal, `the DHCP client of ${files.dir} does not end`);
}

/** {@link stopClient} as data: the client gives its lease back and ends, and with it the namespace. Its files are left to DEL. */
export const releaseClient = (files: ClientFiles): ReleaseOp[] => [
  { op: 'unlink', files: [{ path: files.lease }] },
  { op: 'signal', signal: SIGNAL.TERM, pidFile: files.pid, argument: files.pid },
];

/** The client that wrote the pid file, if it lives. */
function heldClient(files: ClientFiles): HeldProcess | undefined {
  const pid = Number(/^\d+/.exec(readText(files.pid) ?? '')?.[0] ?? 0);
  return pid === 0 ? undefined : heldIfClient(pid, files);
}

/** A client that had not written its pid file when whoever started it was killed. */
function searchedClient(files: ClientFiles): HeldProcess | undefined {
  if (readRecord(files) === undefined) return undefined;
  for (const name of readdirSync('/proc')) {
    const client = /^\d+$/.test(name) ? heldIfClient(Number(name), files) : undefined;
    if (client !== undefined) return client;
  }
  return undefined;
}

function heldIfClient(pid: number, files: ClientFiles): HeldProcess | undefined {
  if (!isClient(pid, files)) return undefined;
  const startTime = startTimeOf(pid);
  const held = startTime === undefined ? undefined : holdProcess({ pid, startTime });
  // Looked at again, now that the pid cannot become another process's.
  if (held === undefined || isClient(pid, files)) return held;
  held[Symbol.dispose]();
  return undefined;
}

/** Two facts prove it: the path of the attachment's pid file is among its arguments, and it runs in the namespace it was started in. */
function isClient(pid: number, files: ClientFiles): boolean {
  try {
    if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(files.pid)) return false;
    return netnsIdentity(`/proc/${pid}/ns/net`) === readRecord(files)?.netns;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return false;
    throw error;
  }
}
