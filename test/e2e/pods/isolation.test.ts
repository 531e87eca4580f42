/** What an app of a real pod can see, from inside. @see rkt.md 2.7, 2.11 */
import { describe, expect, test } from 'vitest';
import { useHost } from '../../rig/host.ts';
import { Rkt } from '../../rig/rkt.ts';

useHost();
const rkt = new Rkt();
const lines = (script: string, ...flags: string[]): string[] =>
  rkt
    .ok('run', '--net=none', 'busybox', ...flags, '--exec=/bin/sh', '--', '-c', `exec 2>&1; ${script}; :`)
    .trimEnd()
    .split('\n');

describe('from inside', () => {
  test('fourteen capabilities, a filter, and no new privileges for who is not root', () => {
    expect(lines('grep -E "^(CapEff|CapBnd|NoNewPrivs|Seccomp):" /proc/self/status')).toEqual([
      'CapEff:\t00000000a80425fb',
      'CapBnd:\t00000000a80425fb',
      'NoNewPrivs:\t0',
      'Seccomp:\t2',
    ]);
    expect(lines('grep -E "^(CapEff|NoNewPrivs|Seccomp):" /proc/self/status; unshare -m true', '--user=1000', '--group=1000')).toEqual([
      'CapEff:\t0000000000000000',
      'NoNewPrivs:\t1',
      'Seccomp:\t2',
      expect.stringContaining('not permitted'),
    ]);
  });

  test('devices: the standard ones, usable, in a /dev of its own', () => {
    const [first, ...rest] = lines(
      'echo $(find /dev | sort); stat -c "%a %t:%T" /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/net/tun; readlink /dev/log; readlink /dev/ptmx; ls -d /run/systemd/journal; readlink /etc/mtab; stat -c %a /tmp /dev/shm',
    );
    expect(first).toBe(
      '/dev /dev/core /dev/fd /dev/full /dev/log /dev/mqueue /dev/net /dev/net/tun /dev/null /dev/ptmx /dev/pts /dev/pts/ptmx /dev/random /dev/shm /dev/stderr /dev/stdin /dev/stdout /dev/tty /dev/urandom /dev/zero',
    );
    expect(rest).toEqual([
      ...['1:3', '1:5', '1:7', '1:8', '1:9', '5:0', 'a:c8'].map((device) => `666 ${device}`),
      '/run/systemd/journal/dev-log',
      'pts/ptmx',
      '/run/systemd/journal',
      '../proc/self/mounts',
      '1777',
      '1777',
    ]);
  });

  test('nothing of the host: mounts, processes, links', () => {
    const [mounts = '', processes, links] = lines(
      'echo $(cut -d" " -f5 /proc/self/mountinfo | grep -vE "^/(proc|sys)/" | sort); ls -d /proc/[0-9]* | wc -l; echo $(ls /sys/class/net)',
    );
    expect(mounts).toBe(
      '/ /dev /dev/mqueue /dev/pts /dev/shm /etc/hostname /etc/hosts /proc /sys'.replace(
        ' /etc/hosts',
        mounts.includes('/etc/hosts') ? ' /etc/hosts' : '',
      ),
    );
    expect(Number(processes)).toBeLessThan(6);
    expect(links).toBe('lo');
  });

  test('masked and read-only paths; --insecure-options=paths lifts them', () => {
    const script =
      'for i in keys timer_list kallsyms; do head -c 8 /proc/$i | wc -c; done; ls /sys/firmware /sys/fs | grep -vc :; touch /proc/sys/kernel/domainname && echo opened';
    const masked = lines(script);
    expect(masked.slice(0, 3)).toEqual(['0', '0', '0']);
    expect(masked.at(-1)).toContain('Read-only');
    expect(rkt.run(['--insecure-options=paths', 'run', '--net=none', 'busybox', '--exec=/bin/sh', '--', '-c', script]).stdout).toContain('opened');
  });

  test('a read-only root: nothing is written, but where volumes and the system are', () => {
    expect(
      lines('for i in /x /etc/x /etc/hostname; do (echo x > $i); done; echo x > /dev/shm/x && cat /dev/shm/x', '--readonly-rootfs=true'),
    ).toEqual([
      expect.stringContaining('/x: Read-only'),
      expect.stringContaining('/etc/x: Read-only'),
      expect.stringContaining('/etc/hostname: Read-only'),
      'x',
    ]);
  });
});
