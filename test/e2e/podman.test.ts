/** podman's CNI backend on our executables: what it attaches works, and what it removes leaves nothing; beside rkt's pods. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { useHost } from '../rig/host.ts';
import { page, untilServed } from '../rig/http.ts';
import { Podman, conflist, serving, type PodmanNetwork, type PodmanOutcome } from '../rig/podman.ts';
import { Rkt, dist, type RunningPod } from '../rig/rkt.ts';

// Where the hybrid host's cgroup2 mount was, crun makes its groups as plain directories.
useHost({ tolerate: (line) => line.startsWith('cgroup /sys/fs/cgroup/unified/') });
const rkt = new Rkt();
let podman: Podman;
let unable: string | undefined;
const front: PodmanNetwork = { name: 'front', bridge: 'pm-front', subnet: 77 };
const back: PodmanNetwork = { name: 'back', bridge: 'pm-back', subnet: 78 };

beforeAll(() => {
  podman = new Podman(join(dist, 'cni'));
  for (const network of [front, back]) podman.addNetwork(network);
  unable = podman.prepare(join(dist, 'images/busybox'));
});
beforeEach((context) => {
  if (unable !== undefined) context.skip(unable);
});
afterEach(() => {
  if (unable === undefined) podman.run('rm', '-a', '-f', '-t=0');
});
afterAll(() => podman.close());

const done = ({ status, stdout, stderr }: PodmanOutcome): PodmanOutcome => {
  expect(status, `${stdout}${stderr}`).toBe(0);
  return { status, stdout: stdout.trim(), stderr };
};
const ok = (...args: string[]): string => done(podman.run(...args)).stdout;
const remove = (name: string): string[] => ['rm', '-f', '-t=0', name];
const served = (name: string, hostPort: number, ...flags: string[]): string[] =>
  podman.starting(name, [`-p=${hostPort}:80`, ...flags], serving(name));
const start = (name: string, hostPort: number, ...flags: string[]): PodmanOutcome => done(podman.run(...served(name, hostPort, ...flags)));
const inspected = (name: string, field: string): string => ok('inspect', `--format={{${field}}}`, name);
const addressOf = (name: string, network = 'front'): string => inspected(name, `(index .NetworkSettings.Networks "${network}").IPAddress`);

const listed = (dir: string): string[] => (existsSync(dir) ? readdirSync(dir) : []);
const leases = (network = 'front'): string[] => listed(`/var/lib/cni/networks/${network}`).filter((name) => /^\d/.test(name));
const cached = (network = 'front'): string[] => listed('/var/lib/cni/results').filter((name) => name.startsWith(`${network}-`));
const saved = (): string[] => listed('/run/cni/tuning');
const links = (): string[] =>
  (JSON.parse(execFileSync('ip', ['-j', 'link'], { encoding: 'utf8' })) as { ifname: string }[]).map(({ ifname }) => ifname);
const rules = (): string => execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' });
/** Everything of podman's and of ours, whatever the residue check sees of it as well. */
function expectNothingLeft(): void {
  expect(links()).toEqual(['lo']);
  expect(rules()).toBe('');
  expect(listed('/run/netns')).toEqual([]);
  expect(readdirSync('/var/lib/cni', { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory())).toEqual([]);
  expect([listed('/var/lib/cni/results'), listed('/var/lib/cni/networks'), saved(), listed('/run/crun')]).toEqual([[], [], [], []]);
  expect(podman.mounts().filter((path) => !path.endsWith('/root/overlay'))).toEqual([]);
  expect(podman.cgroups()).toEqual([]);
}

test('20 containers, 10 in turn and 10 at once: every port answers; the last DEL takes the bridge and the tables', { timeout: 110_000 }, async () => {
  const names = Array.from({ length: 20 }, (_, i) => `c${i}`);
  const portOf = (name: string): number => 18_000 + Number(name.slice(1));
  const [inTurn, atOnce] = [names.slice(0, 10), names.slice(10)];
  const expectServed = async (some: readonly string[]): Promise<void> => {
    for (const host of ['127.0.0.1', '10.77.0.1'])
      expect(await Promise.all(some.map((name) => page(`http://${host}:${portOf(name)}/`)))).toEqual(some);
  };

  for (const name of inTurn) start(name, portOf(name), '--network=front');
  for (const outcome of await Promise.all(atOnce.map((name) => podman.launch(...served(name, portOf(name), '--network=front'))))) done(outcome);
  for (const name of names) await untilServed(`http://10.77.0.1:${portOf(name)}/`);
  await expectServed(names);
  expect(new Set(leases()).size).toBe(20);
  expect([cached().length, saved().length, listed('/run/netns').length]).toEqual([20, 20, 20]);
  expect(links().filter((name) => name === 'pm-front')).toHaveLength(1);
  expect(ok('exec', 'c3', 'cat', '/proc/sys/net/ipv4/conf/eth0/arp_filter')).toBe('1');
  expect(ok('exec', 'c3', 'wget', '-qO-', `http://${addressOf('c15')}/`)).toBe('c15');
  expect(ok('exec', 'c3', 'wget', '-qO-', 'http://10.77.0.1:18003/')).toBe('c3');

  for (const name of inTurn) ok(...remove(name));
  await expectServed(atOnce);
  for (const name of inTurn) await expect(page(`http://10.77.0.1:${portOf(name)}/`), name).rejects.toThrow('ECONNREFUSED');
  expect([leases().length, cached().length]).toEqual([10, 10]);
  for (const outcome of await Promise.all(atOnce.map((name) => podman.launch(...remove(name))))) done(outcome);
  expectNothingLeft();
});

test('a list that asks for iptables is accepted, noted and served by nftables', async () => {
  podman.addNetwork({ ...front, name: 'old', backend: 'iptables' });
  // podman keeps to itself what plugins say unless they fail.
  const log = join(podman.dir, 'said');
  for (const type of ['portmap', 'firewall'])
    writeFileSync(join(podman.wrappers, type), `#!/bin/sh\nexec ${join(dist, 'cni', type)} 2>>${log}\n`, { mode: 0o755 });
  start('a', 18_000, '--network=old');
  await untilServed('http://10.77.0.1:18000/');
  expect(execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' })).toBe('table inet rkt\n');
  const notes = readFileSync(log, 'utf8').split('\n');
  expect(notes.filter((line) => line.startsWith('backend'))).toEqual([
    'backend: iptables was asked for; ports are published by nftables table inet rkt',
    'backend: iptables was asked for; forwarding is handled by nftables table inet rkt',
  ]);
  ok(...remove('a'));
  for (const type of readdirSync(podman.wrappers)) rmSync(join(podman.wrappers, type));
  expectNothingLeft();
});

test('an address and a hardware address that are asked for', () => {
  start('a', 18_000, '--network=front', '--ip=10.77.0.33', '--mac-address=02:00:00:00:00:33');
  expect(ok('exec', 'a', 'ip', 'addr', 'show', 'eth0')).toMatch(/02:00:00:00:00:33[^]*inet 10\.77\.0\.33\/24/);
  const second = podman.run(...served('b', 18_001, '--network=front', '--ip=10.77.0.33'));
  expect([second.status, second.stderr]).toEqual([126, expect.stringContaining('10.77.0.33')]);
  expect(leases()).toEqual(['10.77.0.33']);
  ok('rm', '-f', '-t=0', 'a', 'b');
  expectNothingLeft();
});

describe('a container with published ports', () => {
  test('joins a second network and leaves it', async () => {
    start('a', 18_000, '--network=front');
    ok('network', 'connect', 'back', 'a');
    expect([leases('back'), cached('back').length]).toEqual([['10.78.0.2'], 1]);
    expect(ok('exec', 'a', 'ip', 'addr', 'show', 'eth1')).toContain('inet 10.78.0.2/24');
    await untilServed('http://10.78.0.2/');
    for (const host of ['10.77.0.1', '10.78.0.1', '127.0.0.1']) expect(await page(`http://${host}:18000/`)).toBe('a');
    ok('network', 'disconnect', 'back', 'a');
    expect(podman.run('exec', 'a', 'ip', 'addr', 'show', 'eth1').status).not.toBe(0);
    expect([leases('back'), cached('back'), links().includes('pm-back')]).toEqual([[], [], false]);
    expect(await page('http://127.0.0.1:18000/')).toBe('a');

    // Its ports are those of the network it joined first; reload publishes them on what it has.
    ok('network', 'connect', 'back', 'a');
    ok('network', 'disconnect', 'front', 'a');
    ok('network', 'reload', 'a');
    expect(await page('http://127.0.0.1:18000/')).toBe('a');
    expect([leases(), links().includes('pm-front')]).toEqual([[], false]);
    ok(...remove('a'));
    expectNothingLeft();
  });

  test('is on two networks from the start; the port stays refused to others', async () => {
    start('a', 18_000, '--network=front', '--network=back');
    // Either network may come first and publish. podman sets arp_filter in containers: from the other network's gateway the
    // published address is not found.
    await untilServed('http://127.0.0.1:18000/');
    const other = podman.run(...served('b', 18_000, '--network=front'));
    expect(other.status).not.toBe(0);
    expect(other.stderr).toMatch(/host port 18000\/tcp is already published by (front|back)\//);
    expect(leases()).toHaveLength(1);
    ok('rm', '-f', '-t=0', 'a', 'b');
    expectNothingLeft();
  });

  test('is restarted: attached again, nothing twice', async () => {
    start('a', 18_000, '--network=front');
    start('b', 18_001, '--network=front');
    ok('restart', '-t=0', 'a');
    await untilServed('http://10.77.0.1:18000/');
    expect(await page('http://10.77.0.1:18001/')).toBe('b');
    expect([leases().length, cached().length, saved().length, listed('/run/netns').length]).toEqual([2, 2, 2, 2]);
    expect(addressOf('a')).not.toBe(addressOf('b'));
    ok('rm', '-f', '-t=0', 'a', 'b');
    expectNothingLeft();
  });

  test('is killed: conmon has everything freed, its address is the next one’s; it starts again', async () => {
    start('a', 18_000, '--network=front', '--ip=10.77.0.33');
    process.kill(Number(inspected('a', '.State.Pid')), 'SIGKILL');
    await expect.poll(() => [leases(), cached(), listed('/run/netns'), links()], { timeout: 5_000 }).toEqual([[], [], [], ['lo']]);
    expect(rules()).toBe('');
    start('b', 18_000, '--network=front', '--ip=10.77.0.33');
    await untilServed('http://10.77.0.1:18000/');
    ok(...remove('b'));
    ok('start', 'a');
    await untilServed('http://10.77.0.1:18000/');
    expect(leases()).toEqual(['10.77.0.33']);
    ok(...remove('a'));
    expectNothingLeft();
  });
});

describe('beside a pod of rkt on the same network', () => {
  beforeEach(() => {
    mkdirSync(join(rkt.config, 'net.d'), { recursive: true });
    writeFileSync(join(rkt.config, 'net.d/front.conflist'), conflist(front));
  });
  const startPod = (): RunningPod =>
    rkt.start(['--net=front', '--port=18100:80', 'busybox', '--exec=/bin/sh', '--', '-c', serving('pod').at(-1) ?? '']);

  test('they reach each other; gc leaves what is the container’s, its removal what is the pod’s', async () => {
    const pod = startPod();
    start('a', 18_000, '--network=front');
    const address = addressOf('a');
    expect(address).not.toBe(pod.ip);
    for (const port of [18_000, 18_100]) await untilServed(`http://10.77.0.1:${port}/`);
    expect(ok('exec', 'a', 'wget', '-qO-', `http://${pod.ip}/`)).toBe('pod');
    expect(rkt.ok('enter', pod.uuid, '--', 'wget', '-qO-', `http://${address}/`).trim()).toBe('a');

    rkt.gc();
    expect(rkt.ok('net', 'gc', 'front')).toMatch(new RegExp(`nothing to remove; in use by .*container ${inspected('a', '.Id')} of another runtime`));
    expect(leases().sort()).toEqual([address, pod.ip].sort());
    expect(await page('http://10.77.0.1:18000/')).toBe('a');

    ok(...remove('a'));
    expect([leases(), cached().length, links().includes('pm-front')]).toEqual([[pod.ip], 1, true]);
    expect(rules()).not.toContain(address);
    await expect(page('http://10.77.0.1:18000/')).rejects.toThrow('ECONNREFUSED');
    for (const host of ['127.0.0.1', '10.77.0.1']) expect(await page(`http://${host}:18100/`)).toBe('pod');
    await pod.stop();
    rkt.gc();
    rkt.gc();
    expectNothingLeft();
  });

  test('the pod goes first: the container keeps the bridge, and takes it along', async () => {
    start('a', 18_000, '--network=front');
    const pod = startPod();
    await untilServed('http://10.77.0.1:18100/');
    await pod.stop();
    rkt.gc();
    rkt.gc();
    expect(rkt.run(['net', 'gc', '--dry-run', 'front']).stdout).toContain('nothing to remove');
    rkt.ok('net', 'gc');
    expect(leases()).toEqual([addressOf('a')]);
    expect(readFileSync(`/var/lib/cni/networks/front/${addressOf('a')}`, 'utf8')).toContain(inspected('a', '.Id'));
    for (const host of ['127.0.0.1', '10.77.0.1']) expect(await page(`http://${host}:18000/`)).toBe('a');
    await expect(page('http://10.77.0.1:18100/')).rejects.toThrow('ECONNREFUSED');
    ok(...remove('a'));
    expectNothingLeft();
  });
});
