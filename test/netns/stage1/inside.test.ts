/** What an app finds around itself. @see rkt.md 2.5, 2.6, 2.7, 2.11 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { useHost } from '../../rig/host.ts';
import { PodRig, pssKib, startTimeText, until, type AppInput, type PodInput } from './pod-rig.ts';

useHost();
let rig: PodRig;
/** A program that makes one system call and prints its errno. */
const probe = `#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
  long word[7] = {0};
  for (int i = 1; i < argc && i < 8; i++) word[i - 1] = strtol(argv[i], 0, 0);
  long result = syscall(word[0], word[1], word[2], word[3], word[4], word[5], word[6]);
  printf("%d\\n", result < 0 ? errno : 0);
  return 0;
}
`;
beforeAll(() => {
  rig = new PodRig();
  writeFileSync(join(rig.root, 'probe.c'), probe);
  execFileSync('cc', ['-static', '-Os', '-o', join(rig.layers[0] ?? '', 'bin/syscall'), join(rig.root, 'probe.c')]);
});
afterEach(() => rig.cleanUp());
afterAll(() => rig.dispose());

/** Standard output of a pod of one app that succeeds. */
async function inside(run: AppInput['run'], app: Omit<AppInput, 'run'> = {}, pod: Omit<PodInput, 'apps'> = {}): Promise<string> {
  const ended = await rig.run({ ...pod, apps: [{ ...app, run }] });
  expect(ended).toMatchObject({ code: 0, stderr: '' });
  return ended.stdout;
}
const lines = async (...args: Parameters<typeof inside>): Promise<string[]> => (await inside(...args)).split('\n').slice(0, -1);

describe('privileges', () => {
  test('root has the fourteen capabilities, and no way to more', async () => {
    expect(await lines('grep -E "^(Cap|NoNew|Seccomp:)" /proc/self/status')).toEqual([
      'CapInh:\t0000000000000000',
      'CapPrm:\t00000000a80425fb',
      'CapEff:\t00000000a80425fb',
      'CapBnd:\t00000000a80425fb',
      'CapAmb:\t0000000000000000',
      'NoNewPrivs:\t0',
      'Seccomp:\t2',
    ]);
  });
  test('another user keeps the bounding set only', async () => {
    expect(await lines('id -u; id -g; id -G; grep -E "^(Cap|NoNew)" /proc/self/status', { spec: { user: 'ann' } })).toEqual([
      '1000',
      '1000',
      '1000 10',
      'CapInh:\t0000000000000000',
      'CapPrm:\t0000000000000000',
      'CapEff:\t0000000000000000',
      'CapBnd:\t00000000a80425fb',
      'CapAmb:\t0000000000000000',
      'NoNewPrivs:\t1',
    ]);
  });
  test.each([
    [{ user: '4242', group: '' }, '4242 0 0'],
    [{ user: '1000', group: '77' }, '1000 77 77'],
    [{ user: 'root', group: 'wheel', supplementaryGIDs: [5, 6] }, '0 10 10 5 6'],
    [{ user: '/home/ann', group: '/etc' }, '0 0 0'],
  ])('%j', async (spec, ids) => {
    expect(await inside('echo $(id -u) $(id -g) $(id -G)', { spec })).toBe(`${ids}\n`);
  });
  test('a user the image does not know', async () => {
    expect(await rig.run({ apps: [{ run: 'true', spec: { user: 'user2' } }] })).toMatchObject({
      code: 254,
      stderr: expect.stringContaining('"user2" user not found in app app'),
    });
  });
  test('--insecure-options lifts each', async () => {
    const [capabilities = '', seccomp, paths] = await lines(
      'grep CapEff /proc/self/status; grep Seccomp: /proc/self/status; ls /sys/kernel | grep -c . && touch /proc/sys/kernel/hostname && echo writable',
      {},
      { insecure: ['capabilities', 'seccomp', 'paths'] },
    );
    expect(BigInt(`0x${capabilities.split('\t')[1] ?? ''}`) & (1n << 21n)).not.toBe(0n);
    expect(seccomp).toBe('Seccomp:\t0');
    expect(Number(paths)).toBeGreaterThan(0);
  });
});

describe('system calls', () => {
  const numbers = {
    unshare: 272,
    mount: 165,
    keyctl: 250,
    bpf: 321,
    io_uring_setup: 425,
    clone3: 435,
    reboot: 169,
    open_by_handle_at: 304,
    personality: 135,
    socket: 41,
    clone: 56,
    getpid: 39,
    unknown: 990,
  };
  test.runIf(process.arch === 'x64').each([
    ['a new namespace', [numbers.unshare, 0x20000], 1],
    ['mount', [numbers.mount, 0, 0, 0, 0, 0], 1],
    ['keyctl', [numbers.keyctl, 0], 1],
    ['bpf', [numbers.bpf, 0], 1],
    ['io_uring_setup', [numbers.io_uring_setup, 1], 1],
    ['reboot', [numbers.reboot, 0], 1],
    ['open_by_handle_at', [numbers.open_by_handle_at, 0], 1],
    ['another personality', [numbers.personality, 0x0400000], 38],
    ['a process in a new user namespace', [numbers.clone, 0x10000011, 0, 0, 0, 0], 1],
    ['a process in a new network namespace', [numbers.clone, 0x40000011, 0, 0, 0, 0], 1],
    ['the present personality', [numbers.personality, 0xffffffff], 0],
    ['AF_VSOCK', [numbers.socket, 40, 1, 0], 1],
    ['AF_INET', [numbers.socket, 2, 1, 0], 0],
    ['clone3 (glibc falls back)', [numbers.clone3, 0, 0], 38],
    ['one nobody has heard of', [numbers.unknown], 38],
    ['getpid', [numbers.getpid], 0],
  ])('%s', async (_, words, errno) => {
    expect(await inside(['/bin/syscall', ...words.map(String)])).toBe(`${errno}\n`);
  });
  test.runIf(process.arch === 'x64')('mount is back with the capability for it', async () => {
    const spec = { isolators: [{ name: 'os/linux/capabilities-retain-set', value: { set: ['CAP_SYS_ADMIN'] } }] };
    expect(await inside(['/bin/syscall', String(numbers.unshare), '0x4000000'], { spec })).toBe('0\n');
  });
});

describe('file system', () => {
  test('hidden and read-only parts of /proc and /sys', async () => {
    expect(
      await lines(`
      for path in /proc/kcore /proc/kallsyms /proc/sched_debug; do [ ! -e $path ] || [ -z "$(head -c1 $path | tr -d '\\0')" ] || echo visible $path; done
      for path in /sys/firmware /sys/fs /sys/module /sys/power; do [ ! -d $path ] || [ -z "$(ls $path)" ] || echo visible $path; done
      for path in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/sys/vm/panic_on_oom /sys/kernel/uevent_seqnum; do [ ! -e $path ] || ! (echo x > $path) 2>/dev/null || echo writable $path; done
      echo done`),
    ).toEqual(['done']);
  });
  test('devices: the usual ones work, others cannot be opened', async () => {
    expect(
      await lines(
        'for d in null zero full random urandom tty net/tun ptmx pts shm mqueue fd stdin; do [ -e /dev/$d ] || [ -L /dev/$d ] || echo no $d; done; mknod /tmp/disk b 7 0; head -c1 /tmp/disk 2>&1; mknod /tmp/kmsg c 1 11; head -c1 /tmp/kmsg 2>&1; head -c1 /dev/zero | wc -c',
      ),
    ).toEqual(['head: /tmp/disk: Operation not permitted', 'head: /tmp/kmsg: Operation not permitted', '1']);
  });
  test('writable by default, in an upper directory of the pod', async () => {
    const pod = rig.start({ apps: [{ run: 'echo x > /etc/new; rm /etc/group; ls /etc' }] });
    expect((await pod.ended).stdout.split(/\s+/).filter(Boolean)).toEqual(['hostname', 'hosts', 'mtab', 'new', 'passwd']);
    expect(pod.read('overlay/app/upper/etc/new')).toBe('x\n');
  });
  test('--readonly-rootfs', async () => {
    expect(await lines('(echo x > /new) 2>&1; (echo x > /etc/hosts) 2>&1; echo y > /dev/shm/y && cat /dev/shm/y', { readonlyRootfs: true })).toEqual([
      "/bin/sh: can't create /new: Read-only file system",
      "/bin/sh: can't create /etc/hosts: Read-only file system",
      'y',
    ]);
  });
  test('name files', async () => {
    expect(
      await lines(
        'hostname; cat /etc/hostname /etc/resolv.conf; grep 127 /etc/hosts; readlink /etc/mtab; stat -c %a /tmp',
        {},
        { hostname: 'rkt-test', resolvConf: 'nameserver 192.0.2.1\n' },
      ),
    ).toEqual([
      'rkt-test',
      'rkt-test',
      'nameserver 192.0.2.1',
      '127.0.0.1\tlocalhost localhost.domain localhost4 localhost4.localdomain4 rkt-test',
      '../proc/self/mounts',
      '1777',
    ]);
  });
  test('a resolver for whoever has none: an image that names one keeps it; an empty file and a link out of the image name none', async () => {
    const imageWith = (name: string, make: (etc: string) => void): string[] => {
      const layer = join(rig.root, 'layers', name);
      mkdirSync(join(layer, 'etc'), { recursive: true });
      make(join(layer, 'etc/resolv.conf'));
      return [layer, ...rig.layers];
    };
    writeFileSync(join(rig.root, 'outside'), 'nameserver 192.0.2.66\n');
    const seen = (layers: string[]): Promise<string> => inside('cat /etc/resolv.conf', { layers }, { fallbackResolvConf: 'nameserver 192.0.2.1\n' });
    expect(await seen(imageWith('own', (path) => writeFileSync(path, '# x\nnameserver 192.0.2.9\n')))).toBe('# x\nnameserver 192.0.2.9\n');
    expect(await seen(imageWith('empty', (path) => writeFileSync(path, '')))).toBe('nameserver 192.0.2.1\n');
    expect(await seen(imageWith('link', (path) => symlinkSync(join(rig.root, 'outside'), path)))).toBe('nameserver 192.0.2.1\n');
    expect(await seen(imageWith('fifo', (path) => execFileSync('mkfifo', [path])))).toBe('nameserver 192.0.2.1\n');
    expect(await seen([...rig.layers])).toBe('nameserver 192.0.2.1\n');
  });
  test('a missing working directory is made', async () => {
    expect(await inside('pwd', { spec: { workingDirectory: '/srv/a/b' } })).toBe('/srv/a/b\n');
  });
  test('nothing of it is mounted on the host, even where the host shares its mounts', async () => {
    const script =
      '"$@" & until [ -L "$POD/stage1/rootfs/rkt/supervisor-status" ]; do sleep 0.01; done; grep -c "$POD" /proc/self/mountinfo; grep -c "$POD" /proc/$!/mountinfo; kill $!';
    const dir = join(rig.root, 'pods/shared');
    const pod = rig.start({
      dir,
      through: ['env', `POD=${dir}`, 'unshare', '-m', '--propagation', 'shared', 'sh', '-c', script, 'sh'],
      apps: [{ run: ['/bin/sleep', '1000'] }],
    });
    expect((await pod.ended).stdout).toBe('0\n3\n');
  });
});

describe('process', () => {
  test('only three descriptors', async () => {
    // ls itself opens the directory as 3
    expect(await inside(['/bin/ls', '/proc/self/fd'])).toBe('0\n1\n2\n3\n');
  });
  test('environment', async () => {
    expect(
      (
        await lines('env', {
          name: 'web',
          spec: {
            environment: [
              { name: 'PATH', value: '/bin' },
              { name: 'X', value: 'a b=c' },
            ],
          },
        })
      )
        .filter((line) => !/^(PWD|SHLVL|_)=/.test(line))
        .sort(),
    ).toEqual(['AC_APP_NAME=web', 'HOME=/root', 'LOGNAME=root', 'PATH=/bin', 'SHELL=/bin/sh', 'USER=root', 'X=a b=c']);
  });
  test('its own session, default signals, umask 022', async () => {
    expect(await lines('umask; grep -E "^Sig(Blk|Ign)" /proc/self/status; [ $(cut -d" " -f6 /proc/self/stat) = $$ ] && echo leader')).toEqual([
      '0022',
      'SigBlk:\t0000000000000000',
      'SigIgn:\t0000000000000000',
      'leader',
    ]);
  });
  test('PID 1 is the pod’s init, and shows nothing of the host', async () => {
    expect(
      await lines(
        'cat /proc/1/comm; tr -d "\\0" < /proc/1/cmdline; echo; [ $$ != 1 ] && echo not me; ls /proc/1/root/ 2>&1 | grep -c .; (kill -9 1; sleep 0.1; echo alive)',
      ),
    ).toEqual(['rkt-init', 'rkt-init', 'not me', '1', 'alive']);
  });
  test('with CAP_SYS_PTRACE its root is an empty directory', async () => {
    const spec = { isolators: [{ name: 'os/linux/capabilities-retain-set', value: { set: ['CAP_SYS_PTRACE', 'CAP_DAC_OVERRIDE'] } }] };
    expect(
      await inside(
        'ls -a /proc/1/root/ /proc/1/root/.. /proc/1/cwd/../.. | grep -v : | sort -u | tr "\\n" " "; ls /proc/1/fd 2>&1 | wc -l',
        { spec },
        { insecure: ['capabilities'] },
      ),
    ).toBe(' . .. 0\n');
  });
});

describe('two apps', () => {
  test('see each other’s processes, loopback, /dev/shm and queues', async () => {
    execFileSync('ip', ['netns', 'add', 'rkt-two']);
    try {
      execFileSync('ip', ['-n', 'rkt-two', 'link', 'set', 'lo', 'up']);
      const ended = await rig.run({
        netns: '/run/netns/rkt-two',
        apps: [
          { run: 'mkdir /www; echo page > /www/index.html; echo note > /dev/shm/note; touch /dev/mqueue/q; exec httpd -f -p 127.0.0.1:80 -h /www' },
          {
            run: 'until wget -q -O - http://127.0.0.1/ 2>/dev/null; do sleep 0.02; done; cat /dev/shm/note; ls /dev/mqueue; readlink /proc/self/ns/net; pid=$(pidof httpd); kill $pid; exit 0',
          },
        ],
      });
      expect(ended.stdout).toBe(`page\nnote\nq\nnet:[${statSync('/run/netns/rkt-two').ino}]\n`);
      expect(ended.code).toBe(143);
    } finally {
      execFileSync('ip', ['netns', 'del', 'rkt-two']);
    }
  });
});

describe('from outside', () => {
  test('the pod keeps the pid of the command that started it', async () => {
    const pod = await rig.start({ apps: [{ run: ['/bin/sleep', '1000'] }] }).ready();
    expect(pod.read('pid')).toBe(`${pod.pid} ${startTimeText(pod.pid)}\n`);
    expect(pod.read('stage1/rootfs/rkt/pid/app')).toBe(
      `${pod.pidOf('stage1/rootfs/rkt/pid/app')} ${startTimeText(pod.pidOf('stage1/rootfs/rkt/pid/app'))}\n`,
    );
    expect(pod.read('init')).toBe(`${pod.pidOf('init')} ${startTimeText(pod.pidOf('init'))}\n`);
    pod.child.kill('SIGKILL');
    await pod.ended;
    await until(
      () => pod.processes().length === 0,
      () => 'processes left',
    );
  });
  test('memory of supervisor and init', async () => {
    const pod = await rig.start({ apps: [{ run: ['/bin/sleep', '1000'] }] }).ready();
    const [supervisor, init] = [pssKib(pod.pid), pssKib(pod.pidOf('init'))];
    console.log(`PSS: supervisor ${supervisor} KiB + init ${init} KiB = ${supervisor + init} KiB`);
    expect(supervisor + init).toBeLessThan(350);
    pod.child.kill('SIGTERM');
    await pod.ended;
  });
});
