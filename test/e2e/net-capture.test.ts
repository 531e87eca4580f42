/** A pod's packets, seen by tcpdump. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { useHost } from '../rig/host.ts';
import { Rkt, rktPath, type RunningPod } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();
let pod: RunningPod;
beforeEach(() => {
  pod = rkt.start(['--net=bridge', 'busybox', '--exec=/bin/sleep', '--', '60']);
});
afterEach(async () => {
  await pod.stop();
  rkt.gc();
});
const ping = (address: string): number | null => spawnSync('busybox', ['ping', '-c1', '-W1', address]).status;

/** Starts a capture and waits until tcpdump listens. */
async function capturing(
  ...args: string[]
): Promise<{ child: ChildProcess; said: () => string; end: () => Promise<number | null>; ended: Promise<number | null> }> {
  const child = spawn(rktPath, rkt.arguments(['net', 'capture', pod.uuid, ...args]), { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const ended = new Promise<number | null>((done) => void child.on('close', done));
  await expect.poll(() => text, { timeout: 5_000, interval: 10 }).toContain('listening on');
  return { child, said: () => text, end: () => (child.kill('SIGINT'), ended), ended };
}

test('prints packets of the pod that match, and the process is tcpdump itself', async () => {
  const { child, said, end } = await capturing('--', 'icmp', 'and', 'dst', 'host', pod.ip);
  expect(readFileSync(`/proc/${child.pid ?? 0}/comm`, 'utf8')).toBe('tcpdump\n');
  expect(ping(pod.ip)).toBe(0);
  await expect.poll(said).toContain(`> ${pod.ip}: ICMP echo request`);
  expect(said()).not.toContain('echo reply');
  expect(await end()).toBe(0);
});
test('writes a pcap file, also where only root may', async () => {
  const file = join(rkt.config, 'web.pcap');
  const { end } = await capturing('-w', file, '--interface=any');
  ping(pod.ip);
  await expect.poll(() => existsSync(file) && readFileSync(file).length, { timeout: 2_000 }).toBeGreaterThan(100);
  expect(await end()).toBe(0);
  expect(readFileSync(file).subarray(0, 4).toString('hex')).toBe('d4c3b2a1');
  rmSync(file);
});

test('ends with its pod, says so, and whoever watched for it is gone with either', async () => {
  const watchers = (): number =>
    Number(spawnSync('pgrep', ['-cx', '--ns', String(process.pid), '--nslist', 'mnt', 'rkt-end-with'], { encoding: 'utf8' }).stdout);
  const file = join(rkt.config, 'last.pcap');
  const { child, said, ended } = await capturing('-w', file);
  expect(watchers()).toBe(1);
  ping(pod.ip);
  await pod.stop('SIGKILL');
  expect(await ended).toBe(0);
  expect(said()).toMatch(new RegExp(`pod ${pod.uuid} has ended, and the capture with it\\n[^]*packets captured`));
  expect(readFileSync(file).length).toBeGreaterThan(100);
  rmSync(file);
  expect(child.signalCode).toBeNull();
  expect(watchers()).toBe(0);
  pod = rkt.start(['--net=bridge', 'busybox', '--exec=/bin/sleep', '--', '60']);
  const other = await capturing();
  other.child.kill('SIGKILL');
  await other.ended;
  await expect.poll(watchers).toBe(0);
});

const refused = (args: readonly string[], env: Record<string, string> = {}): string => {
  const { status, stderr } = rkt.run(['net', 'capture', ...args], { env });
  expect(status, stderr).toBe(254);
  return stderr;
};
test('an interface the pod has not is told with those it has; options do not hide in a filter', () => {
  expect(refused([pod.uuid, '--interface=eth7'])).toMatch(/no interface "eth7" \[ERR_NET_ATTACHED\]\nhint: it has lo, eth0/);
  expect(rkt.run(['net', 'capture', pod.uuid, '--', '-w', '/tmp/never']).status).not.toBe(0);
  expect(existsSync('/tmp/never')).toBe(false);
});
test('without tcpdump: what to install', () => {
  // What is no program hides the one that is.
  const hidden = ['sh', '-c', 'mount --bind /dev/null "$(command -v tcpdump)"; exec "$@"', 'sh'];
  const { stderr } = spawnSync('unshare', ['-m', '--propagation=private', ...hidden, rktPath, ...rkt.arguments(['net', 'capture', pod.uuid])], {
    encoding: 'utf8',
  });
  expect(stderr).toMatch(/tcpdump is not installed \[ERR_HOST_PROGRAM_MISSING\]\nhint: apt install tcpdump/);
});
test('a pod without a network of its own', async () => {
  const other = rkt.start(['--net=host', 'busybox', '--exec=/bin/sleep', '--', '60']);
  expect(refused([other.uuid])).toContain('has no network of its own');
  await other.stop();
  expect(refused([other.uuid])).toContain('is exited');
});
