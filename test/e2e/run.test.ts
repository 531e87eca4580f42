/** The product's main job, seen from outside. */
import { execFileSync, spawnSync, type StdioOptions } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { useHost } from '../rig/host.ts';
import { page, untilServed } from '../rig/http.ts';
import { Rkt, rktPath, type RunningPod } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();

const serve = (text: string, port = 80): string[] => [
  '--exec=/bin/sh',
  '--',
  '-c',
  `mkdir -p /www && echo ${text} > /www/index.html && exec httpd -f -p ${port} -h /www`,
];
const inPod = (pod: RunningPod, ...command: string[]): string => rkt.ok('enter', pod.uuid, '--', ...command).trim();

describe('rkt run --net=bridge', () => {
  test('prints the address, exits with the app’s code', () => {
    const outcome = rkt.run(['run', '--net=bridge', 'busybox', '--exec', '/bin/sh', '--', '-c', 'ip -4 addr show eth0; exit 7']);
    expect(outcome.stdout, outcome.stderr).toMatch(/inet \d+\.\d+\.\d+\.\d+\/\d+/);
    expect(outcome.status).toBe(7);
    rkt.gc();
    expect(rkt.podDirectories()).toEqual([]);
  });

  test('two apps see each other on 127.0.0.1 and in ps; the first failure is the pod’s code', () => {
    const outcome = rkt.run([
      'run',
      '--net=bridge',
      'busybox',
      '--name=web',
      ...serve('two-apps', 8000),
      '---',
      'busybox',
      '--name=client',
      '--exec=/bin/sh',
      '--',
      '-c',
      'for i in 1 2 3 4 5 6 7 8 9 10; do wget -q -O - http://127.0.0.1:8000/ && break; sleep 0.1; done; ps; exit 3',
    ]);
    expect(outcome.stdout, outcome.stderr).toContain('two-apps');
    expect(outcome.stdout).toContain('httpd -f -p 8000');
    expect(outcome.status).toBe(3);
    rkt.gc();
  });

  test('host reaches pod, pod reaches host, pod reaches pod', async () => {
    const one = rkt.start(['--net=bridge', 'busybox', ...serve('one')]);
    const two = rkt.start(['--net=bridge', 'busybox', ...serve('two')]);
    expect(one.ip).not.toBe(two.ip);
    await Promise.all([one, two].map((pod) => untilServed(`http://${pod.ip}/`)));
    expect(await page(`http://${one.ip}/`)).toBe('one');
    expect(inPod(one, 'wget', '-q', '-O', '-', `http://${two.ip}/`)).toBe('two');
    const gateway = one.ip.replace(/\.\d+$/, '.1');
    mkdirSync(join(rkt.config, 'www'), { recursive: true });
    writeFileSync(join(rkt.config, 'www/index.html'), 'host');
    spawnSync('busybox', ['httpd', '-p', `${gateway}:8088`, '-h', join(rkt.config, 'www')]);
    expect(inPod(one, 'wget', '-q', '-O', '-', `http://${gateway}:8088/`)).toBe('host');
    execFileSync('pkill', ['-f', `httpd -p ${gateway}:8088`]);
    await Promise.all([one.stop(), two.stop()]);
    rkt.gc();
  });

  test('a published port answers on the host’s addresses and on loopback', async () => {
    const pod = rkt.start(['--net=bridge', '--port=8080:80', 'busybox', ...serve('published')]);
    const gateway = pod.ip.replace(/\.\d+$/, '.1');
    await untilServed(`http://${pod.ip}/`);
    expect(await page(`http://${gateway}:8080/`)).toBe('published');
    expect(await page('http://127.0.0.1:8080/')).toBe('published');
    expect(inPod(pod, 'wget', '-q', '-O', '-', `http://${gateway}:8080/`)).toBe('published');
    await pod.stop();
    rkt.gc();
  });
});

describe('while a pod runs', () => {
  test('no node process, the pid is the one that was started, TERM ends it with the app’s code', async () => {
    const pod = rkt.start([
      '--net=bridge',
      'busybox',
      '--exec=/bin/sh',
      '--',
      '-c',
      'trap "exit 5" TERM; echo trapped; while :; do sleep 0.05; done',
    ]);
    await expect.poll(() => pod.stdout).toContain('trapped');
    const pid = pod.child.pid ?? expect.fail();
    expect(readFileSync(join(pod.dir, 'pid'), 'utf8').split(' ')[0]?.trim()).toBe(String(pid));
    expect(rkt.ok('status', pod.uuid)).toContain(`pid=${pid}`);
    const tree = descendants(pid);
    expect(tree.length).toBeGreaterThan(1);
    expect([pid, ...tree].map((child) => readlinkSync(`/proc/${child}/exe`)).filter((exe) => exe.includes('node'))).toEqual([]);
    const outcome = await pod.stop('SIGTERM');
    expect(outcome).toMatchObject({ status: 5, signal: null });
    expect(rkt.ok('status', pod.uuid)).toContain('app-busybox=5');
    rkt.gc();
  });

  test('SIGKILL takes everything with it; list tells the truth at once', async () => {
    const pod = rkt.start(['--net=bridge', 'busybox', '--exec=/bin/sleep', '--', '1000']);
    const tree = descendants(pod.child.pid ?? 0);
    await pod.stop('SIGKILL');
    expect(rkt.pods()[0]?.state).toBe('exited');
    await expect.poll(() => tree.filter((child) => isAlive(child)), { timeout: 1_000, interval: 5 }).toEqual([]);
    rkt.gc();
  });

  test('stop says so when nobody knows the supervisor', { timeout: 40_000 }, async () => {
    const pod = rkt.start(['--net=none', 'busybox', '--exec=/bin/sleep', '--', '60']);
    rmSync(join(rkt.dataDir, 'pods/run', pod.uuid, 'pid'));
    const { status, stderr } = rkt.run(['stop', pod.uuid]);
    expect([status, stderr]).toEqual([254, expect.stringMatching(/file pid is gone.*\[ERR_POD_STATE\]\nhint: /)]);
    await pod.stop('SIGKILL');
  });

  test('what crun keeps for a moment is in the pod directory, so that a kill leaves nothing elsewhere', () => {
    const trace = join(rkt.config, 'crun-trace');
    const command = ['run', '--net=none', 'busybox', '--exec=/bin/true'];
    expect(spawnSync('strace', ['-f', '-qq', '-e', 'trace=openat', '-o', trace, rktPath, ...rkt.arguments(command)]).status).toBe(0);
    const files = [...readFileSync(trace, 'utf8').matchAll(/"([^"]*\/crun\.\w{6})"/g)].map(([, path]) => path);
    expect(files).not.toEqual([]);
    expect(files.filter((path) => !path?.startsWith(join(rkt.dataDir, 'pods/')))).toEqual([]);
  });

  test('stop, enter, list, status, cat-manifest, rm', async () => {
    const pod = rkt.start(['--net=bridge', '--hostname=inner', 'busybox', '--name=web', '--environment=X=1', ...serve('x')]);
    expect(inPod(pod, 'hostname')).toBe('inner');
    expect(inPod(pod, 'sh', '-c', 'echo $X $AC_APP_NAME')).toBe('1 web');
    expect(rkt.run(['enter', pod.uuid, '--', 'sh', '-c', 'exit 9']).status).toBe(9);
    expect(rkt.ok('list')).toMatch(new RegExp(`${pod.uuid.slice(0, 8)}\\s+web\\s+busybox\\s+running.*bridge:ip4=${pod.ip}`));
    expect(JSON.parse(rkt.ok('cat-manifest', pod.uuid))).toMatchObject({ acKind: 'PodManifest', apps: [{ name: 'web' }] });
    expect(rkt.run(['rm', pod.uuid]).stderr).toContain('ERR_POD_STATE');
    rkt.ok('stop', pod.uuid.slice(0, 8));
    await pod.exited;
    rkt.ok('status', '--wait=5s', pod.uuid);
    expect(rkt.ok('status', pod.uuid)).toMatch(/state=exited\n/);
    expect(rkt.ok('rm', `--uuid-file=${pod.uuidFile}`)).toContain(pod.uuid);
    expect(rkt.podDirectories()).toEqual([]);
    rkt.gc();
  });
});

describe('networks', () => {
  test('none has only lo; host sees the host’s links', () => {
    expect(rkt.ok('run', '--net=none', 'busybox', '--exec=/bin/ls', '--', '/sys/class/net').trim()).toBe('lo');
    expect(rkt.ok('run', '--net=host', 'busybox', '--exec=/bin/ls', '--', '/sys/class/net').split(/\s+/)).toEqual(expect.arrayContaining(['lo']));
    rkt.gc();
  });
  test('default is ptp with its own range', () => {
    expect(rkt.ok('run', 'busybox', '--exec=/sbin/ip', '--', '-4', 'addr', 'show', 'eth0')).toContain('inet 172.16.28.');
    rkt.gc();
  });
  test('two networks in file-name order, whatever the order on the command line', () => {
    const output = rkt.ok('run', '--net=default,bridge', 'busybox', '--exec=/sbin/ip', '--', '-4', 'addr');
    expect(output).toMatch(/eth0.*\n.*inet 172\.16\.29\./);
    expect(output).toMatch(/eth1.*\n.*inet 172\.16\.28\./);
    rkt.gc();
  });
  test('a requested address', () => {
    expect(rkt.ok('run', '--net=bridge:IP=172.16.29.77', 'busybox', '--exec=/sbin/ip', '--', 'addr')).toContain('172.16.29.77/');
    rkt.gc();
  });
  test('unknown names are all named and nothing is touched', () => {
    const outcome = rkt.run(['run', '--net=brigde,foo,bridge', 'busybox']);
    expect(outcome.status).toBe(254);
    expect(outcome.stderr).toMatch(/brigde[\s\S]*foo/);
    expect(outcome.stderr).toContain('ERR_NET_NOT_FOUND');
    expect(rkt.podDirectories()).toEqual([]);
  });
});

test('disableGC: what pods of the network share is not ours to remove', () => {
  mkdirSync(join(rkt.config, 'net.d'), { recursive: true });
  const file = join(rkt.config, 'net.d/shared.conflist');
  const plugin = { type: 'bridge', bridge: 'shared0', ipam: { type: 'host-local', dataDir: join(rkt.config, 'leases'), subnet: '10.77.0.0/24' } };
  writeFileSync(file, JSON.stringify({ cniVersion: '1.1.0', name: 'shared', disableGC: true, plugins: [plugin] }));
  rkt.ok('run', '--net=shared', 'busybox', '--exec=/bin/true');
  rkt.gc();
  rkt.gc();
  execFileSync('ip', ['link', 'del', 'shared0']);
  rmSync(file);
});

test('--no-overlay copies, and the pod may write', () => {
  expect(rkt.ok('run', '--no-overlay', '--net=none', 'busybox', '--exec=/bin/sh', '--', '-c', 'echo a > /x && cat /x').trim()).toBe('a');
  rkt.gc();
});

test('runs on the machine’s own Node as well', () => {
  const path = (process.env['PATH'] ?? '')
    .split(':')
    .filter((dir) => !dir.includes('node_modules'))
    .join(':');
  const outcome = rkt.run(['run', '--net=bridge', 'busybox', '--exec=/bin/true'], { env: { PATH: path } });
  expect(outcome.status, outcome.stderr).toBe(0);
  rkt.gc();
});

test('what a command does and says does not depend on who listens', () => {
  rkt.ok('run', '--net=none', 'busybox', '--exec=/bin/true');
  const full = openSync('/dev/full', 'w');
  const on = (args: string[], stdio: StdioOptions) => spawnSync(rktPath, rkt.arguments(args), { stdio, encoding: 'utf8' });
  const listed = on(['list'], ['ignore', full, 'pipe']);
  expect([listed.status, listed.stderr]).toEqual([254, expect.stringMatching(/^error: cannot write to standard output: ENOSPC/)]);
  expect(on(['gc', '--grace-period=0'], ['ignore', 'pipe', full]).status).toBe(0);
  closeSync(full);
  expect(rkt.podDirectories()).toEqual([]);
});

test('as an unprivileged user: said before anything else', () => {
  const { status, stderr } = spawnSync('setpriv', ['--reuid=65534', '--clear-groups', rktPath, 'run', '--nonsense'], { encoding: 'utf8' });
  expect([status, stderr]).toEqual([254, expect.stringContaining('cannot run as unprivileged user')]);
});

function descendants(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' '));
  return children.filter((child) => child !== '').flatMap((child) => [Number(child), ...descendants(Number(child))]);
}

/** Neither a zombie nor on its way out: the init of a pid namespace waits, exiting, until the host has reaped its last zombie. */
function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, , , , , , flags = '0'] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const PF_EXITING = 4;
    return state !== 'Z' && (Number(flags) & PF_EXITING) === 0;
  } catch {
    return false; // gone
  }
}
