/** Networks that people make and remove by `rkt net`. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { useHost } from '../rig/host.ts';
import { Rkt, rktPath } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();
const netd = (): string => join(rkt.config, 'net.d');
afterEach(() => rmSync(netd(), { recursive: true, force: true }));
const links = (): string[] => readdirSync('/sys/class/net');
const refused = (...args: string[]): string => {
  const { status, stderr } = rkt.run(args);
  expect(status, stderr).toBe(254);
  return stderr;
};

describe('create', () => {
  test('a pod joins what was created; rm takes bridge and file', () => {
    expect(rkt.ok('net', 'create', 'web', '--no-dns')).toBe(`network "web": subnet 10.89.0.0/24, bridge rkt-web, ${netd()}/20-web.conflist\n`);
    expect(statSync(join(netd(), '20-web.conflist')).mode & 0o777).toBe(0o644);
    expect(rkt.ok('run', '--net=web', '--port=8080:80', 'busybox', '--exec=/sbin/ip', '--', '-4', 'addr', 'show', 'eth0')).toContain(
      'inet 10.89.0.2/24',
    );
    expect(links()).toContain('rkt-web');
    rkt.ok('gc', '--grace-period=0');
    expect(rkt.ok('net', 'rm', 'web')).toBe('web\n');
    expect(links()).not.toContain('rkt-web');
    expect(readdirSync(netd())).toEqual([]);
    expect(readdirSync(join(rkt.dataDir, 'networks')).filter((name) => name.endsWith('.json'))).toEqual([]);
  });
  test('rm alone takes the bridge that was left without pods', () => {
    rkt.ok('net', 'create', 'solo', '--no-dns');
    const pod = rkt.ok('run', '--net=solo', 'busybox', '--exec=/bin/true');
    expect(pod).toBe('');
    const [id = ''] = rkt.pods().map(({ name }) => name);
    rkt.ok('rm', id);
    expect(links()).toContain('rkt-solo');
    rkt.ok('net', 'rm', 'solo');
    expect(links()).not.toContain('rkt-solo');
  });
  test('a dry run prints and writes nothing; the file is what was printed', () => {
    const printed = rkt.ok('net', 'create', 'web', '--no-dns', '--subnet=10.7.0.0/16', '--dry-run');
    expect(existsSync(netd())).toBe(false);
    rkt.ok('net', 'create', 'web', '--no-dns', '--subnet=10.7.0.0/16');
    expect(readFileSync(join(netd(), '20-web.conflist'), 'utf8')).toBe(printed);
  });
  test('every fault in one error, nothing written', () => {
    const said = refused('net', 'create', 'host', '--subnet=10.1.2.3/24', '--mtu=1', '--parent=lo');
    expect(said).toMatch(/4 faults \[ERR_NET_DEFINITION\]/);
    expect(existsSync(netd())).toBe(false);
  });
  test('ptp, with all that can be said about its addresses', () => {
    rkt.ok(
      'net',
      'create',
      'routed',
      '--driver=ptp',
      '--subnet=10.8.0.0/24',
      '--gateway=10.8.0.254',
      '--ip-range=10.8.0.64/26',
      '--ipv6',
      '--mtu=1400',
    );
    const shown = rkt.ok('run', '--net=routed', 'busybox', '--exec=/bin/sh', '--', '-c', 'ip addr show eth0; ip route');
    for (const text of ['mtu 1400', 'inet 10.8.0.64/24', 'inet6 fd', 'default via 10.8.0.254']) expect(shown).toContain(text);
    rkt.ok('gc', '--grace-period=0');
    rkt.ok('net', 'rm', 'routed');
  });
  test('a taken name and an overlapping subnet', () => {
    rkt.ok('net', 'create', 'web', '--no-dns');
    expect(refused('net', 'create', 'web')).toContain('already');
    expect(refused('net', 'create', 'two', '--subnet=10.89.0.0/16')).toContain('of network "web"');
  });
  test('many at once get different subnets', async () => {
    const names = ['a', 'b', 'c', 'd'];
    const statuses = names.map(
      (name) =>
        new Promise((done) => {
          spawn(rktPath, rkt.arguments(['net', 'create', name, '--no-dns']), { stdio: 'ignore' }).on('close', done);
        }),
    );
    expect(await Promise.all(statuses)).toEqual([0, 0, 0, 0]);
    const texts = readdirSync(netd()).map((file) => readFileSync(join(netd(), file), 'utf8'));
    expect(new Set(texts.map((text) => /"subnet": "([^"]+)"/.exec(text)?.[1])).size).toBe(4);
    expect(readdirSync(netd()).map((file) => file.slice(0, 2))).toEqual(['20', '21', '22', '23']);
  });
  test('an isolated network is closed to pods of others, an internal one has no way out', async () => {
    rkt.ok('net', 'create', 'open', '--no-dns');
    rkt.ok('net', 'create', 'shut', '--no-dns', '--internal');
    const inner = rkt.start(['--net=shut', 'busybox', '--exec=/bin/sleep', '--', '60']);
    const ping = (net: string): number | null => rkt.run(['run', `--net=${net}`, 'busybox', '--exec=/bin/ping', '--', '-c1', '-W1', inner.ip]).status;
    expect([ping('shut'), ping('open')]).toEqual([0, 1]);
    expect(rkt.ok('enter', inner.uuid, '--', 'ip', 'route')).not.toContain('default');
    await inner.stop();
    rkt.gc();
  });
});

describe('rm', () => {
  test('refuses while a pod has it, naming the pod, and then none of the named goes', async () => {
    for (const name of ['used', 'free']) rkt.ok('net', 'create', name, '--no-dns');
    const pod = rkt.start(['--net=used', '--pod-name=user', 'busybox', '--exec=/bin/sleep', '--', '60']);
    expect(refused('net', 'rm', 'free', 'used')).toMatch(new RegExp(`"used" is used by pod ${pod.uuid} "user" \\(running\\).*ERR_NET_IN_USE`));
    await pod.stop('SIGKILL');
    expect(refused('net', 'rm', 'used')).toContain('(exited)');
    expect(readdirSync(netd())).toHaveLength(2);
    rkt.gc();
    rkt.ok('net', 'rm', 'free', 'used');
  });
  test('a pod that gave it back at its end is no user, though its record stays', async () => {
    rkt.ok('net', 'create', 'used', '--no-dns');
    const pod = rkt.start(['--net=used', 'busybox', '--exec=/bin/sleep', '--', '60']);
    await pod.stop();
    await expect.poll(() => rkt.run(['net', 'rm', 'used']).status).toBe(0);
    expect(rkt.pods().map(({ state }) => state)).toEqual(['exited']);
    rkt.gc();
  });
  test('a container of another runtime counts', () => {
    rkt.ok('net', 'create', 'shared', '--no-dns');
    const cache = '/var/lib/cni/results/shared-abc-eth0';
    writeFileSync(cache, JSON.stringify({ kind: 'cniCacheV1', containerId: 'abc', ifName: 'eth0', networkName: 'shared', result: {} }));
    expect(refused('net', 'rm', 'shared')).toContain('container abc of another runtime');
    rmSync(cache);
    rkt.ok('net', 'rm', 'shared');
  });
  test('files of others only by force, networks of rkt and the vendor never, unknown ones with a guess', () => {
    mkdirSync(netd(), { recursive: true });
    writeFileSync(join(netd(), '50-mine.conflist'), JSON.stringify({ cniVersion: '1.0.0', name: 'mine', plugins: [{ type: 'bridge' }] }));
    expect(refused('net', 'rm', 'mine')).toContain('ERR_NET_NOT_OURS');
    expect(refused('net', 'rm', '--force', 'default')).toContain('comes with rkt');
    expect(refused('net', 'rm', 'mien')).toMatch(/ERR_NET_NOT_FOUND[\s\S]*did you mean "mine"/);
    rkt.ok('net', 'rm', '--force', 'mine');
    expect(readdirSync(netd())).toEqual([]);
  });
});

test('as an unprivileged user: a dry run works, writing says what is missing', () => {
  const as = (...args: string[]) =>
    execFileSync('setpriv', ['--reuid=65534', '--clear-groups', 'sh', '-c', '"$@" 2>&1; echo "$?"', 'sh', rktPath, ...args], { encoding: 'utf8' });
  expect(as('--local-config=/nowhere', 'net', 'create', 'web', '--no-dns', '--dry-run')).toMatch(/"name": "web"[\s\S]*\n0\n$/);
  expect(as('--local-config=/nowhere', 'net', 'create', 'web', '--no-dns')).toMatch(/ERR_NETCONF_IO\]\nhint: .*sudo\n254\n$/);
});
