/** Who reaches a published port, and what a pod reaches: real sockets, every place, both families, TCP and UDP, with and without a FORWARD chain that drops. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { useHost } from '../rig/host.ts';
import { Rkt, type RunningPod } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();
const host4 = '192.0.2.1';
const host6 = '2001:db8::1';
const far4 = '192.0.2.2';
const far6 = '2001:db8::2';
const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });
const sh = (script: string): string => execFileSync('sh', ['-c', script], { encoding: 'utf8' });

let servers: ChildProcess[] = [];
async function serve(netns: string, port: number): Promise<void> {
  const script = resolve(import.meta.dirname, '../netns/nftables/echo-server.mjs');
  const server = spawn('ip', ['netns', 'exec', netns, process.execPath, script, String(port)], { stdio: ['ignore', 'pipe', 'inherit'] });
  servers.push(server);
  await once(server.stdout, 'data');
}
type Question = readonly [to: string, port: number, protocol: 'tcp' | 'udp'];
/** What each server said; `place` '' is the host. */
function ask(place: string, questions: readonly Question[], timeoutMs = 700): string[] {
  const command = [process.execPath, resolve(import.meta.dirname, 'ask-client.mjs'), String(timeoutMs), JSON.stringify(questions)];
  const [file = '', ...args] = place === '' ? command : ['ip', 'netns', 'exec', place, ...command];
  return JSON.parse(execFileSync(file, args, { encoding: 'utf8' })) as string[];
}

beforeEach(() => {
  const noDad = 'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad; echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad';
  sh(noDad);
  ip('netns', 'add', 'far');
  execFileSync('ip', ['netns', 'exec', 'far', 'sh', '-c', noDad]);
  ip('link', 'add', 'vfar', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'far');
  ip('link', 'set', 'vfar', 'up');
  ip('-n', 'far', 'link', 'set', 'eth0', 'up');
  ip('addr', 'add', `${host4}/24`, 'dev', 'vfar');
  ip('addr', 'add', `${host6}/64`, 'dev', 'vfar', 'nodad');
  ip('-n', 'far', 'addr', 'add', `${far4}/24`, 'dev', 'eth0');
  ip('-n', 'far', 'addr', 'add', `${far6}/64`, 'dev', 'eth0', 'nodad');
});
afterEach(async () => {
  const running = servers;
  servers = [];
  await Promise.all(
    running.map((server) => {
      const gone = once(server, 'exit');
      server.kill('SIGKILL');
      return gone;
    }),
  );
  ip('link', 'del', 'vfar');
  ip('netns', 'del', 'far');
});

const gateway = { 4: '10.91.0.1', 6: 'fd91::1' } as const;
function putNetwork(type: 'bridge' | 'ptp'): void {
  mkdirSync(join(rkt.config, 'net.d'), { recursive: true });
  const main = {
    type,
    ...(type === 'bridge' ? { bridge: 'reach0', isGateway: true, hairpinMode: true } : {}),
    ipMasq: true,
    mtu: 1400,
    capabilities: { ips: true, mac: true },
    ipam: {
      type: 'host-local',
      ranges: [[{ subnet: '10.91.0.0/24' }], [{ subnet: 'fd91::/64' }]],
      routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
    },
  };
  const plugins = [main, { type: 'portmap', capabilities: { portMappings: true } }, { type: 'firewall' }];
  writeFileSync(join(rkt.config, 'net.d/reach.conflist'), JSON.stringify({ cniVersion: '1.1.0', name: 'reach', plugins }));
}

/** Port forms: the flags without protocol, and on which address of the host they answer (undefined: all). */
const forms: readonly { readonly flag: string; readonly port: number; readonly on?: string }[] = [
  { flag: '8080:80', port: 8080 },
  { flag: '8090-8091:80-81', port: 8090 },
  { flag: `0.0.0.0:8081:80`, port: 8081, on: '0.0.0.0' },
  { flag: '[::]:8082:80', port: 8082, on: '::' },
  { flag: `${host4}:8083:80`, port: 8083, on: host4 },
  { flag: `[${host6}]:8084:80`, port: 8084, on: host6 },
  { flag: '127.0.0.1:8085:80', port: 8085, on: '127.0.0.1' },
  { flag: `${gateway[4]}:8086:80`, port: 8086, on: gateway[4] },
  { flag: `[${gateway[6]}]:8087:80`, port: 8087, on: gateway[6] },
];
/** Where from, and to which addresses of the host. */
const rows = [
  { from: 'host', to: ['127.0.0.1', '::1', host4, host6, gateway[4], gateway[6]] },
  { from: 'far', to: [host4, host6] },
  { from: 'neighbour', to: [host4, host6, gateway[4], gateway[6]] },
  { from: 'itself', to: [host4, host6, gateway[4], gateway[6]] },
] as const;

/** [::1] is never led to a pod. */
const answers = (to: string, on: string | undefined): boolean =>
  to !== '::1' && (on === undefined || on === to || (on === '0.0.0.0' && !to.includes(':')) || (on === '::' && to.includes(':')));

/** As Docker leaves them: policy DROP, and chains of its own that say nothing about our pods. */
const docker = (iptables: string): string =>
  [
    `${iptables} -P FORWARD DROP`,
    ...['DOCKER', 'DOCKER-USER', 'DOCKER-FORWARD'].map((chain) => `${iptables} -N ${chain}`),
    `${iptables} -A DOCKER ! -i docker0 -o docker0 -j DROP`,
    `${iptables} -A DOCKER-USER -j RETURN`,
    `${iptables} -A DOCKER-FORWARD -i docker0 -j ACCEPT`,
    `${iptables} -A FORWARD -j DOCKER-USER`,
    `${iptables} -A FORWARD -j DOCKER-FORWARD`,
    `${iptables} -A FORWARD -o docker0 -j DOCKER`,
  ].join(' && ');
const saved = (): string =>
  ['iptables-nft-save', 'ip6tables-nft-save']
    .map((save) => sh(save))
    .join('')
    .replaceAll(/\[\d+:\d+\]|^#.*\n/gm, '');

describe.each([
  ['bridge', false],
  ['ptp', false],
  ['bridge', true],
  ['ptp', true],
] as const)('%s, FORWARD drops: %s', (type, drops) => {
  test('published ports and egress', async () => {
    putNetwork(type);
    let before = '';
    if (drops) {
      sh(`${docker('iptables-nft')} && ${docker('ip6tables-nft')}`);
      before = saved();
    }
    const sleep = ['busybox', '--exec=/bin/sleep', '--', '300'];
    const ports = forms.flatMap(({ flag }) => [`--port=${flag}/tcp`, `--port=${flag}/udp`]);
    const pod = rkt.start(['--net=reach', ...ports, ...sleep]);
    const neighbour = rkt.start(['--net=reach', ...sleep]);
    const places: Record<(typeof rows)[number]['from'], string> = { host: '', far: 'far', neighbour: netnsOf(neighbour), itself: netnsOf(pod) };
    await serve(netnsOf(pod), 80);
    await serve('far', 7000);
    expect(ip('-n', netnsOf(pod), 'link', 'show', 'eth0')).toContain('mtu 1400');

    const got: Record<string, boolean> = {};
    const wanted: Record<string, boolean> = {};
    for (const { from, to } of rows) {
      const questions = to.flatMap((address) =>
        forms.flatMap((form) => (['tcp', 'udp'] as const).map((protocol) => ({ form, question: [address, form.port, protocol] satisfies Question }))),
      );
      const said = ask(
        places[from],
        questions.map(({ question }) => question),
      );
      for (const [i, { form, question }] of questions.entries()) {
        const name = `${from} -> ${question[0]} ${question[2]} (${form.flag})`;
        got[name] = said[i] !== 'none';
        wanted[name] = answers(question[0], form.on);
        // Whoever comes from outside is seen as who they are.
        if (from === 'far' && got[name]) expect(said[i], name).toBe(question[0].includes(':') ? far6 : far4);
      }
    }
    expect(got).toEqual(wanted);

    const egress = ([far4, far6] as const).flatMap((to) => (['tcp', 'udp'] as const).map((protocol): Question => [to, 7000, protocol]));
    expect(ask(netnsOf(pod), egress)).toEqual([host4, host4, host6, host6]);

    if (drops) {
      const open = saved();
      expect(open.match(/-m comment --comment "rkt reach\/[^"]*" -j ACCEPT/g)).toHaveLength(8);
      // What iptables saved it can restore, and afterwards the rules are still known as ours.
      sh('iptables-nft-save | iptables-nft-restore && ip6tables-nft-save | ip6tables-nft-restore');
      expect(saved()).toBe(open);
      expect(sh('iptables-nft -L FORWARD; ip6tables-nft -L FORWARD')).toContain(`/* rkt reach/${pod.uuid}/eth0 */`);
    }
    await Promise.all([pod.stop('SIGKILL'), neighbour.stop('SIGKILL')]);
    rkt.gc();
    if (drops) {
      expect(saved()).toBe(before);
      sh('nft delete table ip filter && nft delete table ip6 filter');
    }
    expect(ask('', [[host4, 8080, 'tcp']])).toEqual(['none']);
  });
});

const netnsOf = (pod: RunningPod): string => `rkt-${pod.uuid}`;
