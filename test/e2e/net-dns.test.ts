/** Pods of a network find each other by name. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { useHost } from '../rig/host.ts';
import { Rkt, rktPath, type RunningPod } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();
beforeEach(() => {
  rkt.ok('net', 'create', 'web', '--ipv6');
});
afterEach(() => rmSync(join(rkt.config, 'net.d'), { recursive: true, force: true }));

const sleeper = (name: string, net = 'web'): RunningPod => rkt.start([`--net=${net}`, 'busybox', `--name=${name}`, '--exec=/bin/sleep', '--', '60']);
const inPod = (pod: RunningPod, ...command: string[]): string => rkt.ok('enter', pod.uuid, '--', ...command);
const servers = (): string[] =>
  readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && existsSync(`/proc/${pid}/cmdline`) && /dnsmasq.*\/run\/rkt\/dns\//.test(commandOf(pid)));
const commandOf = (pid: string): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return ''; // it ended while we looked
  }
};
const lookUp = (pod: RunningPod, name: string): string => {
  const { stdout, stderr } = rkt.run(['enter', pod.uuid, '--', 'nslookup', name]);
  return stdout + stderr;
};

test('by app name, with and without the domain, IPv4 and IPv6, also pods that came later; a name goes with its pod', async () => {
  const first = sleeper('db');
  expect(inPod(first, 'cat', '/etc/resolv.conf')).toMatch(/search rkt.internal\nnameserver 10.89.0.1\nnameserver fd/);
  const second = sleeper('app');
  expect(inPod(second, 'ping', '-4', '-c1', '-W1', 'db')).toContain(`(${first.ip})`);
  for (const name of ['app', 'app.rkt.internal']) expect(lookUp(first, name)).toContain(second.ip);
  const [v6 = ''] = (JSON.parse(readFileSync(join(first.dir, 'net-info.json'), 'utf8')) as { ips: string[] }[])[0]?.ips.slice(1) ?? [];
  expect(lookUp(second, 'db')).toContain(v6);
  expect(servers()).toHaveLength(1);
  await first.stop();
  rkt.gc();
  expect(lookUp(second, 'db.rkt.internal')).toMatch(/NXDOMAIN|can't find/);
  expect(servers()).toHaveLength(1);
  await second.stop();
  rkt.gc();
  expect(servers()).toEqual([]);
});

test('two networks have two servers; a pod on both is known on both; disconnect takes its name away', async () => {
  rkt.ok('net', 'create', 'other', '--internal');
  const both = sleeper('both', 'web,other');
  const alone = sleeper('alone', 'other');
  expect(servers()).toHaveLength(2);
  expect(lookUp(alone, 'both')).toMatch(/10\.89\.1\.\d/);
  expect(lookUp(alone, 'both')).not.toContain(both.ip);
  rkt.ok('net', 'disconnect', both.uuid, 'other');
  expect(lookUp(alone, 'both.rkt.internal')).toMatch(/NXDOMAIN|can't find/);
  rkt.ok('net', 'connect', both.uuid, 'other');
  expect(lookUp(alone, 'both')).toMatch(/10\.89\.1\.\d/);
  await Promise.all([both.stop(), alone.stop()]);
  rkt.gc();
});

test('an internal network asks nobody else; another one asks the resolvers it is given', async () => {
  rkt.ok('net', 'create', 'inner', '--internal');
  const pod = sleeper('a', 'inner');
  const conf = readFileSync('/run/rkt/dns/inner/dnsmasq.conf', 'utf8');
  expect(conf).toContain('no-resolv');
  expect(lookUp(pod, 'example.com')).toMatch(/REFUSED|NXDOMAIN|can't|SERVFAIL/);
  await pod.stop();
  rkt.gc();
});

test('it listens on the gateway’s address only, and not as root', async () => {
  const pod = sleeper('a');
  const [server = ''] = servers();
  expect(readFileSync(`/proc/${server}/status`, 'utf8')).toMatch(/^Uid:\t(?!0\t)/m);
  const sockets = execFileSync('ss', ['-Hlnu', 'sport', '=', ':53'], { encoding: 'utf8' });
  expect(
    [...sockets.matchAll(/\s(\S+):53\s/g)].map(([, address]) => address).filter((address) => !/^(10\.89\.0\.1|\[fd.*::1\])$/.test(address ?? '')),
  ).toEqual([]);
  await pod.stop();
  rkt.gc();
});

test('a server that was killed: repair starts it, and so does the next pod', async () => {
  const pod = sleeper('a');
  const kill = (): void => {
    spawnSync('kill', ['-9', ...servers()]);
  };
  kill();
  expect(rkt.run(['net', 'repair', '--dry-run']).stdout).toContain('missing: name server (dnsmasq) of network "web"');
  expect(rkt.ok('net', 'repair')).toContain('put back: name server');
  expect(lookUp(pod, 'a')).toContain(pod.ip);
  kill();
  const other = sleeper('b');
  expect(lookUp(other, 'a')).toContain(pod.ip);
  await Promise.all([pod.stop(), other.stop()]);
  rkt.gc();
});

test('a bridge that was made again is listened on', async () => {
  const pod = sleeper('a');
  execFileSync('ip', ['link', 'del', 'rkt-web']);
  rkt.ok('net', 'repair');
  await expect.poll(() => lookUp(pod, 'a'), { timeout: 5_000 }).toContain(pod.ip);
  await pod.stop();
  rkt.gc();
});

test('killed at each file it writes: gc ends it all the same', () => {
  const trace = join(rkt.config, 'trace');
  const traced = (...options: string[]): void => {
    const command = [rktPath, ...rkt.arguments(['run', '--net=web', 'busybox', '--exec=/bin/true'])];
    spawnSync('strace', ['-qq', '-o', trace, '-e', 'trace=rename', ...options, ...command], { stdio: 'ignore' });
  };
  traced();
  const renames = readFileSync(trace, 'utf8').split('\n');
  const moments = renames.flatMap((line, i) => (line.includes('/run/rkt/dns/web/') ? [i + 1] : []));
  // hosts, configuration, process
  expect(moments).toHaveLength(3);
  rkt.gc();
  for (const when of moments) {
    traced('-e', `inject=rename:signal=KILL:when=${when}`);
    expect(existsSync('/run/rkt/dns/web')).toBe(true);
    rkt.gc();
    expect([servers(), existsSync('/run/rkt')], renames[when - 1]).toEqual([[], false]);
  }
  rmSync(trace);
});

test('it outlives the service of the pod that started it', async () => {
  const root = ['systemd', 'unified', ''].map((name) => join('/sys/fs/cgroup', name)).find((path) => existsSync(join(path, 'cgroup.procs'))) ?? '';
  const group = join(root, 'rkt-test-service');
  mkdirSync(group);
  writeFileSync(join(group, 'cgroup.procs'), String(process.pid));
  const pod = sleeper('a');
  writeFileSync(join(root, 'cgroup.procs'), String(process.pid));
  const [server = ''] = servers();
  const groups = (pid: string | number): string => readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  expect(groups(pod.child.pid ?? 0)).toContain('rkt-test-service');
  expect(groups(server)).not.toContain('rkt-test-service');
  await pod.stop();
  rkt.gc();
  await expect.poll(() => rmdirSync(group)).toBeUndefined();
});

test('many pods at once: one server, every name', async () => {
  const names = ['a', 'b', 'c', 'd'];
  const script = names.map((name) => `"$@" run --net=web busybox --name=${name} --exec=/bin/sleep -- 3 &`).join(' ');
  const child = spawnSync(
    'sh',
    [
      '-c',
      `${script} sleep 2; ls /run/rkt/dns/web/hosts | wc -l; pgrep -fc run/rkt/dns/[w]eb/dnsmasq.conf; wait`,
      'sh',
      rktPath,
      ...rkt.arguments([]),
    ],
    {
      encoding: 'utf8',
    },
  );
  expect(child.stdout.trim().split('\n')).toEqual(['4', '1']);
  rkt.gc();
  expect(servers()).toEqual([]);
});
