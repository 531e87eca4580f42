/** Pods on networks with IPAM other than host-local. */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { clients, givenBy, makeBridge, removeBridge, startServer, waitFor, type DhcpServer } from '../netns/ipam/dhcp-world.ts';
import { linkNamed } from '../netns/plugins/world.ts';
import { useHost } from '../rig/host.ts';
import { page, untilServed } from '../rig/http.ts';
import { Rkt, rktPath } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();

function network(name: string, ipam: object): void {
  mkdirSync(join(rkt.config, 'net.d'), { recursive: true });
  const plugins = [{ type: 'bridge', bridge: 'lan0', capabilities: { ips: true }, ipam }];
  writeFileSync(join(rkt.config, 'net.d', `20-${name}.conflist`), JSON.stringify({ cniVersion: '1.1.0', name, plugins }));
}
const serving = (text: string): string[] => [
  '--exec=/bin/sh',
  '--',
  '-c',
  `mkdir /www && echo ${text} > /www/index.html && exec httpd -f -p 80 -h /www`,
];

beforeEach(() => makeBridge('lan0'));
afterEach(() => void (linkNamed('lan0') === undefined || removeBridge('lan0')));

describe('dhcp', () => {
  let server: DhcpServer;
  beforeEach(() => {
    server = startServer('lan0', ['opt subnet 255.255.255.0', 'opt router 10.44.0.1', 'opt lease 3600']);
    network('lan', { type: 'dhcp', timeoutMs: 2_000 });
  });
  afterEach(() => server.stop());

  test('the pod has its lease for as long as it is there; its end, also by SIGKILL, is followed by gc’s release', async () => {
    const pod = rkt.start(['--net=lan', 'busybox', ...serving('leased')]);
    const { ip } = pod;
    expect(Object.keys(givenBy(server))).toEqual([ip]);
    await untilServed(`http://${ip}/`);
    expect(await page(`http://${ip}/`)).toBe('leased');
    expect(clients()).toHaveLength(1);
    await pod.stop('SIGKILL');
    rkt.gc();
    expect(clients()).toEqual([]);
    expect(waitFor(() => givenBy(server)[ip] === 'expired')).toBe(true);
  });

  test('the exit of the pod alone ends its client, which gives the lease back', async () => {
    const pod = rkt.start(['--net=lan', 'busybox', ...serving('leased')]);
    const { ip } = pod;
    await pod.stop();
    expect(waitFor(() => clients().length === 0)).toBe(true);
    expect(waitFor(() => givenBy(server)[ip] === 'expired')).toBe(true);
  });

  test('without an answer the run fails and says why', () => {
    server.stop();
    const outcome = rkt.run(['run', '--net=lan', 'busybox', '--exec=/bin/true']);
    expect(outcome.status).not.toBe(0);
    expect(outcome.stderr).toContain('no DHCP server answered on eth0 within 2 s');
  });

  test('rkt is told to stop, or killed, while it waits for a lease: no client stays', async () => {
    server.stop();
    network('lan', { type: 'dhcp', timeoutMs: 20_000 });
    const waiting = async (signal: NodeJS.Signals): Promise<{ status: unknown; said: string }> => {
      const child = spawn(rktPath, rkt.arguments(['run', '--net=lan', 'busybox', '--exec=/bin/true']), { stdio: ['ignore', 'ignore', 'pipe'] });
      let said = '';
      child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
      const ended = new Promise((done) => child.on('close', done));
      expect(waitFor(() => clients().length > 0, 5_000)).toBe(true);
      child.kill(signal);
      return { status: await ended, said };
    };
    const started = performance.now();
    const stopped = await waiting('SIGTERM');
    expect(stopped.status, stopped.said).toBe(143);
    expect(stopped.said).toContain('gave up because rkt was told to stop');
    expect(clients()).toEqual([]);
    await waiting('SIGKILL');
    expect(clients()).toHaveLength(1);
    rkt.gc();
    expect(clients()).toEqual([]);
    expect(performance.now() - started).toBeLessThan(15_000);
  });
});

test('static: as the configuration says, and as the runtime does', () => {
  network('fixed', { type: 'static', addresses: [{ address: '10.44.0.7/24', gateway: '10.44.0.1' }], routes: [{ dst: '0.0.0.0/0' }] });
  const show = ['busybox', '--exec=/bin/sh', '--', '-c', 'ip -4 addr show eth0; ip route'];
  const configured = rkt.ok('run', '--net=fixed', ...show);
  expect(configured).toContain('inet 10.44.0.7/24');
  expect(configured).toContain('default via 10.44.0.1 dev eth0');
  expect(rkt.ok('run', '--net=fixed:IP=10.44.0.8/24', ...show)).toContain('inet 10.44.0.8/24');
  const replaced = rkt.ok('run', '--net=fixed:ip=10.44.0.9/24', ...show);
  expect(replaced).toContain('inet 10.44.0.9/24');
  expect(replaced).not.toContain('10.44.0.7');
  rkt.gc();
});
