/** P10: CHECK sees what was taken away behind the plugin's back. */
import { rmSync } from 'node:fs';
import { withNetns } from '../../../host/netns.ts';
import { readSysctl, writeSysctl } from '../../../host/sysctl.ts';
import { isObject } from '../../../model/cni/known-key.ts';
import { added, addressesHere, endProcess, ip, linkHere, tool } from '../observe.ts';
import { sawOf, leftText, type Answer, type Pod, type Session } from '../session.ts';
import type { JsonObject } from '../subjects.ts';

/** A thing that can be taken away: only where ADD made something of the kind. */
interface Sabotage {
  readonly what: string;
  /** a line that ADD added and that means there is something to take */
  readonly when: (line: string, session: Session) => boolean;
  readonly act: (pod: Pod, made: readonly string[], session: Session) => void;
  /** it is what the plugin remembers by: without it DEL need not know what else there was */
  readonly isMemory?: true;
}

const sabotages: readonly Sabotage[] = [
  {
    what: 'the address of the interface',
    when: (line, { subject }) => line.startsWith('pod address') && line.endsWith(` on ${subject.ifName}`) && subject.role === 'interface',
    act: ({ netns, ifName }) =>
      withNetns(netns, () => {
        for (const address of addressesHere(ifName)) ip(`addr del ${address} dev ${ifName}`);
      }),
  },
  {
    what: 'a route',
    when: (line, { subject }) => line.startsWith('pod route 192.0.2.0/24') && subject.role === 'interface',
    act: ({ netns }) => withNetns(netns, () => ip('route del 192.0.2.0/24')),
  },
  {
    what: 'the interface',
    when: (line, { subject }) => line.startsWith(`pod link ${subject.ifName} `) && subject.role === 'interface',
    act: ({ netns, ifName }) =>
      withNetns(netns, () => {
        if (linkHere(ifName) !== undefined) ip(`link del ${ifName}`);
      }),
  },
  {
    what: 'the interface being up',
    when: (_line, { subject }) => subject.role === 'loopback',
    act: ({ netns }) => withNetns(netns, () => ip('link set lo down')),
  },
  {
    what: 'every nftables rule (iptables rules included)',
    when: (line) => line.includes(' nft rule ') || line.includes(' nft element '),
    act: () => void tool('nft', ['flush', 'ruleset']),
  },
  {
    what: 'the queueing disciplines',
    when: (line) => line.startsWith('host qdisc'),
    act: (_pod, made) => {
      for (const line of made) {
        const [, kind, device] = /^host qdisc (\S+) on (\S+)/.exec(line) ?? [];
        if (device !== undefined) tool('tc', ['qdisc', 'del', 'dev', device, ...(kind === 'ingress' ? ['ingress'] : ['root'])]);
      }
    },
  },
  {
    what: 'the policy rules',
    when: (line) => line.startsWith('pod policy rule'),
    act: ({ netns }) =>
      withNetns(netns, () => {
        for (const line of ip('rule').split('\n')) {
          const priority = /^(\d+):/.exec(line)?.[1];
          if (priority !== undefined && !['0', '32766', '32767'].includes(priority)) ip(`rule del priority ${priority}`);
        }
      }),
  },
  {
    what: 'the reservation',
    isMemory: true,
    when: (line, { subject }) => line.startsWith('file ') && subject.role === 'ipam',
    act: (_pod, made) => {
      for (const line of made) if (line.startsWith('file ')) rmSync(line.slice('file '.length), { force: true });
    },
  },
  {
    what: 'the process it keeps running',
    when: (line) => line.startsWith('process '),
    act: (_pod, made) => {
      for (const line of made) if (line.startsWith('process ')) endProcess(Number(line.slice('process '.length)));
    },
  },
  {
    what: 'the lease of the delegate',
    when: (line) => line.startsWith('lease '),
    act: (_pod, made) => {
      for (const line of made) if (line.startsWith('lease ')) rmSync(`/run/rkt-conform/ipam/leases/${line.split(' ')[1] ?? ''}`, { force: true });
    },
  },
];

export function checks(session: Session): void {
  if (!session.speaks('0.4.0')) return;
  consults(session);
  const made = session.withPod((pod) => {
    const before = session.look(pod);
    const answer = session.call('ADD', pod);
    const lines = added(before, session.look(pod));
    session.del(pod, answer.json);
    return lines;
  });
  const possible = sabotages.filter(({ when }) => made.some((line) => when(line, session)));
  for (const sabotage of possible) taken(session, sabotage);
  const conf = session.subject.conf(0);
  if (isObject(conf['sysctl'])) setting(session, conf['sysctl']);
  staticAddress(session);
  if (session.evidenceOf('P11').length === 0) session.leave('P11', 'unknown', 'no CHECK succeeded');
}

/** ADD, take it away, CHECK fails, and DEL works all the same. */
function taken(session: Session, { what, act, isMemory }: Sabotage): void {
  const pod = session.makePod();
  const before = session.look(pod);
  try {
    const answer = session.call('ADD', pod);
    act(pod, added(before, session.look(pod)), session);
    session.expectError('P10', `CHECK after taking away ${what}`, session.call('CHECK', pod, prev(answer)));
    session.expectOk('P8', `DEL after taking away ${what}`, session.del(pod, answer.json));
    session.endPod(pod);
    if (isMemory === true) return;
    const left = session.left(before);
    session.prove('P8', `nothing is left after that DEL (${what})`, left.length === 0, leftText(left));
  } finally {
    session.endPod(pod);
  }
}
const prev = ({ json }: Answer): { prevResult?: JsonObject } => (json === undefined ? {} : { prevResult: json });

function setting(session: Session, settings: JsonObject): void {
  const [name = '', value] = Object.entries(settings)[0] ?? [];
  const key = name.replaceAll('.', '/');
  session.withPod((pod) => {
    const answer = session.call('ADD', pod);
    const was = withNetns(pod.netns, () => readSysctl(key));
    session.prove('P2', `${name} is set in the namespace`, was === String(value), `${name} = ${was}`, answer);
    withNetns(pod.netns, () => writeSysctl(key, String(Number(was) + 1)));
    session.expectError('P10', `CHECK after ${name} was changed`, session.call('CHECK', pod, prev(answer)));
    session.del(pod, answer.json);
  });
}

/** An IPAM without memory has nothing but prevResult to look at. */
function staticAddress(session: Session): void {
  if (session.subject.type !== 'static') return;
  session.withPod((pod) => {
    const answer = session.call('ADD', pod);
    const ips = Array.isArray(answer.json?.['ips']) ? answer.json['ips'].filter(isObject) : [];
    const other = { ...answer.json, ips: ips.map((one) => ({ ...one, gateway: '10.88.0.254' })) };
    session.expectError('P10', 'CHECK with a prevResult that has another gateway', session.call('CHECK', pod, { prevResult: other }));
    session.del(pod, answer.json);
  });
}

/** P11: of a CHECK that fails it says nothing, that prints an error. */
export function silent(session: Session, what: string, answer: Answer): void {
  if (answer.ok) session.prove('P11', `${what} prints nothing`, answer.call.stdout === '', sawOf(answer), answer);
}

/** P10, P11: prevResult is needed; what later plugins added to it does not matter. */
function consults(session: Session): void {
  session.withPod((pod) => {
    const answer = session.call('ADD', pod);
    if (answer.json === undefined) return;
    const again = session.call('CHECK', pod, { prevResult: answer.json });
    session.expectOk('P10', 'CHECK a second time', session.call('CHECK', pod, { prevResult: answer.json }));
    silent(session, 'CHECK', again);
    const { role } = session.subject;
    if (role === 'interface' || role === 'chained') {
      const without = session.confOf(pod);
      delete without['prevResult'];
      session.expectError('P10', 'CHECK without prevResult', session.call('CHECK', pod, { stdin: JSON.stringify(without) }));
      const interfaces = Array.isArray(answer.json['interfaces']) ? (answer.json['interfaces'] as unknown[]) : [];
      const more = { ...answer.json, interfaces: [...interfaces, { name: 'later0', mac: '02:00:00:00:00:01' }], dns: { nameservers: ['10.0.0.1'] } };
      session.expectOk(
        'P10',
        'CHECK with an interface and dns that a later plugin added to prevResult',
        session.call('CHECK', pod, { prevResult: more }),
      );
    }
    const link = withNetns(pod.netns, () => linkHere(pod.ifName));
    session.prove(
      'P10',
      'CHECK changes nothing',
      link !== undefined || role === 'ipam',
      link === undefined ? 'no interface' : `${link.ifname} is there`,
    );
    session.del(pod, answer.json);
  });
}
