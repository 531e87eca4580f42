import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { readHostRoutes } from '../../../src/net/facts/routes.ts';
import { findExecutables, pluginSearchPath } from '../../../src/net/facts/plugins.ts';
import { useHost } from '../../rig/host.ts';

useHost();
const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });

describe('routes', () => {
  afterEach(() => {
    ip('link', 'del', 'br-t');
    for (const route of ['blackhole 10.99.0.0/16', 'unreachable fd99::/48']) execFileSync('sh', ['-c', `ip route del ${route} 2>/dev/null || true`]);
  });

  test('are those that ip shows, and addresses come with their device', () => {
    ip('link', 'add', 'br-t', 'type', 'bridge');
    ip('addr', 'add', '10.50.0.1/24', 'dev', 'br-t');
    ip('addr', 'add', '10.60.0.7/32', 'dev', 'br-t');
    ip('addr', 'add', 'fd50::1/64', 'dev', 'br-t', 'nodad');
    ip('link', 'set', 'br-t', 'up');
    ip('route', 'add', '10.70.0.0/16', 'via', '10.50.0.254');
    ip('route', 'add', '10.71.1.1/32', 'dev', 'br-t');
    ip('route', 'add', 'blackhole', '10.99.0.0/16');
    ip('-6', 'route', 'add', 'unreachable', 'fd99::/48');
    ip('-6', 'route', 'add', 'fd70::/48', 'via', 'fd50::fe');
    const routes = readHostRoutes();
    const oracle = ['-4', '-6'].flatMap((family) =>
      (JSON.parse(ip(family, '-j', 'route')) as { type?: string; dst: string; dev?: string; gateway?: string }[])
        .filter(({ dst }) => !dst.startsWith('fe80') && !dst.startsWith('ff'))
        .map(
          ({ type, dst, dev, gateway }) =>
            `${type === undefined || type === 'unicast' ? 'route' : 'reject'} ${dst.includes('/') ? dst : `${dst}/${dst.includes(':') ? 128 : 32}`} ${type === undefined ? (dev ?? '') : ''} ${gateway ?? ''}`,
        ),
    );
    expect(oracle.length).toBeGreaterThanOrEqual(7);
    expect(
      routes
        .filter(({ kind }) => kind !== 'address')
        .map(({ kind, destination, device, gateway }) => `${kind} ${destination} ${device} ${gateway ?? ''}`)
        .sort(),
    ).toEqual(oracle.sort());
    expect(routes.filter(({ kind, device }) => kind === 'address' && device === 'lo').map(({ destination }) => destination)).toEqual([
      '127.0.0.1/8',
      '::1/128',
    ]);
  });

  test('a bridge without ports (no carrier) is seen by its route', () => {
    ip('link', 'add', 'br-t', 'type', 'bridge');
    ip('addr', 'add', '10.50.0.1/24', 'dev', 'br-t');
    ip('link', 'set', 'br-t', 'up');
    expect(readHostRoutes()).toContainEqual({ destination: '10.50.0.0/24', device: 'br-t', kind: 'route' });
  });
});

test('plugins: the first regular file wins, links are followed, directories and missing directories are passed over', () => {
  const root = mkdtempSync(join(tmpdir(), 'rkt-plugins-'));
  try {
    const [a, b] = [join(root, 'a'), join(root, 'b')];
    mkdirSync(a);
    mkdirSync(b);
    mkdirSync(join(a, 'bridge'));
    for (const path of [join(b, 'bridge'), join(a, 'ptp'), join(b, 'ptp')]) writeFileSync(path, '');
    chmodSync(join(a, 'ptp'), 0o644);
    symlinkSync(join(b, 'bridge'), join(a, 'linked'));
    symlinkSync('/nonexistent', join(a, 'dangling'));
    expect(findExecutables(['bridge', 'ptp', 'linked', 'dangling', 'none', 'bridge'], [join(root, 'missing'), a, b])).toEqual({
      bridge: join(b, 'bridge'),
      ptp: join(a, 'ptp'),
      linked: join(a, 'linked'),
    });
  } finally {
    rmSync(root, { recursive: true });
  }
});

test('the search path begins with the admin and names no directory twice', () => {
  expect(pluginSearchPath('/etc/rkt')).toEqual(['/etc/rkt/net.d', '/usr/lib/rkt/plugins/net', '/opt/cni/bin', '/usr/lib/cni']);
  expect(pluginSearchPath('/c', ['/x', '/opt/cni/bin'])).toEqual(['/c/net.d', '/x', '/opt/cni/bin', '/usr/lib/rkt/plugins/net', '/usr/lib/cni']);
});
