/** A chain of meta plugins on a pod: in process and as executables the pod sees the same, and nothing stays. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { useHost } from '../rig/host.ts';
import { dist, Rkt } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();

const shaped = {
  cniVersion: '1.1.0',
  name: 'shaped',
  plugins: [
    { type: 'ptp', ipam: { type: 'host-local', subnet: '10.77.0.0/24', routes: [{ dst: '0.0.0.0/0' }] } },
    { type: 'tuning', mtu: 1400, mac: '02:00:00:00:77:01', sysctl: { 'net.core.somaxconn': '77', 'net.ipv4.conf.IFNAME.arp_filter': '1' } },
    { type: 'bandwidth', ingressRate: 80_000_000, ingressBurst: 8_000_000, egressRate: 40_000_000, egressBurst: 4_000_000 },
    { type: 'sbr' },
  ],
};
const look = 'cat /sys/class/net/eth0/mtu /sys/class/net/eth0/address /proc/sys/net/core/somaxconn /proc/sys/net/ipv4/conf/eth0/arp_filter; ip rule';

test.each([
  ['in process', []],
  ['as executables', ['--net-exec']],
])('%s', (_, flags) => {
  mkdirSync(join(rkt.config, 'net.d'), { recursive: true });
  // Plugins are looked for beside the configuration first: these are ours, not Debian's.
  if (flags.length > 0) for (const type of readdirSync(join(dist, 'cni'))) symlinkSync(join(dist, 'cni', type), join(rkt.config, 'net.d', type));
  writeFileSync(join(rkt.config, 'net.d/50-shaped.conflist'), JSON.stringify(shaped));
  const pod = rkt.start(['--net=shaped', ...flags, 'busybox', '--exec=/bin/sleep', '--', '60']);
  const seen = rkt.ok('enter', pod.uuid, '--', '/bin/sh', '-c', look);
  expect(seen.split('\n').slice(0, 4)).toEqual(['1400', '02:00:00:00:77:01', '77', '1']);
  expect(seen).toMatch(/from 10\.77\.0\.\d+ lookup 100/);
  const queues = JSON.parse(execFileSync('tc', ['-j', 'qdisc'], { encoding: 'utf8' })) as { kind: string; dev: string; options: { rate?: number } }[];
  expect(
    queues
      .filter(({ kind }) => kind === 'tbf')
      .map(({ dev, options }) => `${dev.slice(0, 3)} ${options.rate}`)
      .sort(),
  ).toEqual(['bwp 5000000', 'vet 10000000']);
  const calls = readFileSync(join(pod.dir, 'net/calls.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { plugin: string; via: string });
  expect(calls.map(({ via }) => (via === 'builtin' ? via : realpathSync(via).startsWith(join(dist, 'cni'))))).toEqual(
    calls.map(() => (flags.length > 0 ? true : 'builtin')),
  );
  expect(readdirSync('/run/cni/tuning')).toEqual([`${pod.uuid}_eth0.json`]);
});
