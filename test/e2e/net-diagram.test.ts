/** The picture of real pods. What it looks like is in test/golden/diagram. */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { useHost } from '../rig/host.ts';
import { Rkt } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();
const sh = (command: string): string => execFileSync('sh', ['-c', command], { encoding: 'utf8' });

test('shows what there is; marks forwarding, rules and a stray address, and nothing else, until they are repaired', async () => {
  const pod = rkt.start(['--net=bridge', '--port=8080:80', 'busybox', '--name=web', '--exec=/bin/sleep', '--', '60']);
  const fine = rkt.ok('net', 'diagram');
  expect(fine).toContain(`pod ${pod.uuid.slice(0, 8)}`);
  for (const text of ['bridge rkt0', '172.16.29.1/24', `eth0 ${pod.ip}/24`, '8080 → 80/tcp', 'web', 'IPv4 forwarding on'])
    expect(fine).toContain(text);
  expect(fine).not.toContain('✗');

  sh('sysctl -qw net.ipv4.ip_forward=0; nft flush ruleset');
  sh(`ip -n rkt-${pod.uuid} addr flush dev eth0; ip -n rkt-${pod.uuid} addr add 10.99.0.9/24 dev eth0`);
  const broken = rkt.ok('net', 'diagram');
  for (const text of [
    '✗ IPv4 forwarding is off',
    "✗ 10.99.0.9 is not in the bridge's subnet 172.16.29.0/24",
    'rules are missing',
    'cure: rkt net repair',
  ]) {
    expect(broken).toContain(text);
  }
  const file = join(rkt.config, 'net.svg');
  expect(rkt.ok('net', 'diagram', '-o', file)).toBe('');
  expect(readFileSync(file, 'utf8')).toMatch(/^<svg [^]*✗ IPv4 forwarding is off[^]*<\/svg>\n$/);
  rmSync(file);

  rkt.ok('net', 'repair');
  expect(rkt.ok('net', 'diagram')).not.toMatch(/forwarding is off|rules are missing|missing: /);
  sh(`ip -n rkt-${pod.uuid} addr del 10.99.0.9/24 dev eth0`);
  expect(rkt.ok('net', 'diagram')).not.toContain('✗');
  await pod.stop('SIGKILL');
  expect(rkt.ok('net', 'diagram')).toContain('(exited)');
  rkt.gc();
  expect(rkt.ok('net', 'diagram')).not.toContain('pod ');
});

test('namespaces that net add attached are there too, until net del; what is missing is cured by hand', () => {
  sh('ip netns add tool');
  try {
    rkt.ok('net', 'add', 'bridge', '/run/netns/tool');
    expect(rkt.ok('net', 'diagram')).toMatch(/network bridge[^]*namespace \/run\/netns\/tool ─[^]*eth0 172\.16\.29\.\d+\/24/);
    expect(rkt.ok('net', 'diagram')).not.toContain('✗');
    sh('nft flush ruleset');
    expect(rkt.ok('net', 'diagram')).toMatch(
      /namespace \/run\/netns\/tool, eth0 on "bridge": missing[^]*cure: rkt net del bridge \/run\/netns\/tool, then rkt net add/,
    );
    sh('ip netns del tool');
    expect(rkt.ok('net', 'diagram')).toContain('namespace /run/netns/tool (gone)');
  } finally {
    sh('ip netns del tool 2>/dev/null || true');
    rkt.ok('net', 'del', 'bridge', '/run/netns/tool');
  }
  expect(rkt.ok('net', 'diagram')).not.toContain('namespace');
  rkt.gc();
  rkt.gc();
});
