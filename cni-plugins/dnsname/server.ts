/**
 * The network's dnsmasq: shared by its attachments, started by the first, ended by the last.
 *
 * `/run/rkt/dns/<network>/`, locked as a whole (flock on the directory) by whoever changes it:
 * `hosts/<containerId>,<ifName>` one file an attachment; `dnsmasq.conf`; `pid`, which dnsmasq writes; `process`, pid and start
 * time, by which it is known again. A file of `hosts` is what makes an attachment exist; with the last one everything goes.
 */
import { chmodSync, rmSync, rmdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { leaveService } from '../../src/host/cgroup.ts';
import { makeDirectory, namesIn, readText, writeAtomic } from '../../src/host/files.ts';
import { tryLockNamed, type Lock } from '../../src/host/flock.ts';
import { isErrno, SIGNAL } from '../../src/host/linux.ts';
import { holdProcess, isAlive, readProcessId, startTimeOf, type ProcessId } from '../../src/host/process.ts';
import { findProgram, runProgram } from '../../src/host/run-program.ts';
import { CniError, cniCode, type AttachmentId } from '../../src/model/cni/types.ts';

const root = '/run/rkt/dns';
const filesOf = (network: string) => {
  const dir = join(root, network);
  return { dir, hosts: join(dir, 'hosts'), conf: join(dir, 'dnsmasq.conf'), pid: join(dir, 'pid'), process: join(dir, 'process') };
};
const hostsName = ({ containerID, ifname }: AttachmentId): string => `${containerID},${ifname}`;

/** Others hold the lock while dnsmasq starts or ends. */
const patienceMs = 20_000;
const startMs = 10_000;
const endMs = 2_000;

/** What the server is started with. */
export interface ServerSettings {
  /** on which it answers: the bridge's */
  readonly addresses: readonly string[];
  readonly domain: string;
  readonly forward: boolean;
  readonly remoteServers: readonly string[];
}

/** Path of dnsmasq. @throws CniError 50 */
export function requireDnsmasq(): string {
  const found = findProgram('dnsmasq');
  if (found === undefined) throw new CniError(cniCode.notAvailable, 'dnsmasq is not installed', 'Debian: apt install dnsmasq-base');
  return found;
}

function confText(network: string, { addresses, domain, forward, remoteServers }: ServerSettings): string {
  const { hosts, pid } = filesOf(network);
  return [
    `# names of the pods on network ${network}; written by rkt`,
    // The address may come and go with the bridge: it is listened on whenever it is there, and on nothing else.
    'bind-dynamic',
    'except-interface=lo',
    ...addresses.map((address) => `listen-address=${address}`),
    'no-hosts',
    `addn-hosts=${hosts}`,
    `domain=${domain}`,
    // Names of pods are never asked for elsewhere, so an unknown one is answered at once.
    `local=/${domain}/`,
    'expand-hosts',
    'domain-needed',
    'bogus-priv',
    ...(forward && remoteServers.length === 0 ? [] : ['no-resolv']),
    ...(forward ? remoteServers.map((server) => `server=${server}`) : []),
    `pid-file=${pid}`,
    'user=nobody',
    'group=nogroup',
    '',
  ].join('\n');
}

/** Makes the attachment's names known, and the server run with these settings. Idempotent. @throws CniError */
export function publishNames(network: string, attachment: AttachmentId, text: string, settings: ServerSettings): void {
  const dnsmasq = requireDnsmasq();
  const files = filesOf(network);
  using held = hold(network, true);
  void held;
  try {
    for (const directory of [dirname(root), root, files.dir, files.hosts]) openDirectory(directory);
    const path = join(files.hosts, hostsName(attachment));
    const isNew = readText(path) !== text;
    if (isNew) writeReadable(path, text);
    const wanted = confText(network, settings);
    const running = findServer(network);
    if (running !== undefined && readText(files.conf) === wanted) {
      if (isNew) signal(running, SIGNAL.HUP);
      return;
    }
    if (running !== undefined) end(running);
    writeReadable(files.conf, wanted);
    start(network, dnsmasq);
  } catch (error) {
    withdraw(network, [hostsName(attachment)]);
    throw error;
  }
}

/** Forgets attachments of the network; the last one takes server and directory along. `selects`: by file name. Fine when there is nothing. */
function forget(network: string, selects: (name: string) => boolean): void {
  using held = hold(network, false);
  if (held === undefined) return;
  withdraw(network, namesIn(filesOf(network).hosts).filter(selects));
}
export const withdrawNames = (network: string, attachment: AttachmentId): void =>
  forget(network, (name) => name === hostsName(attachment) || isLitter(name, attachment));
export function keepOnly(network: string, valid: readonly AttachmentId[]): void {
  const kept = new Set(valid.map(hostsName));
  forget(network, (name) => !kept.has(name));
}
/** What a killed writer left of the attachment's file. */
const isLitter = (name: string, attachment: AttachmentId): boolean => name.startsWith(`.${hostsName(attachment)}.`);

/** Call with the lock. */
function withdraw(network: string, names: readonly string[]): void {
  const { dir, hosts } = filesOf(network);
  for (const name of names) rmSync(join(hosts, name), { force: true });
  const server = findServer(network);
  if (namesIn(hosts).some((name) => !name.startsWith('.'))) {
    if (server !== undefined && names.length > 0) signal(server, SIGNAL.HUP);
    return;
  }
  if (server !== undefined) end(server);
  rmSync(dir, { recursive: true, force: true });
  for (const parent of [root, dirname(root)]) {
    try {
      rmdirSync(parent);
    } catch (error) {
      if (!isErrno(error, 'ENOTEMPTY', 'ENOENT', 'EBUSY')) throw error;
      return;
    }
  }
}

/** What is wrong with the attachment's names, for CHECK and repair; empty when all is as it should be. Changes nothing. */
export function faultsOf(network: string, attachment: AttachmentId, text: string, settings: ServerSettings): string[] {
  const files = filesOf(network);
  const isRunning = findServer(network) !== undefined && readText(files.conf) === confText(network, settings);
  return [
    ...(readText(join(files.hosts, hostsName(attachment))) === text ? [] : ['the names of the pod in the name server']),
    ...(isRunning ? [] : [`name server (dnsmasq) of network "${network}"`]),
  ];
}

/* ---- the process ---- */

/** The server, if it runs. One whose starter was killed before it wrote `process` is known by its own configuration file. */
function findServer(network: string): ProcessId | undefined {
  const files = filesOf(network);
  const known = readProcessId(files.process);
  if (known !== undefined && isAlive(known)) return known;
  const pid = Number(readText(files.pid)?.trim());
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  const startTime = startTimeOf(pid);
  const isOurs = readText(`/proc/${pid}/cmdline`)?.split('\0').includes(`--conf-file=${files.conf}`) === true;
  return startTime !== undefined && isOurs ? { pid, startTime } : undefined;
}

/** dnsmasq goes to the background when it listens, or says why it does not. */
function start(network: string, dnsmasq: string): void {
  const files = filesOf(network);
  const env = Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value !== undefined && (name === 'PATH' || name.startsWith('RKT_')) ? [[name, value]] : [],
    ),
  );
  const argv = ['dnsmasq', `--conf-file=${files.conf}`];
  const outcome = runProgram({ path: dnsmasq, argv, env, timeoutMs: startMs, maxBytes: 1 << 16 });
  if (outcome.kind !== 'exited' || outcome.status !== 0) {
    const said = outcome.kind === 'not-started' ? outcome.reason : outcome.stderr.toString().trim();
    throw new CniError(cniCode.internal, `dnsmasq does not start: ${said === '' ? outcome.kind : said}`);
  }
  const server = findServer(network);
  if (server === undefined) throw new CniError(cniCode.internal, 'dnsmasq ended right after it was started');
  // It serves other pods too, whose unit is another one.
  leaveService(server.pid);
  writeAtomic(files.process, `${server.pid} ${server.startTime}\n`);
}

function signal(server: ProcessId, number: number): void {
  using held = holdProcess(server);
  held?.signal(number);
}

function end(server: ProcessId): void {
  using held = holdProcess(server);
  if (held === undefined || !held.signal(SIGNAL.TERM) || held.waitEnd(endMs)) return;
  held.signal(SIGNAL.KILL);
  if (!held.waitEnd(endMs)) throw new CniError(cniCode.internal, `dnsmasq (process ${server.pid}) does not end, not even by SIGKILL`);
}

/* ---- files ---- */

/** Locks the network's directory; `make` false: undefined when there is none. */
function hold<M extends boolean>(network: string, make: M): M extends true ? Lock : Lock | undefined;
function hold(network: string, make: boolean): Lock | undefined {
  const { dir } = filesOf(network);
  for (;;) {
    if (make) makeDirectory(dir, 0o755);
    const held = tryLockNamed(dir, 'exclusive', { patienceMs });
    if (held === 'held') throw new CniError(cniCode.tryAgain, `the name server of network "${network}" is being changed by somebody else`);
    if (held !== 'gone') return held;
    if (!make) return undefined;
  }
}

/** dnsmasq reads as nobody, whatever the umask of whoever made the directory. */
function openDirectory(path: string): void {
  makeDirectory(path, 0o755);
  chmodSync(path, 0o755);
}
function writeReadable(path: string, text: string): void {
  writeAtomic(path, text, { mode: 0o644 });
  chmodSync(path, 0o644);
}
