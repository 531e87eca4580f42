/** Attempts to get out of a pod, one each. Every app here is root of its pod and hostile. */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { useHost } from '../../rig/host.ts';
import { Rkt, dist } from '../../rig/rkt.ts';

useHost();
const rkt = new Rkt();
const probeSource = `#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
/* "connect NAME": an abstract socket; else one system call. Prints the errno. */
int main(int argc, char **argv) {
  long word[7] = {0}, result;
  if (argc == 3 && strcmp(argv[1], "connect") == 0) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strcpy(to.sun_path + 1, argv[2]);
    result = connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&to, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(argv[2]));
  } else {
    for (int i = 1; i < argc && i < 8; i++) word[i - 1] = strtol(argv[i], 0, 0);
    result = syscall(word[0], word[1], word[2], word[3], word[4], word[5], word[6]);
  }
  printf("%d\\n", result < 0 ? errno : 0);
  return 0;
}
`;
let bin = '';
let dir = '';
beforeAll(() => {
  bin = mkdtempSync('/tmp/rkt-probe-');
  writeFileSync(join(bin, 'probe.c'), probeSource);
  execFileSync('cc', ['-static', '-Os', '-o', join(bin, 'probe'), join(bin, 'probe.c')]);
});
afterAll(() => rmSync(bin, { recursive: true, force: true }));
beforeEach(() => {
  dir = mkdtempSync('/tmp/rkt-escape-');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const sh = (script: string): string[] => ['--exec=/bin/sh', '--', '-c', script];
const withProbe = (): string[] => [`--volume=probe,kind=host,source=${bin}/probe,readOnly=true`, '--mount=volume=probe,target=/probe'];
/** Standard output and error of a hostile app, however it ends. */
function attempt(script: string, ...flags: string[]): string[] {
  const { stdout, stderr } = rkt.run(['run', '--net=none', ...withProbe(), ...flags, 'busybox', ...sh(`exec 2>&1; ${script}`)]);
  return `${stdout}${stderr}`.trimEnd().split('\n');
}
const hashOf = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
const EPERM = '1';
const privileged = '--insecure-options=capabilities,seccomp';

describe('through mounts', () => {
  test('a target that leads to the host by a link is a place in the app’s own root', () => {
    const outside = join(dir, 'outside');
    mkdirSync(outside);
    mkdirSync(join(dir, 'shared'));
    for (const [name, target] of [
      ['absolute', outside],
      ['up', `../../../../../../../..${outside}`],
    ] as const)
      symlinkSync(target, join(dir, 'shared', name));
    const { status, stdout } = rkt.run([
      'run',
      '--net=none',
      `--volume=s,kind=host,source=${dir}/shared`,
      '--volume=e,kind=empty',
      '--volume=o,kind=empty',
      'busybox',
      '--mount=volume=s,target=/s',
      `--mount=volume=o,target=${outside}`,
      '--mount=volume=e,target=/s/absolute/sub',
      '--mount=volume=e,target=/s/up/other',
      ...sh(`touch ${outside}/sub/x; ls ${outside}/sub ${outside}/other`),
    ]);
    expect([status, stdout.split('\n').filter((line) => line === 'x').length]).toEqual([0, 2]);
    // Leading nowhere in the app it is refused, though there is such a place on the host.
    const nowhere = ['--net=none', `--volume=s,kind=host,source=${dir}/shared`, '--volume=e,kind=empty', 'busybox', '--mount=volume=s,target=/s'];
    for (const target of ['/s/absolute', '/s/up/x'])
      expect(rkt.run(['run', ...nowhere, `--mount=volume=e,target=${target}`, '--exec=/bin/true']).status).toBe(254);
    expect(readdirSync(outside)).toEqual([]);
  });

  test('links swapped in a shared volume while others mount below it', async () => {
    const outside = join(dir, 'outside');
    mkdirSync(outside);
    mkdirSync(join(dir, 'shared/real'), { recursive: true });
    mkdirSync(join(dir, 'source'));
    const racer = rkt.start([
      '--net=none',
      `--volume=s,kind=host,source=${dir}/shared`,
      'busybox',
      '--mount=volume=s,target=/s',
      ...sh(
        `cd /s; ln -s ${outside} link; while :; do mv real keep; mv link x; mv x link; ln -s ${outside} x; rm -f x; mv link x; rm -rf real; mv x real; rm -rf real; mkdir real; ln -s ${outside} link; done 2>/dev/null`,
      ),
    ]);
    const rounds = Number(process.env['RKT_SOAK'] ?? 12);
    for (let round = 0; round < rounds; round++) {
      rkt.run([
        'run',
        '--net=none',
        `--volume=s,kind=host,source=${dir}/shared`,
        `--volume=v,kind=host,source=${dir}/source`,
        'busybox',
        '--mount=volume=s,target=/s',
        '--mount=volume=v,target=/s/real/below/deep',
        '--exec=/bin/true',
      ]);
      expect(readdirSync(outside)).toEqual([]);
    }
    await racer.stop('SIGKILL');
  });

  test('what an app mounts, with every capability, is not on the host', () => {
    mkdirSync(join(dir, 'v'));
    const before = readFileSync('/proc/self/mountinfo', 'utf8');
    execFileSync('mount', ['--make-rshared', '/']);
    try {
      const [shown] = attempt(
        'mount -t tmpfs leak /v && touch /v/leaked && mount --make-rshared /v; mkdir /m; mount --bind /v /m; ls /m',
        privileged,
        `--volume=v,kind=host,source=${dir}/v`,
        '--mount=volume=v,target=/v',
      );
      expect(shown).toBe('leaked');
    } finally {
      execFileSync('mount', ['--make-rprivate', '/']);
    }
    expect(readFileSync('/proc/self/mountinfo', 'utf8').includes(' leak ')).toBe(before.includes(' leak '));
    expect(readdirSync(join(dir, 'v'))).toEqual([]);
  });

  test('a FIFO or socket as source: nobody waits for its other end', () => {
    execFileSync('mkfifo', [join(dir, 'fifo')]);
    const socket = spawn(process.execPath, ['-e', `require('net').createServer().listen(${JSON.stringify(join(dir, 'socket'))})`]);
    try {
      execFileSync('sh', ['-c', `until [ -S ${dir}/socket ]; do sleep 0.01; done`]);
      expect(
        attempt(
          'stat -c %F /f /s',
          `--volume=f,kind=host,source=${dir}/fifo`,
          '--mount=volume=f,target=/f',
          `--volume=s,kind=host,source=${dir}/socket`,
          '--mount=volume=s,target=/s',
        ),
      ).toEqual(['fifo', 'socket']);
    } finally {
      socket.kill('SIGKILL');
    }
  });
});

describe('through the processes that hold the pod', () => {
  test('the executables of crun and of the supervisor are out of reach of /proc/self/exe', async () => {
    const crun = execFileSync('sh', ['-c', 'command -v crun'], { encoding: 'utf8' }).trim();
    const held = [crun, join(dist, 'stage1/oci/rkt-supervisor')];
    const before = held.map(hashOf);
    const pod = rkt.start([
      '--net=none',
      'busybox',
      ...sh(
        'printf "#!/proc/self/exe\\n" > /evil; chmod 755 /evil; : > /wrote; ' +
          'while :; do for p in /proc/[0-9]*; do [ $p = /proc/$$ ] || (printf pwned > $p/exe) 2>/dev/null && readlink $p/exe >> /wrote; done; done',
      ),
    ]);
    for (let i = 0; i < 5; i++) rkt.run(['enter', pod.uuid, '/evil']);
    await pod.stop('SIGKILL');
    expect(held.map(hashOf)).toEqual(before);
  });

  test('only 0, 1 and 2 are open', () => {
    // ls itself has the directory open, under a number that it has closed by the time it looks.
    const fds = attempt('exec ls -l /proc/self/fd/').filter((line) => line.includes('->'));
    expect(fds.map((line) => / (\d+) -> /.exec(line)?.[1]).filter((fd) => fd !== '3')).toEqual(['0', '1', '2']);
    expect(fds[0]).toContain('/dev/null');
    expect(
      attempt('kill -9 1; kill -TERM 1; ls /proc/1/root/ 2>/dev/null; (cat /proc/1/environ) 2>&1 | grep -c denied; /probe 101 16 1 0 0; echo alive'),
    ).toEqual(['1', EPERM, 'alive']);
  });

  test('processes of other pods are not there to be signalled', async () => {
    const other = rkt.start(['--net=none', 'busybox', '--exec=/bin/sleep', '--', '100']);
    const pid = Number(readFileSync(join(other.dir, 'pid'), 'utf8').split(' ')[0]);
    expect(attempt(`kill -9 ${pid}; kill -9 -1; ls -d /proc/${pid}; echo done`)).toEqual([
      expect.stringContaining('No such process'),
      expect.stringContaining('No such process'),
      expect.stringContaining('No such file'),
      'done',
    ]);
    expect(other.child.exitCode).toBe(null);
    expect(rkt.ok('status', other.uuid)).toContain('state=running');
    await other.stop('SIGKILL');
  });
});

describe('through the kernel', () => {
  test('a device that was made cannot be opened', () => {
    const shown = attempt('for d in "c 1 1" "b 7 0" "c 1 11" "c 10 229"; do mknod /d $d && (head -c1 /d) 2>&1; rm -f /d; done');
    expect(shown).toHaveLength(4);
    for (const line of shown) expect(line).toContain('Operation not permitted');
  });
  test('no control group of the host is there, and none can be mounted', () => {
    expect(
      attempt(
        'find / -xdev -name release_agent 2>/dev/null; ls /sys/fs; mkdir /c; mount -t cgroup -o rdma x /c; mount -t cgroup2 x /c; (echo /x > /proc/sys/kernel/core_pattern); echo end',
      ),
    ).toEqual([
      expect.stringMatching(/mount: .*(denied|not permitted)/),
      expect.stringMatching(/mount: .*(denied|not permitted)/),
      expect.stringContaining('Read-only'),
      'end',
    ]);
  });
  test('core_pattern, sysrq and other switches of the machine', () => {
    for (const path of ['kernel/core_pattern', 'kernel/modprobe', 'vm/panic_on_oom', 'kernel/hostname', 'fs/binfmt_misc/register'])
      expect(attempt(`(echo x > /proc/sys/${path}) 2>&1`)[0]).toMatch(/Read-only|nonexistent|Permission/);
    expect(attempt('(echo c > /proc/sysrq-trigger) 2>&1')[0]).toMatch(/Read-only|nonexistent/);
  });
  test('host and domain name cannot be changed', () => {
    expect(attempt('hostname evil; /probe 170 0 0; /probe 171 0 0; hostname')).toEqual([
      expect.stringContaining('not permitted'),
      EPERM,
      EPERM,
      expect.stringMatching(/^rkt-/),
    ]);
  });
  test('no keyring, no user namespace, no mount, no module, no bpf, no handle, no kexec', () => {
    // keyctl, add_key, request_key; unshare(NEWUSER), clone(NEWUSER), setns, mount, umount2, pivot_root; init_module, bpf, open_by_handle_at, kexec_load, perf_event_open, userfaultfd
    const calls = [
      '250 0',
      '248 0',
      '249 0',
      '272 0x10000000',
      '56 0x10000011',
      '308 0 0',
      '165 0 0 0 0',
      '166 0 0',
      '155 0 0',
      '175 0',
      '321 0',
      '304 0',
      '246 0',
      '298 0',
      '323 0',
    ];
    expect(attempt(calls.map((call) => `/probe ${call}`).join(';'))).toEqual(calls.map(() => EPERM));
  });
});

describe('through what is shared', () => {
  test('abstract sockets of the host are not there without its network', async () => {
    const name = `rkt-escape-${process.pid}`;
    const server = spawn(process.execPath, ['-e', `require('net').createServer().listen('\\0${name}',()=>console.log('up'))`]);
    try {
      await new Promise((done) => server.stdout.once('data', done));
      expect(execFileSync(join(bin, 'probe'), ['connect', name], { encoding: 'utf8' })).toBe('0\n');
      expect(attempt(`/probe connect ${name}; grep -c rkt-escape /proc/net/unix`)).toEqual(['111', '0']);
    } finally {
      server.kill('SIGKILL');
    }
  });
  test('hostile variables, names and arguments stay what they are', () => {
    const hostile = ['LD_PRELOAD=/evil.so', 'X=a\nb"],"mounts":[', '_LIBCONTAINER_STATEDIR=/', 'RKT_LOCK_FD=3', 'PATH=/bin:/nowhere'];
    const { stdout } = rkt.run([
      'run',
      '--net=none',
      'busybox',
      ...hostile.map((entry) => `--environment=${entry}`),
      ...sh('echo "$X"; echo $LD_PRELOAD'),
    ]);
    expect(stdout).toBe('a\nb"],"mounts":[\n/evil.so\n');
    for (const name of ['../../x', 'a/b', '-rf', 'x\ny'])
      expect(rkt.run(['run', '--net=none', 'busybox', `--name=${name}`, '--exec=/bin/true']).status).toBe(254);
    expect(rkt.run(['run', '--net=none', 'busybox', '--working-dir=../../../../../..', '--exec=/bin/pwd']).stdout).toMatch(/^\/?\n?$/);
  });
});
