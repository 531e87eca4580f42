/**
 * Many pods on one range of addresses: nobody gets another's, an empty range says who has it, and gc gives it back.
 * 50 runs (20 of executables), 20 at a time; RKT_SOAK=1: 200.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { useHost } from '../rig/host.ts';
import { clearForeign, debians, inProcess, ownExecutables, prepareWay } from '../rig/plugin-ways.ts';
import { Rkt, type Outcome } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();
const soak = process.env['RKT_SOAK'] !== undefined;

/** Runs `count` pods, 20 at a time. */
async function crowd(count: number, words: readonly string[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let begun = 0;
  const worker = async (): Promise<void> => {
    while (begun++ < count) outcomes.push(await rkt.launch(words));
  };
  await Promise.all(Array.from({ length: 20 }, worker));
  return outcomes;
}
/** One gc of them all; with executables that is hundreds of program starts. */
async function collect(): Promise<void> {
  const { status, stderr } = rkt.run(['gc', '--grace-period=0'], { timeoutMs: 200_000 });
  expect(status, stderr).toBe(0);
  expect(rkt.podDirectories()).toEqual([]);
  await expect.poll(() => existsSync(join(rkt.dataDir, 'pods-trash')), { timeout: 30_000 }).toBe(false);
}
const showAddress = ['busybox', '--exec=/sbin/ip', '--', '-4', '-o', 'addr', 'show', 'eth0'];
const failures = (outcomes: readonly Outcome[]): string[] => outcomes.filter(({ status }) => status !== 0).map(({ stderr }) => stderr);
const addressesOf = (outcomes: readonly Outcome[]): string[] => outcomes.map(({ stdout }) => /inet (\S+)\//.exec(stdout)?.[1] ?? 'none');

describe.each([inProcess, ownExecutables, debians])('plugins $name', (way) => {
  let netd = '';
  beforeEach(() => {
    netd = prepareWay(rkt, way);
  });
  afterEach(() => {
    if (way.isForeign) clearForeign('crowd0', 'crowd');
  });
  const network = (range: object): void =>
    writeFileSync(
      join(netd, '10-crowd.conflist'),
      JSON.stringify({
        cniVersion: way.cniVersion,
        name: 'crowd',
        plugins: [
          {
            type: 'bridge',
            bridge: 'crowd0',
            isGateway: true,
            ipMasq: true,
            ipam: { type: 'host-local', ranges: [[{ subnet: '10.69.0.0/24', ...range }]], routes: [{ dst: '0.0.0.0/0' }] },
          },
          { type: 'firewall' },
        ],
      }),
    );
  /** Debian's firewall plugin fails when two make its shared chains at once ("Chain already exists"): one pod has made them before. */
  const makeSharedChains = (): void => {
    if (way.isForeign) rkt.ok('run', '--net=crowd', ...way.flags, 'busybox', '--exec=/bin/true');
  };
  const count = soak ? 200 : way === inProcess ? 50 : 20;

  test(`${count} runs, 20 at a time, on a /24: none fails, no address twice`, { timeout: 400_000 }, async () => {
    network({});
    makeSharedChains();
    const outcomes = await crowd(count, ['run', '--net-release=gc', '--net=crowd', ...way.flags, ...showAddress]);
    expect(failures(outcomes)).toEqual([]);
    const addresses = addressesOf(outcomes);
    expect(addresses).not.toContain('none');
    expect(new Set(addresses).size).toBe(count);
    await collect();
  });

  // Executables free an address some time after the pod has ended: they need more of them, and more pods to be more.
  if (way === inProcess || soak)
    test('more pods than addresses: each end frees one', { timeout: 400_000 }, async () => {
      network({ rangeStart: '10.69.0.10', rangeEnd: way === inProcess ? '10.69.0.34' : '10.69.0.89' });
      makeSharedChains();
      const outcomes = await crowd(count, ['run', '--net=crowd', ...way.flags, ...showAddress]);
      expect(failures(outcomes)).toEqual([]);
      await collect();
    });

  test('a range that is used up: who has it, and how it is freed; then it runs again', async () => {
    network({ rangeStart: '10.69.0.10', rangeEnd: '10.69.0.12' });
    const kept = ['run', '--net-release=gc', '--net=crowd', ...way.flags];
    rkt.ok(...kept, '--pod-name=ended', 'busybox', '--exec=/bin/true');
    rkt.ok(...kept, 'busybox', '--exec=/bin/true');
    const living = rkt.start(['--net=crowd', ...way.flags, 'busybox', '--exec=/bin/sleep', '--', '600']);
    const { status, stderr } = rkt.run([...kept, 'busybox', '--exec=/bin/true']);
    expect(status).toBe(254);
    expect(stderr).toMatch(
      /^error: plugin bridge of network "crowd" failed \(ADD\): .*no IP addresses available in range set: 10\.69\.0\.10-10\.69\.0\.12.*\[ERR_PLUGIN_FAILED\]$/m,
    );
    const holders = [...stderr.matchAll(/^ {2}- (\S+) is held by pod (\S+)( "\w+")? \((\w+)\)$/gm)];
    expect(new Set(holders.map(([, address]) => address))).toEqual(new Set(['10.69.0.10', '10.69.0.11', '10.69.0.12']));
    // Those that cost nobody anything come first.
    expect(holders.map(([, , , , state]) => state)).toEqual(['exited', 'exited', 'running']);
    expect(holders.filter(([, , , name]) => name === ' "ended"')).toHaveLength(1);
    expect(holders.at(-1)?.[2]).toBe(living.uuid);
    expect(stderr).toMatch(/^hint: rkt gc --grace-period=0 frees what the 2 pods that ended hold.*larger range$/m);
    expect(rkt.podDirectories()).toHaveLength(3);
    rkt.gc();
    rkt.ok(...kept, 'busybox', '--exec=/bin/true');
    rkt.ok(...kept, 'busybox', '--exec=/bin/true');
    await living.stop();
    rkt.gc();
  });
});

test('one address that is asked for and taken: its holder', () => {
  prepareWay(rkt, inProcess);
  const pod = rkt.start(['--net=bridge', 'busybox', '--exec=/bin/sleep', '--', '600']);
  const other = rkt.start(['--net=bridge', 'busybox', '--exec=/bin/sleep', '--', '600']);
  const { status, stderr } = rkt.run(['run', `--net=bridge:IP=${pod.ip}`, 'busybox', '--exec=/bin/true']);
  expect([status, stderr]).toEqual([254, expect.stringContaining(`${pod.ip} is held by pod ${pod.uuid} (running)`)]);
  expect(stderr).toMatch(/hint: end a pod that runs \(rkt stop UUID\)/);
  expect(stderr).not.toContain(other.uuid);
});

test('an address whose holder is no pod', () => {
  const netd = prepareWay(rkt, inProcess);
  const ipam = { type: 'host-local', subnet: '10.69.0.0/24', rangeStart: '10.69.0.10', rangeEnd: '10.69.0.10' };
  writeFileSync(join(netd, '10-crowd.conflist'), JSON.stringify({ cniVersion: '1.1.0', name: 'crowd', plugins: [{ type: 'ptp', ipam }] }));
  execFileSync('sh', ['-c', 'mkdir -p /var/lib/cni/networks/crowd; printf "stranger\\r\\neth0" > /var/lib/cni/networks/crowd/10.69.0.10']);
  const { status, stderr } = rkt.run(['run', '--net=crowd', 'busybox', '--exec=/bin/true']);
  expect(status).toBe(254);
  expect(stderr).toContain('10.69.0.10 is held by container stranger, no pod of this data directory');
  expect(stderr).toMatch(/hint: rkt net gc crowd frees/);
  rkt.ok('net', 'gc', 'crowd');
  rkt.ok('run', '--net=crowd', 'busybox', '--exec=/bin/true');
  rkt.gc();
});
