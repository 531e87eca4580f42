/** Networks that a running pod gets and loses. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readJournal } from '../../src/effects/journal.ts';
import { useHost } from '../rig/host.ts';
import { Rkt, rktPath, type RunningPod } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();
const netd = (): string => join(rkt.config, 'net.d');
beforeEach(() => {
  mkdirSync(netd(), { recursive: true });
  const plugin = {
    type: 'bridge',
    bridge: 'db0',
    isGateway: true,
    capabilities: { ips: true },
    ipam: { type: 'host-local', subnet: '10.66.0.0/24' },
  };
  writeFileSync(join(netd(), '50-db.conflist'), JSON.stringify({ cniVersion: '1.1.0', name: 'db', plugins: [plugin, { type: 'firewall' }] }));
});
afterEach(() => rmSync(netd(), { recursive: true, force: true }));

const sleeper = (...flags: string[]): RunningPod => rkt.start([...flags, 'busybox', '--exec=/bin/sleep', '--', '60']);
const inPod = (pod: RunningPod, ...command: string[]): string => rkt.ok('enter', pod.uuid, '--', ...command);
const refused = (...args: string[]): string => {
  const { status, stderr } = rkt.run(args);
  expect(status, stderr).toBe(254);
  return stderr;
};
const networks = (): string[] => (rkt.pods()[0]?.networks ?? []).map(({ netName, ifName }) => `${netName}:${ifName}`);
const leases = (): string[] =>
  existsSync('/var/lib/cni/networks/db') ? readdirSync('/var/lib/cni/networks/db').filter((name) => /^\d/.test(name)) : [];

describe('a running pod', () => {
  test('gets a network, is reached on it, loses it, gets it again', async () => {
    const pod = sleeper('--net=bridge');
    expect(rkt.ok('net', 'connect', pod.uuid, 'db')).toBe('db: eth1 10.66.0.2\n');
    expect(networks()).toEqual(['bridge:eth0', 'db:eth1']);
    expect(inPod(pod, 'ip', '-4', 'addr', 'show', 'eth1')).toContain('inet 10.66.0.2/24');
    expect(spawnSync('busybox', ['ping', '-c1', '-W1', '10.66.0.2']).status).toBe(0);
    expect(rkt.ok('net', 'disconnect', pod.uuid, 'db')).toBe('db: eth1 is gone\n');
    expect(networks()).toEqual(['bridge:eth0']);
    expect(inPod(pod, 'ip', 'link')).not.toContain('eth1');
    expect(inPod(pod, 'ip', 'link')).toContain('eth0');
    expect(leases()).toEqual([]);
    expect(JSON.parse(rkt.ok('net', 'connect', pod.uuid.slice(0, 8), 'db:ip=10.66.0.77', '--format=json'))).toMatchObject({
      ifName: 'eth1',
      ip: '10.66.0.77',
    });
    await pod.stop();
    rkt.gc();
    expect(leases()).toEqual([]);
  });
  test('the first network can be left, and its interface name is used again', async () => {
    const pod = sleeper('--net=bridge');
    rkt.ok('net', 'disconnect', pod.uuid, 'eth0');
    expect(networks()).toEqual([]);
    expect(rkt.ok('net', 'connect', pod.uuid, 'db')).toContain('db: eth0');
    await pod.stop();
    rkt.gc();
  });
  test('net rm sees it, and an exited pod’s gc undoes it although the file is gone', async () => {
    const pod = sleeper('--net=bridge');
    rkt.ok('net', 'connect', pod.uuid, 'db');
    expect(refused('net', 'rm', '--force', 'db')).toMatch(new RegExp(`used by pod ${pod.uuid}.*\\[ERR_NET_IN_USE\\]\nhint: rkt net disconnect`));
    rmSync(join(netd(), '50-db.conflist'));
    await pod.stop();
    rkt.gc();
  });
  test('an interface somebody made in the pod keeps its name', async () => {
    const pod = sleeper('--net=bridge');
    expect(spawnSync('ip', ['-n', `rkt-${pod.uuid}`, 'link', 'add', 'eth1', 'type', 'bridge']).status).toBe(0);
    expect(rkt.ok('net', 'connect', pod.uuid, 'db')).toContain('db: eth2');
    await pod.stop();
    rkt.gc();
  });
});

describe('what is refused leaves the pod as it was', () => {
  test('a network it has, one it has not, several, none, unknown', async () => {
    const pod = sleeper('--net=bridge');
    expect(refused('net', 'connect', pod.uuid, 'bridge')).toContain('ERR_NET_ATTACHED');
    expect(refused('net', 'disconnect', pod.uuid, 'db')).toMatch(/ERR_NET_ATTACHED[\s\S]*"bridge" \(eth0\)/);
    for (const text of ['db,default', 'host', 'none', 'all']) expect(refused('net', 'connect', pod.uuid, text)).toContain('ERR_NET_ARGS');
    expect(refused('net', 'connect', pod.uuid, 'bd')).toContain('ERR_NET_NOT_FOUND');
    expect(networks()).toEqual(['bridge:eth0']);
    await pod.stop();
    expect(refused('net', 'connect', pod.uuid, 'db')).toContain('is exited, not running');
    rkt.gc();
  });
  test.each(['host', 'none'])('pods of --net=%s', async (mode) => {
    const pod = sleeper(`--net=${mode}`);
    expect(refused('net', 'connect', pod.uuid, 'db')).toContain(`was started with --net=${mode}`);
    await pod.stop();
    rkt.gc();
  });
  test('a plugin that fails: only the new attachment is undone', async () => {
    const plugins = [{ type: 'bridge', bridge: 'db0', ipam: { type: 'host-local', subnet: '10.66.0.0/24' } }, { type: 'fails' }];
    const said = '{"cniVersion":"1.1.0","code":100,"msg":"no luck today"}';
    const script = `#!/bin/sh\ncat > /dev/null\n[ "$CNI_COMMAND" = ADD ] || exit 0\necho '${said}'\nexit 1\n`;
    writeFileSync(join(netd(), 'fails'), script, { mode: 0o755 });
    writeFileSync(join(netd(), '50-db.conflist'), JSON.stringify({ cniVersion: '1.1.0', name: 'db', plugins }));
    const pod = sleeper('--net=bridge');
    expect(refused('net', 'connect', pod.uuid, 'db')).toContain('ERR_PLUGIN_FAILED');
    expect([networks(), leases()]).toEqual([['bridge:eth0'], []]);
    expect(inPod(pod, 'ip', 'link')).not.toContain('eth1');
    expect(inPod(pod, 'ping', '-c1', '-W1', pod.ip.replace(/\.\d+$/, '.1'))).toContain('1 packets received');
    await pod.stop();
    rkt.gc();
    rkt.gc(); // forgets the network, while its plugin is there
  });
});

describe('killed half-way', () => {
  /** Kills the command when it enters its `count`th system call `call`: before a record of the journal (pwrite64), a change of links or rules (sendto), a rename. */
  const killedAt = (call: string, count: number, args: readonly string[]): boolean =>
    spawnSync(
      'strace',
      ['-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${call}:signal=KILL:when=${count}`, rktPath, ...rkt.arguments(args)],
      { stdio: 'ignore' },
    ).signal === 'SIGKILL';
  const moments = [
    ...[1, 2].map((count) => ['pwrite64', count] as const),
    ...[2, 5, 8, 11, 14, 17].map((count) => ['sendto', count] as const),
    ...[1, 2, 3].map((count) => ['rename', count] as const),
  ];

  test('connect: gc undoes it while the pod runs on, or it is there whole', async () => {
    const pod = sleeper('--net=bridge');
    let killed = 0;
    for (const [call, count] of moments) {
      if (killedAt(call, count, ['net', 'connect', pod.uuid, 'db'])) killed++;
      rkt.gc();
      const there = networks().length > 1;
      expect([leases().length, inPod(pod, 'ip', 'link').includes('eth1')], `${call} ${count}`).toEqual([there ? 1 : 0, there]);
      if (there) rkt.ok('net', 'disconnect', pod.uuid, 'db');
    }
    expect(killed).toBeGreaterThan(7);
    expect(inPod(pod, 'ip', 'addr', 'show', 'eth0')).toContain(pod.ip);
    await pod.stop();
    rkt.gc();
  });
  test('disconnect: gc goes on with it', async () => {
    const pod = sleeper('--net=bridge');
    let killed = 0;
    for (const [call, count] of moments) {
      if (networks().length === 1) rkt.ok('net', 'connect', pod.uuid, 'db');
      if (killedAt(call, count, ['net', 'disconnect', pod.uuid, 'db'])) killed++;
      rkt.gc();
      const there = call === 'pwrite64' && count === 1;
      expect([networks().length > 1, leases().length, inPod(pod, 'ip', 'link').includes('eth1')], `${call} ${count}`).toEqual([
        there,
        there ? 1 : 0,
        there,
      ]);
    }
    expect(killed).toBeGreaterThan(5);
    await pod.stop();
    rkt.gc();
  });
  test('the next change finishes what was interrupted, too', async () => {
    const pod = sleeper('--net=bridge');
    killedAt('pwrite64', 2, ['net', 'connect', pod.uuid, 'db']);
    expect(readJournal(join(pod.dir, 'journal')).at(-1)).toMatchObject({ step: { kind: 'network.attach' }, finished: false, undone: false });
    expect(rkt.ok('net', 'connect', pod.uuid, 'db')).toContain('db: eth1');
    await pod.stop();
    rkt.gc();
  });
});

test('gc does not take apart a pod whose networks are being changed', async () => {
  const pod = sleeper('--net=bridge');
  rkt.ok('net', 'connect', pod.uuid, 'db');
  const changes = join(pod.dir, 'changes');
  await pod.stop();
  // --close: gc's detached link deletions would inherit the lock.
  expect(spawnSync('flock', ['--close', changes, rktPath, ...rkt.arguments(['gc', '--grace-period=0'])]).status).toBe(0);
  expect(rkt.podDirectories()).toEqual([`run/${pod.uuid}`]);
  rkt.gc();
  expect(rkt.podDirectories()).toEqual([]);
});

test('two changes at once wait for each other', async () => {
  const pod = sleeper('--net=bridge');
  const { stdout } = spawnSync(
    'sh',
    ['-c', `"$@" net connect ${pod.uuid} db & "$@" net connect ${pod.uuid} default & wait`, 'sh', rktPath, ...rkt.arguments([])],
    { encoding: 'utf8' },
  );
  expect(stdout).toMatch(/eth1/);
  expect(stdout).toMatch(/eth2/);
  expect(readFileSync(join(pod.dir, 'net-info.json'), 'utf8').match(/"netName"/g)).toHaveLength(3);
  await pod.stop();
  rkt.gc();
});
