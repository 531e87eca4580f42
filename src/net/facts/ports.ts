/** Who has which port of this machine: sockets, other pods. Read only when ports are to be published. */
import { readdirSync, readlinkSync } from 'node:fs';
import { readJournal } from '../../effects/journal.ts';
import { readText } from '../../host/files.ts';
import { netnsExists } from '../../host/netns.ts';
import { randomBelow } from '../../host/uuid.ts';
import { ipFromBytes } from '../../model/cidr.ts';
import type { PortMapping } from '../../model/cni/types.ts';
import { isCode, isErrno, messageOf } from '../../model/errors.ts';
import { podInfo } from '../../state/pod/info.ts';
import { podFiles } from '../../state/pod/layout.ts';
import { listPods } from '../../state/pod/lifecycle.ts';
import { familiesOf } from '../plan/ports.ts';
import type { HostSocket, PortFacts, PublishedPort } from './types.ts';

/** Ports that nobody is assigned (IANA's dynamic ones). */
const dynamic = { first: 49_152, last: 65_535 } as const;

/** An address of /proc/net/{tcp,udp}[6]: words in host order (little-endian). Mapped IPv4 is IPv4. */
function addressOf(hex: string): string {
  const bytes = Buffer.concat((hex.match(/.{8}/g) ?? []).map((word) => Buffer.from(word, 'hex').reverse()));
  const isMapped = bytes.length === 16 && bytes.subarray(0, 12).equals(Buffer.from('00000000000000000000ffff', 'hex'));
  return ipFromBytes(isMapped ? bytes.subarray(12) : bytes).text;
}

const LISTEN = '0A';
/** of UDP: not connected, so that everybody can send to it */
const UNCONNECTED = '07';

/** Parses /proc/net/{tcp,udp}[6]: sockets that answer whoever comes. */
export function parseSockets(text: string, protocol: 'tcp' | 'udp'): (HostSocket & { readonly inode: string })[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local = '', , state = '', , , , uid = '', , inode = ''] = line.trim().split(/\s+/);
      const [address = '', port = ''] = local.split(':');
      if (inode === '' || state !== (protocol === 'tcp' ? LISTEN : UNCONNECTED)) return [];
      return [{ protocol, address: addressOf(address), port: Number.parseInt(port, 16), uid: Number(uid), inode }];
    });
}

/** Parses /proc/net/sctp/eps; an endpoint on several addresses is as many sockets. */
export function parseSctpEndpoints(text: string): (HostSocket & { readonly inode: string })[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, , , , , port = '', uid = '', inode = '', ...addresses] = line.trim().split(/\s+/);
      return addresses.map((address) => ({ protocol: 'sctp' as const, address, port: Number(port), uid: Number(uid), inode }));
    });
}

function readSockets(): (HostSocket & { readonly inode: string })[] {
  const read = (name: string): string => readText(`/proc/thread-self/net/${name}`) ?? '';
  return [
    ...(['tcp', 'udp'] as const).flatMap((protocol) => [...parseSockets(read(protocol), protocol), ...parseSockets(read(`${protocol}6`), protocol)]),
    ...parseSctpEndpoints(read('sctp/eps')),
  ];
}

/** `pid 812 (nginx: nginx -g daemon off;)` by inode, for as many of `inodes` as this user may see. */
function holdersOf(inodes: ReadonlySet<string>): Map<string, string> {
  const found = new Map<string, string>();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    if (found.size === inodes.size) break;
    for (const inode of socketsOf(pid)) {
      if (!inodes.has(inode) || found.has(inode)) continue;
      const command = (readText(`/proc/${pid}/cmdline`) ?? '')
        .replace(/[\s\0]+/g, ' ')
        .trim()
        .replace(/^\/\S*\//, '');
      const shown = command === '' ? (readText(`/proc/${pid}/comm`)?.trim() ?? '') : command;
      found.set(inode, `pid ${pid} (${shown.length > 80 ? `${shown.slice(0, 77)}...` : shown})`);
    }
  }
  return found;
}

function socketsOf(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch (error) {
        if (isErrno(error, 'ENOENT', 'EACCES', 'EPERM', 'ESRCH')) return [];
        throw error;
      }
    });
  } catch (error) {
    // It ended meanwhile, or belongs to somebody else.
    if (isErrno(error, 'ENOENT', 'EACCES', 'EPERM', 'ESRCH', 'ENOTDIR')) return [];
    throw error;
  }
}

/** Ports of pods, until they are given back: by the pod's end, by gc or rm, by a reboot. The namespace goes with them. */
function readPublished(dataDir: string, warnings: string[]): PublishedPort[] {
  try {
    return listPods(dataDir).flatMap((pod) => {
      const text = readText(podFiles(pod.dir).journal);
      if (text?.includes('"portMappings"') !== true) return [];
      try {
        const networks = readJournal(podFiles(pod.dir).journal).flatMap(({ step, undone }) =>
          step.kind === 'network.attach' && !undone && netnsExists(step.netns) ? [step.network] : [],
        );
        const { manifest, name: podName } = podInfo(pod);
        const apps = manifest?.apps.map(({ name }) => name) ?? [];
        const whose = { pod: pod.id, ...(podName === undefined ? {} : { podName }), apps };
        return networks.flatMap((network) =>
          (network.capabilityArgs.portMappings ?? []).map((mapping) => ({ ...mapping, ...whose, families: [...familiesOf(network)] })),
        );
      } catch (error) {
        if (!isCode(error, 'ERR_JOURNAL_CORRUPT')) throw error;
        warnings.push(`ports of pod ${pod.id} are not known: ${messageOf(error)}`);
        return [];
      }
    });
  } catch (error) {
    if (!isCode(error, 'ERR_POD_IO') && !isErrno(error, 'EACCES', 'EPERM')) throw error;
    warnings.push('the ports of other pods are not known: only root may look at them');
    return [];
  }
}

/** Addresses of this machine, also those of links that are down. */
function readAddresses(): string[] {
  const six = (readText('/proc/thread-self/net/if_inet6') ?? '').split('\n').flatMap((line) => {
    const hex = /^[0-9a-f]{32}/.exec(line)?.[0];
    return hex === undefined ? [] : [ipFromBytes(Buffer.from(hex, 'hex')).text];
  });
  // Every address is listed with the line "/32 host LOCAL" below it.
  const four = [...(readText('/proc/thread-self/net/fib_trie') ?? '').matchAll(/\|-- ([\d.]+)\n\s+\/32 host LOCAL/g)].map(
    ([, address = '']) => address,
  );
  return [...new Set([...four, ...six])].sort();
}

const isOn = (key: string): boolean => readText(`/proc/sys/net/${key}`)?.trim() === '1';

/** @param wanted - whose holders are looked for, which means reading every process's descriptors */
export function readPortFacts(dataDir: string, wanted: readonly PortMapping[]): PortFacts {
  const warnings: string[] = [];
  const sockets = readSockets();
  const asked = sockets.filter(({ protocol, port }) => wanted.some((mapping) => mapping.protocol === protocol && mapping.hostPort === port));
  const holders = asked.length === 0 ? undefined : holdersOf(new Set(asked.map(({ inode }) => inode)));
  const published = readPublished(dataDir, warnings);
  return {
    addresses: readAddresses(),
    nonlocal: [...(isOn('ipv4/ip_nonlocal_bind') ? [4 as const] : []), ...(isOn('ipv6/ip_nonlocal_bind') ? [6 as const] : [])],
    sockets: sockets.map(({ inode, ...socket }) => {
      const holder = holders?.get(inode);
      return holder === undefined ? socket : { ...socket, holder };
    }),
    published,
    choice: { ...dynamic, start: dynamic.first + randomBelow(dynamic.last - dynamic.first + 1) },
    // Before nf_conntrack is there nothing can be said about it.
    sctp:
      readText('/proc/sys/net/netfilter/nf_conntrack_max') === undefined ||
      readText('/proc/sys/net/netfilter/nf_conntrack_sctp_timeout_closed') !== undefined,
    warnings,
  };
}
