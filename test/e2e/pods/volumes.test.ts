/** Volumes as the apps of real pods see them. @see rkt.md 2.8 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { useHost } from '../../rig/host.ts';
import { Rkt, dist } from '../../rig/rkt.ts';

useHost();
const rkt = new Rkt();
let dir = '';
beforeEach(() => {
  dir = mkdtempSync('/tmp/rkt-volume-');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const sh = (script: string): string[] => ['--exec=/bin/sh', '--', '-c', script];
const lines = (args: readonly string[]): string[] =>
  rkt
    .ok('run', '--net=none', ...args)
    .trimEnd()
    .split('\n');
const refusal = (...args: string[]): string => {
  const { status, stderr } = rkt.run(['run', '--net=none', ...args]);
  expect(status, stderr).toBe(254);
  return stderr;
};

describe('a volume of the host', () => {
  test('is written to and read from; read-only it is not; a file will do; missing parents are made', () => {
    mkdirSync(join(dir, 'data'));
    writeFileSync(join(dir, 'file'), 'one file\n');
    const shown = lines([
      `--volume=data,kind=host,source=${dir}/data`,
      `--volume=ro,kind=host,source=${dir}/data,readOnly=true`,
      `--volume=file,kind=host,source=${dir}/file,readOnly=true`,
      'busybox',
      '--mount=volume=data,target=/srv/deep/data',
      '--mount=volume=ro,target=ro',
      '--mount=volume=file,target=/etc/one.conf',
      ...sh(
        'echo hello > /srv/deep/data/x; cat /ro/x; (echo y > /ro/y) 2>&1; cat /etc/one.conf; stat -c %a /srv/deep; (echo z > /etc/one.conf) 2>&1; :',
      ),
    ]);
    expect(shown).toEqual(['hello', expect.stringMatching(/\/ro\/y: Read-only/), 'one file', '755', expect.stringMatching(/one.conf: Read-only/)]);
    expect(readFileSync(join(dir, 'data/x'), 'utf8')).toBe('hello\n');
  });

  test('comes with what is mounted below it, read-only too, unless recursive=false', () => {
    mkdirSync(join(dir, 'below'));
    execFileSync('mount', ['-t', 'tmpfs', 'below', join(dir, 'below')]);
    try {
      writeFileSync(join(dir, 'below/x'), '');
      const shown = lines([
        `--volume=all,kind=host,source=${dir}`,
        `--volume=ro,kind=host,source=${dir},readOnly=true`,
        `--volume=flat,kind=host,source=${dir},recursive=false`,
        ...['all', 'ro', 'flat'].map((name) => `--mount=volume=${name},target=/${name}`),
        'busybox',
        ...sh('ls /all/below /ro/below /flat/below; (touch /ro/below/y || touch /ro/y) 2>&1; touch /all/below/z && echo written'),
      ]);
      expect(shown).toEqual([
        '/all/below:',
        'x',
        '',
        '/flat/below:',
        '',
        '/ro/below:',
        'x',
        expect.stringMatching(/\/ro\/below\/y: Read-only/),
        expect.stringMatching(/\/ro\/y: Read-only/),
        'written',
      ]);
    } finally {
      execFileSync('umount', [join(dir, 'below')]);
    }
  });

  test('may be a device, used as it is mounted; no other way to it', () => {
    // On most machines these are devices of drivers; open(2) of one without a driver says so, and that is past the policy.
    for (const [name, minor] of [
      ['ro', 229],
      ['rw', 237],
    ] as const)
      execFileSync('mknod', ['-m', '666', join(dir, name), 'c', '10', String(minor)]);
    const can = 'can() { (eval "true $1") 2>&1 | grep -q "Operation not permitted" && echo no || echo yes; };';
    const shown = lines([
      `--volume=ro,kind=host,source=${dir}/ro,readOnly=true`,
      `--volume=rw,kind=host,source=${dir}/rw`,
      'busybox',
      '--mount=volume=ro,target=/srv/ro',
      '--mount=volume=rw,target=/dev/mine/rw',
      ...sh(
        `${can} can "< /srv/ro"; can "> /srv/ro"; can "< /dev/mine/rw"; can "> /dev/mine/rw"; mknod /k c 10 235; can "< /k"; mknod /w c 10 229; can "> /w"`,
      ),
    ]);
    expect(shown).toEqual(['yes', 'no', 'yes', 'yes', 'no', 'no']);
  });

  test('at /dev/shm, /etc/hosts and below /sys takes the place of ours; in one at /etc nothing is made', () => {
    mkdirSync(join(dir, 'etc'));
    writeFileSync(join(dir, 'etc/hostname'), '');
    writeFileSync(join(dir, 'mine'), 'mine\n');
    const one = `--volume=mine,kind=host,source=${dir}/mine`;
    expect(
      lines([
        one,
        '--volume=e,kind=empty',
        'busybox',
        '--mount=volume=mine,target=/etc/hosts',
        '--mount=volume=e,target=/sys/mine',
        '--mount=volume=e,target=/dev/shm',
        ...sh('cat /etc/hosts; ls /sys; touch /dev/shm/x; ls /sys/mine'),
      ]),
    ).toEqual(['mine', 'mine', 'x']);
    expect(
      lines([`--volume=etc,kind=host,source=${dir}/etc`, 'busybox', '--mount=volume=etc,target=/etc', ...sh('ls /etc; grep -c rkt- /etc/hostname')]),
    ).toEqual(['hostname', '1']);
    expect([readdirSync(join(dir, 'etc')), readFileSync(join(dir, 'etc/hostname'), 'utf8')]).toEqual([['hostname'], '']);
  });
});

describe('a volume of the pod', () => {
  test('empty: mode and owner, shared by apps, in a read-only root too; goes with the pod', () => {
    const outcome = rkt.run([
      'run',
      '--net=none',
      '--volume=shared,kind=empty,mode=1770,uid=33,gid=100',
      '--mount=volume=shared,target=/shared',
      'busybox',
      '--name=a',
      '--readonly-rootfs=true',
      ...sh('stat -c "%a %u %g" /shared; echo from-a > /shared/x; (echo y > /y) 2>&1; :'),
      '---',
      'busybox',
      '--name=b',
      ...sh('until [ -s /shared/x ]; do sleep 0.01; done; cat /shared/x'),
    ]);
    expect(outcome.stdout.trim().split('\n').sort()).toEqual([expect.stringMatching(/\/y: Read-only/), '1770 33 100', 'from-a']);
    const [pod] = JSON.parse(rkt.ok('list', '--format=json')) as { name: string; apps: { mounts: object[] }[] }[];
    const path = join(rkt.dataDir, 'pods/run', pod?.name ?? '', 'sharedVolumes/shared');
    expect(pod?.apps[0]?.mounts).toEqual([{ name: 'shared', container_path: '/shared', host_path: path, read_only: false }]);
    expect(readFileSync(join(path, 'x'), 'utf8')).toBe('from-a\n');
    rkt.gc();
    expect(existsSync(path)).toBe(false);
  });

  test('tmpfs: of its size; image: another image’s tree, read-only, kept from image gc', () => {
    layout(join(dir, 'image'), ['/x']);
    const shown = lines([
      '--volume=t,kind=tmpfs,size=1m,mode=0700',
      `--volume=other,kind=image,image=oci:${dir}/image`,
      'busybox',
      '--mount=volume=t,target=/t',
      '--mount=volume=other,target=/other',
      ...sh(
        '(dd if=/dev/zero of=/t/x bs=1M count=2 2>&1 | grep -o "No space.*"); stat -c "%a %T" -f /t | cut -d" " -f2; ls /other/bin/sh; (touch /other/x) 2>&1; :',
      ),
    ]);
    expect(shown).toEqual(['No space left on device', 'tmpfs', '/other/bin/sh', expect.stringMatching(/\/other\/x: Read-only/)]);
    const stored = (): number =>
      rkt
        .ok('image', 'list', '--no-legend')
        .split('\n')
        .filter((line) => line !== '').length;
    rkt.ok('image', 'gc', '--grace-period=0s');
    expect(stored()).toBe(2);
    rkt.gc();
    rkt.ok('image', 'gc', '--grace-period=0s');
    expect(stored()).toBe(0);
  });
});

describe('mount points of the image', () => {
  test('Docker’s begin as what the image has there, once; a volume of that name takes their place', () => {
    const image = join(dir, 'image');
    layout(image, ['/var/www', '/var/tmp', '/var/spool']);
    mkdirSync(join(dir, 'www'));
    const script = 'stat -c %a /var/tmp /var/www; ls /var/spool; touch /var/www/new; grep -c " /var/[wts]" /proc/self/mountinfo';
    const outcome = rkt.run(['run', '--net=none', `oci:${image}`, '--name=web', ...sh(script)]);
    expect([outcome.status, outcome.stdout, outcome.stderr]).toEqual([0, '1777\n755\ncron\n3\n', '']);
    expect(lines([`--volume=volume-var-www,kind=host,source=${dir}/www`, `oci:${image}`, ...sh('touch /var/www/host; ls /var/www')])).toEqual([
      'host',
    ]);
    expect(readdirSync(join(dir, 'www'))).toEqual(['host']);
  });
});

describe('what is refused, before anything is made', () => {
  test('every fault at once', () => {
    const text = refusal(
      '--volume=a,kind=nfs',
      '--volume=b,kind=host,source=rel',
      '--volume=b,kind=empty,mode=9',
      'busybox',
      '--mount=volume=x,target=/x',
      '--mount=volume=b,target=/proc/sys',
    );
    for (const part of [
      'kind "nfs" is not one of',
      '"rel" is not an absolute path',
      'mode is octal',
      'duplicate volume name "b"',
      'volume "x" not found',
      '/proc/sys is in /proc',
    ])
      expect(text).toContain(part);
    expect(existsSync(join(rkt.dataDir, 'pods/run')) ? rkt.podDirectories() : []).toEqual([]);
  });
  test('a source that is not there; a file for a directory', () => {
    expect(refusal(`--volume=a,kind=host,source=${dir}/none`, 'busybox', '--mount=volume=a,target=/a')).toContain(
      `Failed to stat ${dir}/none: No such file or directory`,
    );
    writeFileSync(join(dir, 'f'), '');
    expect(refusal(`--volume=a,kind=host,source=${dir}/f`, 'busybox', '--mount=volume=a,target=/etc')).toContain(
      '/etc is a directory in the image, the volume is a file',
    );
    symlinkSync('/nowhere', join(dir, 'l'));
    expect(refusal(`--volume=a,kind=host,source=${dir}/l`, 'busybox', '--mount=volume=a,target=/a')).toContain('Failed to stat');
  });
});

/** The embedded image with VOLUMEs. */
function layout(directory: string, volumes: readonly string[]): void {
  execFileSync('cp', ['-a', join(dist, 'images/busybox'), directory]);
  const blob = (digest: string): string => join(directory, 'blobs', digest.replace(':', '/'));
  const read = (path: string): Record<string, never> => JSON.parse(readFileSync(path, 'utf8')) as Record<string, never>;
  const put = (value: object): { digest: string; size: number } => {
    const bytes = Buffer.from(JSON.stringify(value));
    const hex = execFileSync('sha256sum', { input: bytes, encoding: 'utf8' }).slice(0, 64);
    writeFileSync(blob(`sha256:${hex}`), bytes);
    return { digest: `sha256:${hex}`, size: bytes.length };
  };
  const index = read(join(directory, 'index.json')) as unknown as { manifests: { digest: string }[] };
  const [entry] = index.manifests;
  const manifest = read(blob(entry?.digest ?? '')) as unknown as { config: { digest: string } };
  const config = read(blob(manifest.config.digest)) as unknown as { config: object };
  const changed = { ...config, config: { ...config.config, Volumes: Object.fromEntries(volumes.map((path) => [path, {}])) } };
  const written = put({ ...manifest, config: { ...manifest.config, ...put(changed) } });
  writeFileSync(join(directory, 'index.json'), JSON.stringify({ ...index, manifests: [{ ...entry, ...written }] }));
}
