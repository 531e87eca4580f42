/** What `net plan` prints is what `run` does. */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { readJournal } from '../../src/effects/journal.ts';
import type { NetPlan } from '../../src/model/plan.ts';
import { useHost } from '../rig/host.ts';
import { Rkt, rktPath } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();
const netd = (): string => join(rkt.config, 'net.d');
afterEach(() => rmSync(netd(), { recursive: true, force: true }));

const onlyPod = (): string => {
  const run = join(rkt.dataDir, 'pods/run');
  return join(run, readdirSync(run)[0] ?? expect.fail('no pod'));
};

test('what a configuration file says does not reach the terminal as control characters', () => {
  mkdirSync(netd(), { recursive: true });
  writeFileSync(join(netd(), 'evil.conflist'), '{"cniVersion":"1.0.0","name":"evil","cni.dev/\\u001b[31m":1,"plugins":[{"type":"bridge"}]}');
  const { stdout, stderr } = rkt.run(['net', 'list']);
  expect(stderr).toContain('cni.dev/\\x1b[31m is reserved');
  expect(stdout + stderr).not.toContain('\u001b');
});

test('flags behind -- are the app’s own', () => {
  const args = ['--reuid=65534', '--clear-groups', rktPath, 'run', 'busybox', '--', '-h', '--format=json'];
  const { stderr } = spawnSync('setpriv', args, { encoding: 'utf8' });
  expect(stderr).toMatch(/^error: cannot run as unprivileged user \[ERR_CLI_NOT_ROOT\]/);
});

test('help of a group, by any prefix of its name', () => {
  const whole = rkt.ok('net', '--help');
  expect(whole).toContain('rkt net diagram');
  for (const words of [
    ['ne', '-h'],
    ['ne', '--help'],
    ['help', 'ne'],
    ['--debug', 'ne', '-h'],
  ])
    expect(rkt.ok(...words), words.join(' ')).toBe(whole);
  expect(rkt.ok('ne', 'diag', '-h')).toContain('Usage: rkt net diagram');
  expect(rkt.run(['nix', '-h']).stderr).toContain('unknown command "rkt nix"');
});

test('a reader that closed early ends help in silence', () => {
  const { stdout } = spawnSync(
    'bash',
    ['-c', 'mkfifo "$2"; exec 3<>"$2" 4>"$2" 3>&-; "$1" help 2>&1 >&4; echo "$?"', 'bash', rktPath, join(rkt.config, 'pipe')],
    {
      encoding: 'utf8',
    },
  );
  expect(stdout).toBe('0\n');
});

test('the plan is the same bytes twice, needs no root, and equals plan.json and the journal of the run', () => {
  const request = ['--net=default,bridge:IP=172.16.29.50', '--port=8080:80'];
  const printed = [1, 2].map(() => rkt.ok('net', 'plan', ...request, '--format=json'));
  expect(printed[0]).toBe(printed[1]);
  const unprivileged = spawnSync(
    'setpriv',
    ['--reuid=65534', '--clear-groups', rktPath, `--local-config=${rkt.config}/none`, 'net', 'plan', '--net=default,bridge'],
    { encoding: 'utf8' },
  );
  expect([unprivileged.status, unprivileged.stderr]).toEqual([0, '']);
  rkt.ok('run', ...request, 'busybox', '--exec=/bin/true');
  const plan = JSON.parse(printed[0] ?? '') as NetPlan;
  expect(JSON.parse(readFileSync(join(onlyPod(), 'net/plan.json'), 'utf8'))).toEqual(plan);
  const attached = readJournal(join(onlyPod(), 'journal')).flatMap(({ step }) => (step.kind === 'network.attach' ? [step.network] : []));
  expect(attached).toEqual(plan.networks);
  rkt.gc();
});

describe('refused before anything is touched', () => {
  const refuse = (args: readonly string[], ...expected: (string | RegExp)[]): void => {
    const before = execFileSync('ls', ['-R', rkt.dataDir], { encoding: 'utf8' });
    const { status, stderr } = rkt.run(['run', ...args, 'busybox', '--exec=/bin/true']);
    expect(status, stderr).toBe(254);
    for (const one of expected) {
      if (typeof one === 'string') expect(stderr).toContain(one);
      else expect(stderr).toMatch(one);
    }
    expect(execFileSync('ls', ['-R', rkt.dataDir], { encoding: 'utf8' })).toBe(before);
  };
  const put = (name: string, content: string | object): void => {
    mkdirSync(netd(), { recursive: true });
    writeFileSync(join(netd(), name), typeof content === 'string' ? content : JSON.stringify(content));
  };
  const list = (name: string, plugins: object[]): object => ({ cniVersion: '1.0.0', name, plugins });

  test('an unknown plugin: type, file and searched directories', () => {
    rkt.ok('fetch', 'busybox');
    put('10-x.conflist', list('x', [{ type: 'no-such-plugin' }]));
    refuse(['--net=x'], 'no-such-plugin', '10-x.conflist', '/opt/cni/bin', 'ERR_PLUGIN_NOT_FOUND');
  });
  test('two files of one directory with the same network', () => {
    put('10-x.conflist', list('x', [{ type: 'bridge' }]));
    put('20-x.conflist', list('x', [{ type: 'ptp' }]));
    refuse(['--net=x'], '10-x.conflist', '20-x.conflist', 'ERR_NETCONF_DUPLICATE');
  });
  test('bad JSON aborts only when the file could define the requested network', () => {
    put('10-x.conflist', '{\n  "name": "x",\n  "plugins": [ {,\n');
    refuse(['--net=x'], /10-x\.conflist:3:\d+/, 'ERR_NETCONF_INVALID');
    const { status, stderr } = rkt.run(['run', '--net=bridge', 'busybox', '--exec=/bin/true']);
    expect([status, stderr]).toEqual([0, expect.stringMatching(/warning: .*10-x\.conflist:3:\d+/)]);
    rkt.gc();
  });
  test('a subnet that somebody else routes', () => {
    execFileSync('ip', ['link', 'add', 'other0', 'type', 'bridge']);
    execFileSync('ip', ['addr', 'add', '172.16.29.7/28', 'dev', 'other0']);
    execFileSync('ip', ['link', 'set', 'other0', 'up']);
    try {
      refuse(['--net=bridge'], '172.16.29.0/24', 'other0', 'ERR_NET_SUBNET_CONFLICT');
    } finally {
      execFileSync('ip', ['link', 'del', 'other0']);
    }
  });
  test('ports that cannot be mapped, arguments that make no sense', () => {
    refuse(['--net=none', '--port=80:80'], 'ERR_NET_PORTS');
    refuse(['--net=bridge', '--port=nonsense'], 'ERR_NET_PORTS');
    refuse(['--net=bridge', '--port=8080:80', '--port=8080:81'], 'ERR_NET_PORTS');
    refuse(['--net=bridge:'], 'ERR_NET_ARGS');
  });
  test('a port that another pod has: said by name, and nothing of the second pod is left', async () => {
    const first = rkt.start(['--net=bridge', '--port=8080:80', 'busybox', '--exec=/bin/sleep', '--', '60']);
    const { status, stderr } = rkt.run(['run', '--net=bridge', '--port=8080:81', 'busybox', '--exec=/bin/true']);
    expect([status, stderr]).toEqual([254, expect.stringMatching(new RegExp(`8080/tcp is published by pod ${first.uuid} \\(busybox\\)`))]);
    // The planner knows the pods of its own data directory; the kernel knows all.
    const other = join(rkt.config, 'other-data');
    const unplanned = rkt.run(['run', `--dir=${other}`, '--net=bridge', '--port=8080:81', 'busybox', '--exec=/bin/true']);
    expect([unplanned.status, unplanned.stderr]).toEqual([
      254,
      expect.stringMatching(new RegExp(`8080/tcp is already published by bridge/${first.uuid}/eth0`)),
    ]);
    rkt.ok('gc', `--dir=${other}`, '--grace-period=0');
    rmSync(other, { recursive: true });
    expect(rkt.podDirectories()).toEqual([`run/${first.uuid}`]);
    await first.stop();
    rkt.gc();
  });
});

/** Debian's own plugins in a network of the same shape. What they never remove is listed in test/README.md. */
test('the same pod on Debian’s executables: same addresses, routes, reachability; nothing per attachment is left', () => {
  const look = ['busybox', '--exec=/bin/sh', '--', '-c', 'ip -4 -o addr show eth0 | tr -s " " | cut -d" " -f4; ip route'];
  const ours = rkt.ok('run', '--net=bridge:IP=172.16.29.9', ...look);
  rkt.gc();
  mkdirSync(netd());
  for (const type of ['bridge', 'host-local', 'portmap', 'firewall']) copyFileSync(join('/usr/lib/cni', type), join(netd(), type));
  const builtin = JSON.parse(readFileSync(resolve(import.meta.dirname, '../../net.d/10-bridge.conflist'), 'utf8')) as object;
  writeFileSync(join(netd(), '10-bridge.conflist'), JSON.stringify(builtin));
  expect(rkt.ok('net', 'plan', '--net=bridge')).toContain(join(netd(), 'firewall'));
  const theirs = rkt.ok('run', '--net=bridge:IP=172.16.29.9', '--port=8080:80', ...look);
  expect(theirs).toBe(ours);
  rkt.gc();
  expect(execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' })).not.toMatch(/172\.16\.29\.9|CNI-DN-|CNI-[0-9a-f]{24}/);
  expect(readdirSync('/var/lib/cni/networks/bridge').filter((name) => !['lock', 'last_reserved_ip.0'].includes(name))).toEqual([]);
  // What foreign plugins never remove.
  execFileSync('ip', ['link', 'del', 'rkt0']);
  execFileSync('nft', ['flush', 'ruleset']);
  rmSync('/var/lib/cni/networks/bridge', { recursive: true });
});
