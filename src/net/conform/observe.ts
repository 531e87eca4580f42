/** What the kernel and the file system hold, as comparable lines. `ip`, `nft` and `tc` are asked: a plugin is judged by other eyes than its own. */
import { lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { namesIn } from '../../host/files.ts';
import { monotonicMs, sleepMs } from '../../host/clock.ts';
import { SIGNAL } from '../../host/linux.ts';
import { netnsExists, withNetns } from '../../host/netns.ts';
import { holdProcess, startTimeOf } from '../../host/process.ts';
import { findExecutable, runProgram } from '../../host/run-program.ts';
import { volatileRoots } from '../../host/throwaway.ts';
import { RuntimeError } from '../../model/errors.ts';
import { isObject } from '../../model/cni/known-key.ts';

/** where programs of the machine are looked for */
export const programPath = ['/usr/sbin', '/sbin', '/usr/bin', '/bin', '/usr/local/sbin', '/usr/local/bin'];
const timeoutMs = 20_000;

/** Runs a program of the machine in the namespace this thread is in. @throws ERR_HOST_PROGRAM_MISSING */
export function tool(name: string, args: readonly string[]): { readonly ok: boolean; readonly text: string; readonly error: string } {
  const path = findExecutable(name, programPath);
  if (path === undefined)
    throw new RuntimeError('ERR_HOST_PROGRAM_MISSING', `${name} is not installed`, { hint: 'apt-get install iproute2 nftables' });
  const outcome = runProgram({ path, argv: [name, ...args], env: { PATH: programPath.join(':') }, timeoutMs, maxBytes: 16 << 20 });
  if (outcome.kind === 'not-started') throw new RuntimeError('ERR_HOST_PROGRAM_MISSING', `cannot run ${path}: ${outcome.reason}`);
  return { ok: outcome.kind === 'exited' && outcome.status === 0, text: outcome.stdout.toString(), error: outcome.stderr.toString().trim() };
}

/** @throws ERR_HOST_PROGRAM_MISSING */
export function requireTools(): void {
  for (const name of ['ip', 'tc', 'nft', 'sh']) tool(name, name === 'sh' ? ['-c', ':'] : ['--version']);
}

/** `ip` with words separated by blanks. @throws Error with what ip said */
export function ip(command: string): string {
  const { ok, text, error } = tool('ip', command.split(' '));
  if (!ok) throw new Error(`ip ${command}: ${error}`);
  return text;
}

interface LinkJson {
  readonly ifindex: number;
  readonly ifname: string;
  readonly address?: string;
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly linkinfo?: { readonly info_kind?: string };
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number; readonly scope: string; readonly family: string }[];
}
const linksHere = (): LinkJson[] => (JSON.parse(tool('ip', ['-d', '-j', 'addr']).text) as LinkJson[]).filter(({ ifname }) => ifname !== undefined);
export const linkHere = (name: string): LinkJson | undefined => linksHere().find(({ ifname }) => ifname === name);
export const addressesHere = (name: string): string[] =>
  (linkHere(name)?.addr_info ?? []).filter(({ scope }) => scope !== 'link').map(({ local, prefixlen }) => `${local}/${prefixlen}`);

interface RouteJson {
  readonly type?: string;
  readonly dst: string;
  readonly gateway?: string;
  readonly dev?: string;
  readonly table?: string;
}
const separator = '@@';
/** All that is asked in one go: a look costs one program of ours, and there are many. */
const questions = [
  'ip -d -j addr',
  'ip -4 -j route show table all',
  'ip -6 -j route show table all',
  'ip -j rule',
  'tc -j qdisc',
  'nft -j list ruleset',
];
const script = questions.join(`; echo; echo ${separator}; `);

/** Lines of the namespace this thread is in. */
function kernelLines(where: string): string[] {
  const { text } = tool('sh', ['-c', script]);
  const [links = [], routes4 = [], routes6 = [], rules = [], qdiscs = [], ruleset] = text
    .split(`\n${separator}\n`)
    .map((part) => (part.trim() === '' ? [] : (JSON.parse(part) as unknown[])));
  const lines: string[] = [];
  for (const link of (links as LinkJson[]).filter(({ ifname }) => ifname !== undefined)) {
    const up = link.flags.includes('UP') ? 'up' : 'down';
    lines.push(`${where} link ${link.ifname} ${link.linkinfo?.info_kind ?? ''} mtu ${link.mtu} ${link.address ?? ''} ${up}`);
    for (const { local, prefixlen, scope } of link.addr_info)
      if (scope !== 'link') lines.push(`${where} address ${local}/${prefixlen} on ${link.ifname}`);
  }
  for (const { dst, gateway, dev, table } of ([...routes4, ...routes6] as RouteJson[]).filter(isOurs))
    lines.push(`${where} route ${dst} via ${gateway ?? '-'} dev ${dev ?? '-'} table ${table ?? 'main'}`);
  for (const rule of rules as { priority: number; src?: string; table?: string }[])
    lines.push(`${where} policy rule ${rule.priority} from ${rule.src ?? 'all'} table ${rule.table ?? ''}`);
  for (const qdisc of qdiscs as { kind: string; dev: string }[])
    if (!['noqueue', 'mq', 'pfifo_fast', 'fq_codel'].includes(qdisc.kind)) lines.push(`${where} qdisc ${qdisc.kind} on ${qdisc.dev}`);
  return [...lines, ...ruleLines(where, ruleset)];
}
/** The kernel's own routes come and go with addresses. */
const isOurs = ({ type = 'unicast', table, dst }: RouteJson): boolean =>
  type === 'unicast' && table !== 'local' && !dst.startsWith('fe80') && !dst.startsWith('ff00');

/** Each nftables object and each element of a set or map is a line; handles and counters say nothing. */
function ruleLines(where: string, ruleset: unknown): string[] {
  const { nftables = [] } = (ruleset ?? {}) as { nftables?: Record<string, Record<string, unknown>>[] };
  return nftables.flatMap((object) =>
    Object.entries(object).flatMap(([kind, { handle: _handle, elem, ...rest }]) =>
      kind === 'metainfo'
        ? []
        : [
            `${where} nft ${kind} ${withoutCounters(rest)}`,
            ...(Array.isArray(elem) ? elem : []).map((one) => `${where} nft element of ${String(rest['name'])} ${withoutCounters(one)}`),
          ],
    ),
  );
}
const withoutCounters = (value: unknown): string =>
  JSON.stringify(value, (key, item: unknown) => (key === 'counter' && isObject(item) ? 'counter' : key === 'handle' ? undefined : item));

/** Files a plugin may have left; the bench's own, and mounted namespaces, apart. */
export function files(apart: string): string[] {
  const walk = (folder: string): string[] =>
    namesIn(folder).flatMap((name) => {
      const path = join(folder, name);
      if (path === apart || path === '/run/netns') return [];
      const isFolder = lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
      return isFolder ? walk(path) : [path];
    });
  return volatileRoots.flatMap((root) => walk(root));
}

/** Processes born on the throw-away host, this one apart: whatever else they changed, they share its mounts. */
export function processes(): number[] {
  const own = readlinkSync('/proc/thread-self/ns/mnt');
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((name) => {
      try {
        return readlinkSync(`/proc/${name}/ns/mnt`) === own;
      } catch {
        return false; // it ended while we looked
      }
    })
    .map(Number);
}

/** Kills, and waits for the end. */
export function endProcess(pid: number): void {
  const startTime = startTimeOf(pid);
  if (startTime === undefined) return;
  const held = holdProcess({ pid, startTime });
  if (held === undefined) return;
  held.signal(SIGNAL.KILL);
  held.waitEnd(1_000);
  held[Symbol.dispose]();
}

/** Everything there is, on the host and in the pods' namespaces given. */
export function snapshot(pods: readonly string[], apart: string): Set<string> {
  return new Set([
    ...kernelLines('host'),
    ...pods.flatMap((netns) => (netnsExists(netns) ? withNetns(netns, () => kernelLines('pod')) : [])),
    ...files(apart).map((path) => `file ${path}`),
    ...processes().map((pid) => `process ${pid}`),
  ]);
}

export const added = (before: ReadonlySet<string>, after: ReadonlySet<string>): string[] => [...after].filter((line) => !before.has(line));

/** What is there now and was not in `before`; the kernel has some time to finish deletions it does later. */
export function leftSince(before: ReadonlySet<string>, take: () => Set<string>, graceMs = 500): string[] {
  const deadline = monotonicMs() + graceMs;
  for (;;) {
    const left = added(before, take());
    if (left.length === 0 || monotonicMs() > deadline) return left;
    sleepMs(50);
  }
}
