/** A second process in a running app, and images of several layers, mounted and copied. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { lsetxattr } from '../../../src/host/linux.ts';
import { useHost } from '../../rig/host.ts';
import { PodRig } from './pod-rig.ts';

useHost();
let rig: PodRig;
beforeAll(() => {
  rig = new PodRig();
});
afterEach(() => rig.cleanUp());
afterAll(() => rig.dispose());

describe('enter', () => {
  test('is where the app is, as root with no more than the app may have, and gives back the command’s status', async () => {
    const pod = await rig
      .start({
        hostname: 'here',
        apps: [
          {
            run: 'echo mine > /dev/shm/f; exec sleep 1000',
            spec: { user: 'ann', environment: [{ name: 'X', value: 'y' }], workingDirectory: '/home/ann' },
          },
        ],
      })
      .ready();
    const entered = rig.enter(
      pod,
      'app',
      '/bin/sh',
      '-c',
      'hostname; id -u; cat /dev/shm/f; pwd; echo $X $TERM $AC_APP_NAME; grep -E "CapEff|CapBnd|Seccomp:|NoNew" /proc/self/status; pidof sleep | wc -w; ls /proc/self/fd | wc -l; exit 9',
    );
    expect(entered).toMatchObject({ status: 9, stderr: '' });
    expect(entered.stdout.split('\n')).toEqual([
      'here',
      '0',
      'mine',
      '/',
      'y linux app',
      'CapEff:\t00000000a80425fb',
      'CapBnd:\t00000000a80425fb',
      'NoNewPrivs:\t0',
      'Seccomp:\t2',
      '1',
      '4',
      '',
    ]);
    expect(rig.enter(pod, 'app', '/bin/cat', '/proc/self/cgroup').stdout).toContain(`/rkt/${pod.id}/app`);
    pod.child.kill('SIGTERM');
    expect((await pod.ended).code).toBe(143);
  });
  test('a command that is not there; an app that is not there; a pod that has ended', async () => {
    const pod = await rig.start({ apps: [{ run: ['/bin/sleep', '1000'] }] }).ready();
    expect(rig.enter(pod, 'app', '/no/such')).toMatchObject({ stderr: expect.stringContaining('/no/such') });
    expect(rig.enter(pod, 'app', '/no/such').status).not.toBe(0);
    expect(rig.enter(pod, 'other', '/bin/true')).toMatchObject({ status: 254, stderr: expect.stringContaining('has no app other') });
    pod.child.kill('SIGTERM');
    await pod.ended;
    expect(rig.enter(pod, 'app', '/bin/true')).toMatchObject({ status: 254, stderr: expect.stringContaining('is not running') });
  });
  test('the pod’s end ends what was entered', async () => {
    const pod = await rig.start({ apps: [{ run: ['/bin/sleep', '1000'] }] }).ready();
    const stopper = spawnSync('sh', ['-c', `(sleep 0.3; kill -TERM ${pod.pid}) >/dev/null 2>&1 &`]);
    expect(stopper.status).toBe(0);
    expect(rig.enter(pod, 'app', '/bin/sleep', '1001').status).toBe(137);
    await pod.ended;
  });
});

describe('a terminal', () => {
  /** script(1) takes one string for its shell. */
  const inScript = `q=; for a; do q="$q '$(printf %s "$a" | sed "s/'/'\\\\''/g")'"; done; exec script -qec "$q" /dev/null`;
  test.runIf(spawnSync('script', ['--version']).status === 0)(
    'an interactive app whose stdin is one has one of its own, and its status counts',
    async () => {
      const pod = rig.start({
        interactive: true,
        through: ['sh', '-c', inScript, 'sh'],
        stdin: 'hello\n',
        apps: [{ run: 'tty; echo $TERM; read line; echo "got $line"; exit 6' }],
      });
      const ended = await pod.ended;
      // The terminal's echo of what is typed comes whenever it comes.
      expect(ended.stdout.replaceAll('\r', '').replaceAll(/^hello\n/gm, '')).toBe('/dev/pts/0\nxterm\ngot hello\n');
      expect(ended.code).toBe(6);
      expect(pod.read('stage1/rootfs/rkt/status/app')).toBe('6');
    },
  );
});

describe('images of several layers', () => {
  let layers: string[];
  beforeAll(() => {
    const middle = join(rig.root, 'layers/mid:d,l\\e');
    const top = join(rig.root, 'layers/top');
    for (const path of ['etc/conf', 'data/old', 'opt']) mkdirSync(join(middle, path), { recursive: true });
    for (const path of ['etc/conf/a', 'etc/conf/b', 'data/old/x', 'opt/file']) writeFileSync(join(middle, path), path);
    // A name that is no UTF-8, hidden above, and a directory of such a name.
    const gone = Buffer.concat([Buffer.from(`${middle}/opt/`), Buffer.from([0xff, 0xe9])]);
    writeFileSync(gone, '');
    execFileSync('ln', [join(middle, 'etc/conf/a'), join(middle, 'etc/conf/link')]);
    execFileSync('mknod', [join(middle, 'etc/group'), 'c', '0', '0']);
    for (const path of ['etc', 'data', 'opt/file']) mkdirSync(join(top, path), { recursive: true });
    writeFileSync(join(top, 'data/new'), 'new');
    lsetxattr(join(top, 'data'), 'trusted.overlay.opaque', Buffer.from('y'));
    mkdirSync(join(top, 'etc/conf'));
    execFileSync('bash', [
      '-c',
      'mkdir -p "$1/opt" && mknod "$1/opt/"$\'\\xff\\xe9\' c 0 0 && mkdir "$1/opt/"$\'d\\xff\' && echo x > "$1/opt/"$\'d\\xff/in\'',
      'bash',
      top,
    ]);
    execFileSync('mknod', [join(top, 'etc/conf/b'), 'c', '0', '0']);
    writeFileSync(join(top, 'etc/conf/a'), 'changed');
    execFileSync('chown', ['12:34', join(top, 'data/new')]);
    execFileSync('chmod', ['4750', join(top, 'data/new')]);
    layers = [top, middle, ...rig.layers];
  });
  const look = 'cd /; find etc/conf data opt etc/group 2>/dev/null | sort; cat etc/conf/a etc/conf/link; echo; stat -c "%u %g %a" data/new';
  const seen = [
    'data',
    'data/new',
    'etc/conf',
    'etc/conf/a',
    'etc/conf/link',
    'opt',
    'opt/d\ufffd',
    'opt/d\ufffd/in',
    'opt/file',
    'changedetc/conf/a',
    '12 34 4750',
    '',
  ];
  test.each([
    ['mounted', true],
    ['copied', false],
  ])('%s', async (_, overlay) => {
    const ended = await rig.run({ overlay, apps: [{ run: look, layers }] });
    expect(ended.stderr).toBe('');
    expect(ended.stdout.split('\n')).toEqual(seen);
  });
  test('two apps of one image write to roots of their own', async () => {
    for (const overlay of [true, false]) {
      const ended = await rig.run({
        overlay,
        apps: [
          { run: 'echo 1 > /a; while [ ! -e /dev/shm/done ]; do sleep 0.02; done; ls /b 2>&1; exit 0' },
          { run: 'echo 2 > /b; ls /a 2>&1; touch /dev/shm/done' },
        ],
      });
      expect(ended.stdout.split('\n').sort()).toEqual(['', 'ls: /a: No such file or directory', 'ls: /b: No such file or directory']);
    }
  });
  test('a pod directory with the separators of mount options in its name', async () => {
    const dir = join(rig.root, 'pods/a:b,c\\d e');
    const ended = await rig.run({ dir, apps: [{ run: 'echo fine' }] });
    expect(ended).toMatchObject({ code: 0, stdout: 'fine\n', stderr: '' });
    expect(readFileSync(join(dir, 'stage1/rootfs/rkt/status/app'), 'utf8')).toBe('0');
  });
});
