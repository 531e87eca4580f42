/** The fly flavor from outside: one app in a chroot, in the process that was started. @see rkt.md 2.14 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readlinkSync, readdirSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { useHost } from '../../rig/host.ts';
import { Rkt, type RunningPod } from '../../rig/rkt.ts';

useHost();
const rkt = new Rkt();
const fly = '--stage1-name=coreos.com/rkt/stage1-fly';
const sh = (text: string): string[] => ['--exec=/bin/sh', '--', '-c', text];
const pidOf = (pod: RunningPod): number => pod.child.pid ?? expect.fail();
const isRunning = (pid: number): boolean => {
  try {
    return !/\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
};

test('host namespaces, a root of its own, tmpfs /tmp, descriptors 0-2 and the lock; the exit code is the app’s', () => {
  const outcome = rkt.run([
    'run',
    fly,
    'busybox',
    ...sh(
      'for kind in net pid ipc uts; do readlink /proc/self/ns/$kind; done; ls /; stat -f -c %T /tmp; ls -l /proc/$$/fd | grep -vcE "pipe|socket"; echo $AC_APP_NAME; exit 7',
    ),
  ]);
  const lines = outcome.stdout.split('\n');
  expect(lines.slice(0, 4), outcome.stderr).toEqual(['net', 'pid', 'ipc', 'uts'].map((kind) => readlinkSync(`/proc/self/ns/${kind}`)));
  expect(lines).toContain('tmpfs');
  expect(lines).not.toContain('boot');
  // "total 0", /dev/null, the pod's directory
  expect(lines.slice(-3)).toEqual(['3', 'busybox', '']);
  expect(outcome.status).toBe(7);
  expect(rkt.pods()[0]?.state).toBe('exited');
  rkt.gc();
  expect(rkt.podDirectories()).toEqual([]);
});

describe('a running pod', () => {
  test('pid, pgid and flavor are recorded; enter is in the same root; another user has no capabilities; stop sends TERM', async () => {
    const pod = rkt.start([fly, 'busybox', '--user=1000', '--group=100', ...sh('trap "exit 5" TERM; echo up; while :; do sleep 0.05; done')]);
    await expect.poll(() => pod.stdout).toContain('up');
    expect(readFileSync(join(pod.dir, 'pid'), 'utf8')).toMatch(new RegExp(`^${pidOf(pod)} `));
    expect(readFileSync(join(pod.dir, 'pgid'), 'utf8').trim()).toMatch(/^\d+$/);
    expect(readlinkSync(join(pod.dir, 'flavor'))).toBe('fly');
    expect(readlinkSync(`/proc/${pidOf(pod)}/exe`)).toContain('busybox');
    const status = readFileSync(`/proc/${pidOf(pod)}/status`, 'utf8');
    expect(status).toMatch(/^CapPrm:\s0{16}$/m);
    expect(status).toMatch(/^Uid:\s1000\s1000\s1000\s1000$/m);
    expect(status).toMatch(/^Gid:\s100\s100\s100\s100$/m);
    expect(rkt.ok('enter', pod.uuid, '--', 'sh', '-c', 'echo $AC_APP_NAME; id -u; ls -d /usr/bin/python3 2>&1; true').split('\n')).toEqual([
      'busybox',
      '0',
      'ls: /usr/bin/python3: No such file or directory',
      '',
    ]);
    expect(rkt.run(['enter', pod.uuid, 'nope']).stderr).toMatch(/Unable to open "nope".*\[ERR_STAGE1_LAUNCH\]/);
    rkt.ok('stop', pod.uuid);
    expect((await pod.exited).status).toBe(5);
  });

  test('nothing of its mounts is on the host; SIGKILL leaves nothing that gc does not take', async () => {
    const mounts = (): string => readFileSync('/proc/self/mountinfo', 'utf8');
    const before = mounts();
    const pod = rkt.start([fly, 'busybox', ...sh('exec sleep 1000')]);
    expect(mounts()).toBe(before);
    await pod.stop('SIGKILL');
    expect(rkt.pods()[0]?.state).toBe('exited');
    rkt.gc();
    expect(rkt.podDirectories()).toEqual([]);
  });

  test('what the app left running keeps the pod running; stop ends it though the app is gone', async () => {
    const pod = rkt.start([fly, 'busybox', ...sh('sleep 1000 >/dev/null 2>&1 & echo $!; exit 3')]);
    expect((await pod.exited).status).toBe(3);
    const child = Number(pod.stdout.trim());
    expect(rkt.pods()[0]?.state).toBe('running');
    expect(rkt.run(['enter', pod.uuid, 'true']).stderr).toMatch(/not running \[ERR_POD_STATE\]/);
    rkt.ok('stop', '--force', pod.uuid);
    expect(isRunning(child)).toBe(false);
    expect(rkt.pods()[0]?.state).toBe('exited');
  });

  test('an app that leads its process group is signalled with the group', async () => {
    const uuidFile = join(rkt.config, 'grouped');
    const script = join(rkt.config, 'grouped.sh');
    writeFileSync(
      script,
      `setsid -f ${rkt.arguments([]).reduce((line, word) => `${line} ${word}`, join(import.meta.dirname, '../../../dist/rkt'))} run --uuid-file-save=${uuidFile} ${fly} busybox --exec=/bin/sh -- -c 'sleep 1000 & wait' >/dev/null 2>&1`,
    );
    execFileSync('sh', [script]);
    await expect.poll(() => rkt.pods()[0]?.state, { timeout: 10_000 }).toBe('running');
    const uuid = (): string => readFileSync(uuidFile, 'utf8').trim();
    const dir = (): string => join(rkt.dataDir, 'pods/run', uuid());
    await expect.poll(() => readdirSync(dir())).toContain('pid');
    const pid = readFileSync(join(dir(), 'pid'), 'utf8').split(' ')[0] ?? '';
    await expect.poll(() => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')).not.toBe('');
    expect(readFileSync(join(dir(), 'pgid'), 'utf8').trim()).toBe(pid);
    rkt.ok('stop', uuid());
    expect(rkt.pods()[0]?.state).toBe('exited');
  });
});

test('volumes: mounted in the chroot, read-only when asked, gone with the pod', () => {
  const data = join(rkt.config, 'data');
  mkdirSync(data);
  writeFileSync(join(data, 'file'), 'from the host');
  const before = readFileSync('/proc/self/mountinfo', 'utf8');
  const outcome = rkt.run([
    'run',
    fly,
    `--volume=data,kind=host,source=${data},readOnly=true`,
    '--volume=own,kind=empty',
    '--mount=volume=data,target=/data',
    '--mount=volume=own,target=/own',
    'busybox',
    ...sh('cat /data/file; echo x > /data/file; echo $?; echo y > /own/file && cat /own/file'),
  ]);
  expect(outcome.stdout, outcome.stderr).toBe('from the host1\ny\n');
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).toBe(before);
  expect(readFileSync(join(data, 'file'), 'utf8')).toBe('from the host');
});

describe('refused before anything is touched', () => {
  const refusal = (...args: string[]) => {
    const { status, stderr } = rkt.run(['run', ...args]);
    return [status, /\[(ERR_\w+)\]/.exec(stderr)?.[1]];
  };
  test('stages that are not built in, two of them, what fly lacks', () => {
    expect(refusal('--stage1-name=coreos.com/rkt/stage1-kvm', 'busybox')).toEqual([254, 'ERR_STAGE1_UNKNOWN']);
    expect(refusal('--stage1-hash=sha512-00', 'busybox')).toEqual([254, 'ERR_STAGE1_UNKNOWN']);
    expect(refusal(fly, fly, 'busybox')).toEqual([254, 'ERR_CLI_USAGE']);
    expect(refusal(fly, '--stage1-from-dir=stage1-fly.aci', 'busybox')).toEqual([254, 'ERR_CLI_USAGE']);
    expect(refusal(fly, '--net=bridge', 'busybox')).toEqual([254, 'ERR_STAGE1_LACKS']);
    expect(refusal(fly, 'busybox', '--name=a', 'busybox', '--name=b')).toEqual([254, 'ERR_STAGE1_LACKS']);
    expect(readdirSync(rkt.dataDir).includes('pods') ? rkt.podDirectories() : []).toEqual([]);
  });

  test('a program that is not there leaves no pod', () => {
    expect(refusal(fly, 'busybox', '--exec=/bin/nope')).toEqual([254, 'ERR_STAGE1_LAUNCH']);
    expect(rkt.podDirectories()).toEqual([]);
  });
});

test('the configuration chooses; a record of another rkt stops stop, and gc keeps such a pod and says why', () => {
  mkdirSync(join(rkt.config, 'stage1.d'));
  writeFileSync(
    join(rkt.config, 'stage1.d/fly.json'),
    JSON.stringify({ rktKind: 'stage1', rktVersion: 'v1', name: 'coreos.com/rkt/stage1-fly', version: '1.30.0' }),
  );
  expect(rkt.run(['run', 'busybox', ...sh('readlink /proc/self/ns/pid')]).stdout.trim()).toBe(readlinkSync('/proc/self/ns/pid'));
  rmSync(join(rkt.config, 'stage1.d'), { recursive: true });
  const [path = ''] = rkt.podDirectories();
  const record = join(rkt.dataDir, 'pods', path, 'flavor');
  unlinkSync(record);
  symlinkSync('moon', record);
  const swept = rkt.run(['gc', '--grace-period=0']);
  expect([swept.status, swept.stderr]).toEqual([254, expect.stringContaining('flavor "moon" is not built in')]);
  unlinkSync(join(rkt.dataDir, 'pods', rkt.podDirectories()[0] ?? '', 'flavor'));
  rkt.gc();
  expect(rkt.podDirectories()).toEqual([]);
});
