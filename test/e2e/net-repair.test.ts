/** What administrators and other programs remove below running pods, and `rkt net repair` puts back. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { useHost } from '../rig/host.ts';
import { page, untilServed } from '../rig/http.ts';
import { Rkt, dist, type RunningPod } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();
const serve = ['--exec=/bin/sh', '--', '-c', 'mkdir /www; echo here >/www/index.html; exec httpd -f -p 80 -h /www'];
const sh = (command: string): string => execFileSync('sh', ['-c', command], { encoding: 'utf8' });
const answer = (url: string): Promise<string> => page(url, 300).catch(() => 'no answer');
/** Connections are closed: one whose way back is cut off while it closes would keep the pod's namespace for a minute. */
const closed = (): Promise<void> => new Promise((done) => void setTimeout(done, 50));
const ip6Network = (type: string): object => ({
  cniVersion: '1.1.0',
  name: 'both',
  plugins: [
    {
      type,
      ...(type === 'bridge' ? { bridge: 'both0', isGateway: true } : {}),
      ipMasq: true,
      ipam: {
        type: 'host-local',
        ranges: [[{ subnet: '10.61.0.0/24' }], [{ subnet: 'fd61::/64' }]],
        routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
      },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
    { type: 'firewall', ...(type === 'bridge' ? { ingressPolicy: 'same-bridge' } : {}) },
  ],
});

/** [what happens to the machine, what repair says about it]; HOST, NS, IP stand for the pod's own. */
const both: readonly (readonly [string, RegExp])[] = [
  ['rm /var/lib/cni/networks/both/10.61.0.2', /put back: lease of 10.61.0.2/],
  ['nft flush ruleset', /put back: published port 8080\/tcp/],
  ['nft flush table inet rkt', /put back: rules of chain forward of table inet rkt/],
  ['nft delete element inet rkt pods4 "{ IP }"', /put back: forwarding for 10\./],
  ['nft flush map inet rkt masq6', /put back: masquerading of fd61::2/],
  ['sysctl -qw net.ipv4.ip_forward=0', /put back: sysctl net.ipv4.ip_forward = 1 \(it was 0\)/],
  ['sysctl -qw net.ipv6.conf.all.forwarding=0', /put back: sysctl net.ipv6.conf.all.forwarding/],
  ['sysctl -qw net.ipv4.conf.LOOP.route_localnet=0', /route_localnet = 1/],
  ['ip link set HOST down', /put back: veth\w+ on the host up/],
  ['ip -n NS addr flush dev eth0', /put back: address fd61::2\/64 of eth0 in the pod/],
  ['ip -n NS route del default', /put back: route 0.0.0.0\/0 via/],
  ['ip -n NS -6 route del default', /put back: route ::\/0 via/],
  ['ip -n NS link set eth0 down', /put back: eth0 in the pod up/],
];
const ofBridge: typeof both = [
  ['ip addr del 10.61.0.1/24 dev both0', /put back: address 10.61.0.1\/24 of bridge both0/],
  ['ip -6 addr del fd61::1/64 dev both0', /put back: address fd61::1\/64 of bridge both0/],
  ['ip link set both0 down', /put back: both0 up/],
  ['ip link set HOST nomaster', /put back: veth\w+ as a port of bridge both0/],
  ['ip link del both0', /put back: bridge both0/],
  ['nft flush set inet rkt same4', /access to 10.61.0.2 from its own bridge/],
];
const ofPtp: typeof both = [
  ['ip addr del 10.61.0.1/32 dev HOST', /put back: address 10.61.0.1\/32 of veth/],
  ['ip route del 10.61.0.2/32', /put back: route 10.61.0.2\/32 on veth/],
];

describe.each([
  ['bridge', [...both, ...ofBridge]],
  ['ptp', [...both, ...ofPtp]],
] as const)('%s', (type, damages) => {
  test('each thing is missed, told, put back, and then all answers as before', async () => {
    mkdirSync(join(rkt.config, 'net.d'), { recursive: true });
    writeFileSync(join(rkt.config, 'net.d/10-both.conflist'), JSON.stringify(ip6Network(type)));
    const pod = rkt.start(['--net=both', '--port=8080:80', 'busybox', ...serve]);
    await untilServed(`http://${pod.ip}/`);
    expect(rkt.ok('net', 'repair')).toBe('nothing to repair\n');
    for (const [damage, told] of damages) {
      await closed();
      const command = fill(damage, pod, type);
      sh(command);
      const seen = rkt.run(['net', 'repair', '--dry-run', pod.uuid]);
      expect([seen.status, seen.stdout], command).toEqual([1, expect.stringMatching(new RegExp(told.source.replace('put back', 'missing')))]);
      expect(rkt.ok('net', 'repair', pod.uuid), command).toMatch(told);
      expect(rkt.ok('net', 'repair', pod.uuid), command).toBe('nothing to repair\n');
      expect(await Promise.all(['127.0.0.1:8080', '10.61.0.2', '[fd61::2]'].map((host) => answer(`http://${host}/`))), command).toEqual([
        'here',
        'here',
        'here',
      ]);
    }
    await pod.stop();
    rkt.gc();
    rmSync(join(rkt.config, 'net.d'), { recursive: true });
  });
});

function fill(damage: string, pod: RunningPod, type: string): string {
  const peers = JSON.parse(sh('ip -j link')) as { ifname: string }[];
  const host = peers.find(({ ifname }) => ifname.startsWith('veth'))?.ifname ?? expect.fail('no host end');
  return damage
    .replaceAll('HOST', host)
    .replaceAll('NS', `rkt-${pod.uuid}`)
    .replaceAll('IP', pod.ip)
    .replaceAll('LOOP', type === 'bridge' ? 'both0' : host);
}

test('after nft flush ruleset the published port is silent, and repair makes it answer', async () => {
  const pod = rkt.start(['--net=bridge', '--port=8080:80', 'busybox', ...serve]);
  await untilServed('http://127.0.0.1:8080/');
  await closed();
  sh('nft flush ruleset');
  expect(await answer('http://127.0.0.1:8080/')).toBe('no answer');
  rkt.ok('net', 'repair', pod.uuid);
  expect(await answer('http://127.0.0.1:8080/')).toBe('here');
  await pod.stop();
  rkt.gc();
});

test('every pod at once, and a port that somebody else has taken meanwhile is told', async () => {
  const first = rkt.start(['--net=bridge', '--port=8080:80', 'busybox', ...serve]);
  sh('nft flush ruleset');
  const second = rkt.start(['--net=bridge', '--port=8081:80', 'busybox', ...serve]);
  sh(`nft add element inet rkt ports4 '{ tcp . 8080 comment "bridge/${second.uuid}/eth0" : ${second.ip} . 80 }'`);
  const { status, stdout, stderr } = rkt.run(['net', 'repair']);
  expect([status, stdout]).toEqual([254, expect.stringContaining(`pod ${first.uuid.slice(0, 8)}, network "bridge" (eth0): put back: masquerading`)]);
  expect(stderr).toContain(second.uuid);
  await Promise.all([first.stop(), second.stop()]);
  rkt.gc();
});

test('what nobody can put back is told: a pod whose interface is gone', async () => {
  const pod = rkt.start(['--net=bridge', 'busybox', '--exec=/bin/sleep', '--', '60']);
  sh(`ip -n rkt-${pod.uuid} link del eth0`);
  const { status, stderr } = rkt.run(['net', 'repair', pod.uuid]);
  expect([status, stderr]).toEqual([254, expect.stringContaining('disconnect and connect the network')]);
  rkt.ok('net', 'disconnect', pod.uuid, 'bridge');
  rkt.ok('net', 'connect', pod.uuid, 'bridge');
  expect(rkt.ok('net', 'repair', pod.uuid)).toBe('nothing to repair\n');
  await pod.stop();
  rkt.gc();
});

test('plugins that run as executables are asked by CHECK', async () => {
  const netd = join(rkt.config, 'net.d');
  mkdirSync(netd, { recursive: true });
  for (const type of ['bridge', 'host-local']) symlinkSync(join(dist, 'cni', type), join(netd, type));
  const plugin = { type: 'bridge', bridge: 'exec0', ipam: { type: 'host-local', subnet: '10.62.0.0/24' } };
  writeFileSync(join(netd, '10-exec.conflist'), JSON.stringify({ cniVersion: '1.1.0', name: 'exec', plugins: [plugin] }));
  const pod = rkt.start(['--net=exec', 'busybox', '--exec=/bin/sleep', '--', '60']);
  const shown = (): readonly [number | null, string] => {
    const { status, stdout, stderr } = rkt.run(['net', 'repair', pod.uuid]);
    return [status, stdout + stderr];
  };
  expect(shown()).toEqual([0, 'nothing to repair\n']);
  sh(`ip -n rkt-${pod.uuid} addr flush dev eth0`);
  expect(shown()).toEqual([254, expect.stringMatching(/cannot be put back: plugin bridge.*rkt cannot put back what this plugin makes/)]);
  await pod.stop();
  rkt.gc();
  rmSync(netd, { recursive: true });
});
