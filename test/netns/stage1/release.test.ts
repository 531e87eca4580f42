/** What the supervisor does when the pod has ended, operation by operation; above all what it leaves alone. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { existsSync, mkdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { tryLock } from '../../../src/host/flock.ts';
import { claim, elementsOf, release as releaseNow, removeTableIfUnused, removeUnusedChains } from '../../../src/host/nftables/table.ts';
import { releaseElements, releaseFlows } from '../../../src/host/nftables/release.ts';
import { createNetns, netnsExists } from '../../../src/host/netns.ts';
import { parseCidr, type Cidr } from '../../../src/model/cidr.ts';
import { encodeRelease, type ReleaseOp } from '../../../src/model/release.ts';
import { attachmentText, masqueradeElements, portElements, type AttachmentKey } from '../../../src/model/ruleset.ts';
import { awaitRelease } from '../../../src/stage1/flavors/oci/release.ts';
import { useHost } from '../../rig/host.ts';
import { PodRig, until, type Ended, type RunningPod } from './pod-rig.ts';

useHost();
let rig: PodRig;
beforeAll(() => {
  rig = new PodRig();
});
afterEach(() => rig.cleanUp());
afterAll(() => rig.dispose());

const encoded = (ops: readonly ReleaseOp[]): string => encodeRelease(ops).toString('base64');
const start = (release: string, through: readonly string[] = []): RunningPod => rig.start({ apps: [{ run: ['/bin/true'] }], release, through });
/** Runs a pod that does `ops` at its end, and waits for both. */
async function ended(ops: readonly ReleaseOp[], through?: readonly string[]): Promise<Ended & { log: string | undefined }> {
  const pod = start(encoded(ops), through);
  const outcome = await pod.ended;
  expect(outcome.code, outcome.stderr).toBe(0);
  awaitRelease(pod.dir);
  return { ...outcome, log: pod.read('release.log') };
}

describe('unlink', () => {
  let dir = '';
  const file = (name: string, content: string): string => {
    writeFileSync(join(dir, name), content);
    return join(dir, name);
  };
  beforeAll(() => {
    dir = join(rig.root, 'store');
    mkdirSync(dir);
  });

  test('only files with that very content; the directory’s time is as before', async () => {
    const lock = file('lock', '');
    const ours = file('10.0.0.2', 'pod\r\neth0');
    const others = file('10.0.0.3', 'pod2\r\neth0');
    const longer = file('10.0.0.4', 'pod\r\neth01');
    const whatever = file('index', 'x'.repeat(5000));
    utimesSync(dir, 1_000_000_000, 1_000_000_000);
    const content = 'pod\r\neth0';
    await ended([
      {
        op: 'unlink',
        lock,
        dated: dir,
        files: [...[ours, others, longer, join(dir, 'none')].map((path) => ({ path, content })), { path: whatever }],
      },
    ]);
    expect([ours, others, longer, whatever].map((path) => existsSync(path))).toEqual([false, true, true, false]);
    expect(statSync(dir).mtimeMs).toBe(1_000_000_000_000);
  });

  test('waits for the lock; without the lock file there is no store', async () => {
    const lock = file('lock', '');
    const one = file('10.0.0.5', 'a');
    const held = tryLock(lock, 'exclusive');
    const pod = start(encoded([{ op: 'unlink', lock, files: [{ path: one, content: 'a' }] }]));
    await pod.ended;
    await new Promise((done) => void setTimeout(done, 100));
    expect(existsSync(one)).toBe(true);
    held?.release();
    awaitRelease(pod.dir);
    expect(existsSync(one)).toBe(false);
    const two = file('10.0.0.6', 'a');
    await ended([{ op: 'unlink', lock: join(dir, 'no-lock'), files: [{ path: two, content: 'a' }] }]);
    expect(existsSync(two)).toBe(true);
  });
});

describe('elements and flows', () => {
  const [late, next] = ['late', 'next'].map((containerId): AttachmentKey => ({ network: 'net', containerId, ifName: 'eth0' })) as [
    AttachmentKey,
    AttachmentKey,
  ];
  const address = parseCidr('10.9.9.9/24') as Cidr;
  const ports = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp', host: undefined } as const];
  const all = (key: AttachmentKey) => [
    ...masqueradeElements(key, [address]),
    ...portElements(key, ports, { addresses: [address], snat: true, masqAll: false }),
  ];
  const sets = ['masq4', 'ports4', 'hairpin4'] as const;
  const owners = (): string[] => sets.flatMap((set) => elementsOf(set).map(({ comment }) => comment));
  afterEach(() => {
    releaseNow({ sets, hint: 'net/', selects: () => true });
    removeUnusedChains();
    removeTableIfUnused();
  });

  test('those of the pod go, while others change the ruleset all the time', async () => {
    claim(all(late));
    claim(masqueradeElements(next, [parseCidr('10.9.9.10/24') as Cidr]));
    const others = spawn('sh', ['-c', 'for i in $(seq 40); do nft add table inet busy; nft delete table inet busy; done'], { stdio: 'ignore' });
    const quiet = new Promise((done) => void others.on('close', done));
    // Between its question and its answer there is always somebody else's change.
    const through = ['strace', '-f', '-qqq', '-o', '/dev/null', '-e', 'trace=sendto', '-e', 'inject=sendto:delay_enter=20000'];
    await ended(releaseElements(all(late)), through);
    expect(owners()).toEqual([attachmentText(next)]);
    await quiet;
  });

  test('a late one leaves the same entries of the next pod alone, also where only some are', async () => {
    claim(all(next));
    await ended(releaseElements(all(late)));
    expect(owners()).toHaveLength(3);
    releaseNow({ sets: ['masq4'], hint: 'net/', selects: () => true });
    claim(masqueradeElements(late, [address]));
    await ended(releaseElements(all(late)));
    expect(owners()).toEqual([attachmentText(next), attachmentText(next)]);
  });

  test('without the table, without a flow', async () => {
    const pod = address.ip;
    expect((await ended([...releaseElements(all(late)), ...releaseFlows([{ pod, port: 53, host: undefined }])])).log).toBe(undefined);
  });

  test('UDP flows of the pod are forgotten, those of others stay', async () => {
    claim(all(late)); // with translation in the host, flows are tracked
    execFileSync('ip', ['link', 'add', 'far0', 'type', 'veth', 'peer', 'name', 'far1']);
    execFileSync('sh', [
      '-c',
      'ip addr add 10.9.9.1/24 dev far0; ip link set far0 up; ip link set far1 up; for i in 9 8; do ip neigh add 10.9.9.$i lladdr 02:00:00:00:00:01 dev far0; done',
    ]);
    const flows = (): number => Number(readFileSync('/proc/sys/net/netfilter/nf_conntrack_count', 'utf8'));
    try {
      const socket = createSocket('udp4');
      for (const to of ['10.9.9.9', '10.9.9.8']) for (const port of [53, 54]) await new Promise((done) => socket.send('x', port, to, done));
      socket.close();
      const before = flows();
      expect(before).toBeGreaterThanOrEqual(4);
      await ended(releaseFlows([53, 54].map((port) => ({ pod: address.ip, port, host: undefined }))));
      expect(flows()).toBe(before - 2);
    } finally {
      execFileSync('ip', ['link', 'del', 'far0']);
    }
  });
});

test('unmount: a namespace, a plain file, nothing', async () => {
  const [space, plain] = ['/run/netns/rkt-space', '/run/netns/rkt-plain'];
  createNetns(space);
  writeFileSync(plain, '');
  await ended([space, plain, '/run/netns/rkt-none'].map((path) => ({ op: 'unmount', path })));
  expect([netnsExists(space), existsSync(space), existsSync(plain)]).toEqual([false, false, false]);
});

test('signal: the process that the file names, if that is who it was', async () => {
  const pidFile = join(rig.root, 'client.pid');
  const client = (...args: string[]): ChildProcess => spawn('/bin/sh', ['-c', 'while :; do sleep 0.1; done', 'client', ...args], { stdio: 'ignore' });
  const [ours, others] = [client('-p', pidFile), client('-p', `${pidFile}2`)];
  const op = { op: 'signal', signal: 15, pidFile, argument: pidFile } as const;
  try {
    for (const content of [`${others.pid}\n`, '', '1', '999999999999\n']) {
      writeFileSync(pidFile, content);
      await ended([op]);
    }
    expect([ours.signalCode, others.signalCode]).toEqual([null, null]);
    writeFileSync(pidFile, `${ours.pid}\n`);
    await ended([op, { ...op, pidFile: join(rig.root, 'none') }]);
    await until(
      () => ours.signalCode === 'SIGTERM',
      () => 'it goes on',
    );
    expect(others.signalCode).toBe(null);
  } finally {
    for (const process of [ours, others]) process.kill('SIGKILL');
  }
});

describe('run', () => {
  const script = (name: string, text: string): string => {
    const path = join(rig.root, name);
    writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    return path;
  };

  test('with its input and environment, in the host’s namespaces; in order; failures are written down', async () => {
    const said = join(rig.root, 'said');
    const one = script('one', `cat >> ${said}; echo "$CNI_COMMAND $(readlink /proc/self/ns/mnt) $SECRET" >> ${said}; exit 3`);
    const two = script('two', `echo two >> ${said}`);
    process.env['SECRET'] = 'of the caller';
    const stdin = 'x'.repeat(90_000);
    const { log } = await ended([
      { op: 'run', path: one, stdin, env: { CNI_COMMAND: 'DEL' }, timeoutMs: 5_000 },
      { op: 'run', path: join(rig.root, 'none'), stdin: '', env: {}, timeoutMs: 5_000 },
      { op: 'run', path: two, stdin: '', env: {}, timeoutMs: 5_000 },
    ]);
    delete process.env['SECRET'];
    const mounts = execFileSync('readlink', ['/proc/self/ns/mnt'], { encoding: 'utf8' }).trim();
    expect(readFileSync(said, 'utf8')).toBe(`${stdin}DEL ${mounts} \ntwo\n`);
    expect(log).toBe(
      `rkt: ${one} failed\nrkt: cannot run ${join(rig.root, 'none')}: No such file or directory\nrkt: ${join(rig.root, 'none')} failed\n`,
    );
  });

  test('one that hangs is killed with its children; meanwhile the pod is not locked, its release is', async () => {
    const after = join(rig.root, 'after');
    writeFileSync(after, '');
    const pod = start(
      encoded([
        { op: 'run', path: script('hang', 'sleep 1000 & sleep 1001'), stdin: '', env: {}, timeoutMs: 400 },
        { op: 'run', path: script('leaves', 'sleep 1000 &'), stdin: '', env: {}, timeoutMs: 5_000 },
        { op: 'unlink', files: [{ path: after }] },
      ]),
    );
    await pod.ended;
    for (const [path, locked] of [
      [pod.dir, false],
      [join(pod.dir, 'release'), true],
    ] as const) {
      const lock = tryLock(path, 'exclusive');
      expect(lock === undefined, path).toBe(locked);
      lock?.release();
    }
    awaitRelease(pod.dir);
    expect(existsSync(after)).toBe(false);
    await until(
      () => pod.processes().length === 0,
      () => `left: ${pod.processes().join(' ')}`,
    );
  });
});

describe('a damaged file', () => {
  const victim = (): string => join(rig.root, 'victim');
  test.each([-1, -4, -9, 20, 12, 9])('cut at %i: nothing at all is done, and that is said', async (at) => {
    writeFileSync(victim(), '');
    const whole = encodeRelease([
      { op: 'unlink', files: [{ path: victim() }] },
      { op: 'rmdir', paths: [join(rig.root, 'no-directory')] },
    ]);
    const pod = start(whole.subarray(0, at < 0 ? whole.length + at : at).toString('base64'));
    expect((await pod.ended).code).toBe(0);
    awaitRelease(pod.dir);
    expect(existsSync(victim())).toBe(true);
    expect(pod.read('release.log')).toContain('damaged');
  });

  test('a fuzzer under the sanitizers', { timeout: 60_000 }, () => {
    const source = resolve(import.meta.dirname, '../../../src/stage1/flavors/oci');
    const program = join(rig.root, 'fuzz');
    const files = ['release.c', 'release_netlink.c', 'files.c', 'text.c'].map((name) => join(source, name));
    execFileSync('cc', [
      '-std=gnu11',
      '-g',
      '-O1',
      '-fsanitize=address,undefined',
      '-fno-sanitize-recover=all',
      `-I${source}`,
      '-o',
      program,
      join(import.meta.dirname, 'release-fuzz.c'),
      ...files,
    ]);
    const address = parseCidr('10.9.9.9/24') as Cidr;
    const key = { network: 'net', containerId: 'pod', ifName: 'eth0' };
    writeFileSync(
      join(rig.root, 'seed'),
      encodeRelease([
        { op: 'unlink', lock: '/l', dated: '/', files: [{ path: '/a', content: 'c' }, { path: '/b' }] },
        ...releaseElements(masqueradeElements(key, [address])),
        ...releaseFlows([{ pod: address.ip, port: 53, host: undefined }]),
        { op: 'unmount', path: '/u' },
        { op: 'rmdir', paths: ['/r', '/s'] },
        { op: 'signal', signal: 15, pidFile: '/p', argument: '/a' },
        { op: 'run', path: '/p', stdin: 'input', env: { A: 'b', C: '' }, timeoutMs: 1 },
      ]),
    );
    const whole = Number(execFileSync(program, [join(rig.root, 'seed'), '300000'], { encoding: 'utf8' }));
    expect(whole).toBeGreaterThan(10_000);
    expect(whole).toBeLessThan(290_000);
  });
});
