/**
 * What may happen to a pod's network between ADD and DEL, whoever's plugins made it: after the pod's end and one gc nothing is
 * left, or the pod is kept and said why, and goes when the cause is cured or somebody gives up.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { useHost } from '../rig/host.ts';
import { clearForeign, inProcess, ownExecutables, prepareWay, ways, type PluginWay } from '../rig/plugin-ways.ts';
import { reboot } from '../rig/reboot.ts';
import { Rkt, rktPath, type Outcome, type RunningPod } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();

const sh = (command: string): string => execFileSync('sh', ['-c', command], { encoding: 'utf8' });
const bridge = {
  type: 'bridge',
  bridge: 'leak0',
  isGateway: true,
  ipMasq: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.67.0.0/24' }]], routes: [{ dst: '0.0.0.0/0' }] },
};
const chain = [bridge, { type: 'portmap', capabilities: { portMappings: true }, snat: true }, { type: 'firewall' }];
const store = '/var/lib/cni/networks/leak';
const results = '/var/lib/cni/results';
const listPath = (): string => join(rkt.config, 'net.d/10-leak.conflist');
const configure = (cniVersion: string, plugins: readonly object[] = chain): void =>
  writeFileSync(listPath(), JSON.stringify({ cniVersion, name: 'leak', plugins }));
const leases = (): string[] => (existsSync(store) ? readdirSync(store).filter((name) => /^\d/.test(name)) : []);
const cached = (): string[] => (existsSync(results) ? readdirSync(results) : []);
const gc = (): Outcome => rkt.run(['gc', '--grace-period=0']);

/** Nothing of the network, whoever looks. */
function expectNothing(): void {
  expect(rkt.podDirectories()).toEqual([]);
  expect([leases(), cached(), readdirSync('/run/netns')]).toEqual([[], [], []]);
}

/** [what happens, how]; ID, NETNS, HOST and IP stand for the pod's own. */
const damages: readonly (readonly [string, string | (() => void)])[] = [
  ['nothing', 'true'],
  ['the namespace deleted', 'ip netns del NETNS'],
  ['the link deleted, host end', 'ip link del HOST'],
  ['the link deleted, pod end', 'ip -n NETNS link del eth0'],
  ['the link taken out of the bridge and renamed', 'ip link set HOST down nomaster; ip link set HOST name other-HOSTEND'],
  ['the bridge deleted', 'ip link del leak0 2>/dev/null || true'],
  ['all rules flushed', 'nft flush ruleset'],
  ['the lease deleted', `rm -f ${store}/IP`],
  ['the cache file deleted', `rm -f ${results}/*ID*`],
  ['the cache file emptied', `for f in ${results}/*ID*; do : > $f; done`],
  ['the cache file garbled', `for f in ${results}/*ID*; do echo '{"kind":"cniCacheV1","result":{' > $f; done`],
  ['net.d edited', () => configure('1.0.0', [{ ...bridge, bridge: 'else0', ipam: { type: 'host-local', subnet: '10.68.0.0/24' } }])],
  ['net.d made nonsense', () => writeFileSync(listPath(), '{"name":"leak"')],
  ['net.d removed', () => rmSync(listPath(), { force: true })],
];

/** Of executables, ours are tried where a namespace, rules or files are missed, Debian's also where links are; RKT_SOAK=1: all. */
const concerned: Readonly<Record<string, RegExp>> = {
  'as executables': /^nothing|namespace|host end|bridge deleted|flushed|garbled|edited/,
  'Debian’s': /^nothing|namespace|link|flushed|lease|garbled|edited/,
};
const soak = process.env['RKT_SOAK'] !== undefined;
const damagesOf = ({ name }: PluginWay): typeof damages => damages.filter(([what]) => soak || (concerned[name]?.test(what) ?? true));
const kindsOf = (way: PluginWay): string[] =>
  soak || way === inProcess ? ['error', 'crash', 'garbage', 'nothing', 'stderr', 'wrong-version', 'huge'] : ['error', 'garbage'];

describe.each(ways)('plugins $name', (way) => {
  beforeEach(() => {
    prepareWay(rkt, way);
    configure(way.cniVersion);
  });
  afterEach(({ task }) => {
    // What its 1.1.1 would have deleted is told to it by the link alone: without the link its masquerading stays.
    const lost = /namespace deleted|link deleted/.test(task.name);
    if (way.isForeign) clearForeign('leak0', 'leak', { masquerading: lost });
  });
  const start = (port: number): RunningPod =>
    rkt.start(['--net=leak', ...way.flags, `--port=${port}:80`, 'busybox', '--exec=/bin/sleep', '--', '600']);

  test.each(damagesOf(way))('%s, below a pod that ends and one that is killed', async (what, damage) => {
    const pods = [start(8080), start(8081)];
    for (const pod of pods) {
      if (typeof damage === 'function') damage();
      else {
        const netns = `rkt-${pod.uuid}`;
        // A pod whose end is gone already has no host end to name.
        const index = /eth0@if(\d+)/.exec(sh(`ip -n ${netns} -o link`))?.[1] ?? '';
        const host = new RegExp(`^${index}: (\\w+)`, 'm').exec(sh('ip -o link'))?.[1] ?? 'none';
        sh(
          damage
            .replaceAll('NETNS', netns)
            .replaceAll('HOSTEND', host.slice(-6))
            .replaceAll('HOST', host)
            .replaceAll('ID', pod.uuid)
            .replaceAll('IP', pod.ip),
        );
      }
    }
    await pods[0]?.stop();
    await pods[1]?.stop('SIGKILL');
    // The reference's bridge takes the link away and then misses its chain; at the second DEL it does not look for it.
    if (way.isForeign && what === 'all rules flushed') expect(gc().stderr).toMatch(/plugin bridge .* does not exist/);
    rkt.gc();
    expectNothing();
  });

  test('a reboot', async () => {
    const pod = start(8080);
    rkt.ok('run', '--net-release=gc', '--net=leak', ...way.flags, 'busybox', '--exec=/bin/true');
    expect(leases()).toHaveLength(2);
    await pod.stop('SIGKILL');
    reboot(rkt, () => {
      rkt.gc();
      expectNothing();
    });
  });

  test('five starts with a chained plugin that is not there', () => {
    configure(way.cniVersion, [...chain, { type: 'nosuch' }]);
    for (let n = 0; n < 5; n++) {
      const { status, stderr } = rkt.run(['run', '--net=leak', ...way.flags, 'busybox', '--exec=/bin/true']);
      expect([status, stderr]).toEqual([254, expect.stringMatching(/plugin "nosuch" of network "leak" .*not found \[ERR_PLUGIN_NOT_FOUND\]/)]);
      expectNothing();
    }
  });
});

describe.each(ways)('a plugin that misbehaves behind plugins $name', (way) => {
  const log = (): string => join(rkt.config, 'calls.log');
  const behave = (): string => join(rkt.config, 'net.d/behave');
  const install = (): void => copyFileSync(resolve(import.meta.dirname, '../fixtures/plugins/behave'), behave());
  const misbehave = (add: string, del: string): void => {
    for (const path of [log(), `${log()}.ADD`, `${log()}.DEL`]) rmSync(path, { force: true });
    configure('1.0.0', [...chain, { type: 'behave', add, del, log: log() }]);
  };
  const words = ['run', '--net=leak', ...way.flags, '--port=8080:80', 'busybox', '--exec=/bin/true'];
  beforeEach(() => {
    prepareWay(rkt, way);
    install();
  });
  afterEach(() => {
    if (way.isForeign) clearForeign('leak0', 'leak');
  });

  test.each(kindsOf(way))('ADD and the first DEL: %s', (kind) => {
    misbehave(kind, `once:${kind}`);
    const { status, stderr } = rkt.run(words);
    expect([status, stderr]).toEqual([254, expect.stringContaining('plugin behave of network "leak"')]);
    // The address and the rules are free already.
    expect(leases()).toEqual([]);
    rkt.gc();
    expectNothing();
  });

  test('one that refuses the version at ADD and at every DEL made nothing: nothing is kept', () => {
    misbehave('wrong-version', 'wrong-version');
    const { status, stderr } = rkt.run(words);
    expect([status, stderr]).toEqual([254, expect.stringMatching(/incompatible CNI versions.*ERR_PLUGIN_FAILED/)]);
    expect(stderr).not.toContain('could not undo');
    expectNothing();
    rkt.gc();
  });

  test('one that refuses the version at DEL only has something to delete: kept', () => {
    misbehave('ok', 'once:wrong-version');
    rkt.ok(...words.slice(0, 1), '--net-release=gc', ...words.slice(1));
    expect(gc().status).toBe(254);
    expect([rkt.podDirectories().length, leases()]).toEqual([1, []]);
    rkt.gc();
    expectNothing();
  });

  test.each([
    ['ADD', 'run'],
    ['DEL', 'gc'],
  ])('a hanging %s, and rkt told to stop: nothing waits, nothing is left', (verb) => {
    misbehave(verb === 'ADD' ? 'hang' : 'ok', verb === 'DEL' ? 'once:hang' : 'ok');
    if (verb === 'DEL') rkt.ok(...words.slice(0, 1), '--net-release=gc', ...words.slice(1));
    const stopped = verb === 'ADD' ? words : ['gc', '--grace-period=0'];
    const started = performance.now();
    const { status, stderr } = spawnSync('timeout', ['--foreground', '--preserve-status', '--signal=TERM', '1', rktPath, ...rkt.arguments(stopped)], {
      encoding: 'utf8',
    });
    expect(performance.now() - started, stderr).toBeLessThan(6_000);
    expect([status, stderr]).toEqual([143, expect.stringContaining('ERR_INTERRUPTED')]);
    rkt.gc();
    expectNothing();
  });

  describe('its executable removed between ADD and DEL', () => {
    /** The uuid of an exited pod that gc has kept, and said why. */
    function kept(release: string): string {
      misbehave('ok', 'ok');
      rkt.ok(...words.slice(0, 1), `--net-release=${release}`, ...words.slice(1));
      rmSync(behave());
      const { status, stderr } = gc();
      expect(status).toBe(254);
      expect(stderr).toMatch(/plugin behave of network "leak": cannot run \S+\/behave/);
      expect(stderr).toMatch(/hint: cure the cause.*rkt rm --force \w+ gives up/);
      const [path = ''] = rkt.podDirectories();
      // What the others made is gone all the same.
      expect([leases(), cached().length]).toEqual([[], release === 'exit' ? 0 : 1]);
      return path.split('/')[1] ?? '';
    }

    test.each(['exit', 'gc'])('kept (release: %s); gc finishes when it is back', (release) => {
      kept(release);
      expect(gc().status).toBe(254);
      install();
      rkt.gc();
      expectNothing();
    });

    test('given up: rm --force removes the pod, says what it leaves, and gc has nothing to complain of', () => {
      const uuid = kept('gc');
      const refused = rkt.run(['rm', uuid]);
      expect([refused.status, refused.stderr]).toEqual([254, expect.stringMatching(/ERR_UNDO_INCOMPLETE[\s\S]*rkt rm --force/)]);
      const { status, stdout, stderr } = rkt.run(['rm', '--force', uuid]);
      expect([status, stdout], stderr).toEqual([0, `"${uuid}"\n`]);
      expect(stderr).toMatch(
        /warning: pod "\S+" is removed by force, and this could not be undone:\n {2}- network\.attach: plugin behave of network "leak"/,
      );
      expectNothing();
      rkt.gc();
      rkt.gc();
    });
  });
});

test('the address plugin’s executable removed: the lease is kept; by force it is named', () => {
  const netd = prepareWay(rkt, ownExecutables);
  configure('1.1.0');
  rkt.ok('run', '--net-release=gc', '--net=leak', '--net-exec', 'busybox', '--exec=/bin/true');
  const [lease = ''] = leases();
  rmSync(join(netd, 'host-local'));
  // The executable of that type next on the path speaks no 1.1.0, which is as good as none.
  const { status, stderr } = gc();
  expect([status, leases()], stderr).toEqual([254, [lease]]);
  const uuid = rkt.podDirectories()[0]?.split('/')[1] ?? '';
  const forced = rkt.run(['rm', '--force', uuid]);
  expect([forced.status, forced.stderr]).toEqual([0, expect.stringContaining(`still there:\n  - lease ${lease} (${store}/${lease})`)]);
  // Whoever has the plugin back has the lease back: nobody says any more that it is in use.
  prepareWay(rkt, ownExecutables);
  rkt.gc();
  expectNothing();
});

test('SIGKILL around every record of rm --force: the next one, or gc, finishes', { timeout: 120_000 }, () => {
  const netd = prepareWay(rkt, inProcess);
  const behave = join(netd, 'behave');
  configure('1.0.0', [...chain, { type: 'behave', log: join(rkt.config, 'calls.log') }]);
  for (const fault of ['signal=SIGKILL', 'error=EIO:signal=SIGKILL']) {
    for (let n = 1, killed = true; killed; n++) {
      copyFileSync(resolve(import.meta.dirname, '../fixtures/plugins/behave'), behave);
      rkt.ok('run', '--net-release=gc', '--net=leak', 'busybox', '--exec=/bin/true');
      rmSync(behave);
      const uuid = rkt.podDirectories()[0]?.split('/')[1] ?? '';
      const inject = ['-f', '-qqq', '-o', '/dev/null', '-e', 'trace=pwrite64', '-e', `inject=pwrite64:${fault}:when=${n}`];
      const { status } = spawnSync('strace', [...inject, rktPath, ...rkt.arguments(['rm', '--force', uuid])], { encoding: 'utf8' });
      killed = status !== 0;
      if (!killed) expect(n).toBeGreaterThan(6);
      if (rkt.run(['rm', '--force', uuid]).status !== 0) gc();
      expectNothing();
      rkt.gc();
    }
  }
});

describe('a damaged journal', () => {
  test.each([
    ['garbled', 'not a journal\n'],
    ['emptied', ''],
  ])('%s: rm --force undoes what the plan says', (_, damage) => {
    prepareWay(rkt, inProcess);
    configure('1.1.0');
    rkt.ok('run', '--net-release=gc', '--net=leak,default', '--port=8080:80', 'busybox', '--exec=/bin/true');
    const uuid = rkt.podDirectories()[0]?.split('/')[1] ?? '';
    writeFileSync(join(rkt.dataDir, 'pods/run', uuid, 'journal'), damage);
    const refused = rkt.run(['rm', uuid]);
    expect([refused.status, refused.stderr]).toEqual([254, expect.stringMatching(/ERR_JOURNAL_CORRUPT[\s\S]*rkt rm --force/)]);
    const { status, stderr } = rkt.run(['rm', '--force', uuid]);
    expect([status, stderr]).toEqual([0, '']);
    expectNothing();
    rkt.gc();
  });

  test('and a damaged plan: what is not known is said, and net gc finds what is left', () => {
    prepareWay(rkt, inProcess);
    configure('1.1.0');
    rkt.ok('run', '--net-release=gc', '--net=leak', '--port=8080:80', 'busybox', '--exec=/bin/true');
    const uuid = rkt.podDirectories()[0]?.split('/')[1] ?? '';
    const dir = join(rkt.dataDir, 'pods/run', uuid);
    for (const path of ['journal', 'net/plan.json']) writeFileSync(join(dir, path), 'not JSON\n');
    const ip = (JSON.parse(readFileSync(join(dir, 'net-info.json'), 'utf8')) as { ip: string }[])[0]?.ip ?? '';
    const { status, stderr } = rkt.run(['rm', '--force', uuid]);
    expect(status, stderr).toBe(0);
    expect(stderr).toContain('plan.json cannot be read');
    expect(stderr).toContain(`network "leak" (eth0, ${ip}) was not in the pod's plan: rkt net gc leak frees what is left there`);
    rkt.ok('net', 'gc', 'leak');
    rkt.gc();
    expectNothing();
  });
});

test('a list of a version that Debian’s plugins do not speak is refused before anything is made', () => {
  mkdirSync(join(rkt.config, 'net.d'), { recursive: true });
  prepareWay(rkt, inProcess);
  configure('1.1.0');
  const { status, stderr } = rkt.run(['run', '--net=leak', '--net-exec', 'busybox', '--exec=/bin/true']);
  expect([status, stderr]).toEqual([254, expect.stringMatching(/no CNI version suits all plugins of network "leak".*ERR_NETCONF_INVALID/)]);
  expect(stderr).toMatch(/\/usr\/lib\/cni\/bridge speaks [\d., ]*1\.0\.0\n/);
  expect(stderr).toMatch(/hint: add "1\.0\.0", which all of them speak, to "cniVersions".*leave out --net-exec/);
  expectNothing();
  rkt.ok('run', '--net=leak', 'busybox', '--exec=/bin/true');
  rkt.gc();
});
