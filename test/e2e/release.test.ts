/** What a pod frees by itself when it exits: addresses, ports, rules, namespace, control groups; without gc, and without waiting. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { sleepMs } from '../../src/host/clock.ts';
import { leftSince, residue, useHost } from '../rig/host.ts';
import { page, untilServed } from '../rig/http.ts';
import { Rkt } from '../rig/rkt.ts';

/** Debian's plugins leave these for ever (test/README.md); what is one pod's has a hash in its name. */
const isDebians = (line: string): boolean =>
  /cni-rel0|10\.67\.0\.0\/24|networks\/rel(\/last_reserved_ip\.0|\/lock)?$/.test(line) ||
  (/^rule .*"(table|name)":"(nat|filter)"/.test(line) && !/CNI-DN-|CNI-[0-9a-f]{20}/.test(line));
useHost();
const rkt = new Rkt();
const published = ['--net=bridge', '--port=8080:80', '--port=5353:53/udp'];
const once = (...flags: string[]): string[] => ['run', ...flags, 'busybox', '--exec=/bin/true'];

/** What stays until gc: what the pods of a network share. */
const isShared = (line: string): boolean =>
  /^(link|address|route) .*rkt0|^link rkt0|172\.16\.29\.0\/24|^rule (table|chain|set|map|rule)|\/(last_reserved_ip\.0|\.boot|lock|bridge|\.rkt-index|default)$|\.rkt-index\/bridge$/.test(
    line,
  );
const pods = (): string[] =>
  existsSync('/var/lib/cni/networks/bridge') ? readdirSync('/var/lib/cni/networks/bridge').filter((name) => /^\d/.test(name)) : [];

let before: string[] = [];
afterEach(() => {
  rkt.gc();
  rkt.gc();
});

describe('when the pod exits', () => {
  test('everything of it is gone within 500 ms; it is listed as exited, with what it had', () => {
    before = residue();
    const outcome = rkt.run(once(...published));
    expect(outcome.status, outcome.stderr).toBe(0);
    expect(leftSince(before, 500, isShared)).toEqual([]);
    const [pod] = rkt.pods();
    expect(pod?.state).toBe('exited');
    expect(pod?.networks?.[0]?.ip).toMatch(/^172\.16\.29\./);
    expect(rkt.ok('status', pod?.name ?? '')).toContain('state=exited');
    expect(existsSync(join(rkt.dataDir, 'pods/run', pod?.name ?? '', 'release.log'))).toBe(false);
  });

  test('by force too: the supervisor kills the apps and frees; one that does not answer is killed, and gc frees', async () => {
    before = residue();
    const pod = rkt.start([...published, 'busybox', '--exec=/bin/sh', '--', '-c', 'trap "" TERM; sleep 60; sleep 60']);
    const start = performance.now();
    rkt.ok('stop', '--force', pod.uuid);
    expect(performance.now() - start).toBeLessThan(2_000);
    expect((await pod.exited).status).toBe(137);
    expect(leftSince(before, 500, isShared)).toEqual([]);
    expect(rkt.ok('status', pod.uuid)).toContain('app-busybox=137');
    const frozen = rkt.start([...published, 'busybox', '--exec=/bin/sleep', '--', '60']);
    frozen.child.kill('SIGSTOP');
    rkt.ok('stop', '--force', frozen.uuid);
    expect(await frozen.exited).toMatchObject({ signal: 'SIGKILL' });
    expect(pods()).toEqual([frozen.ip]);
    rkt.gc();
  });

  test('the next pod has the same address and the same ports at once', async () => {
    const same = ['--net=bridge:IP=172.16.29.77', '--port=8080:80', '--port=127.0.0.1:5353:53/udp', 'busybox'];
    for (let round = 0; round < 3; round++) {
      const text = `round ${round}`;
      const pod = rkt.start([...same, '--exec=/bin/sh', '--', '-c', `mkdir /www; echo ${text} > /www/index.html; exec httpd -f -p 80 -h /www`]);
      expect(pod.ip).toBe('172.16.29.77');
      await untilServed('http://172.16.29.77/');
      expect(await page('http://127.0.0.1:8080/')).toBe(text);
      await pod.stop();
    }
  });

  test('a network without our plugins: they get their DEL, in reverse, with the namespace there', () => {
    const netd = join(rkt.config, 'net.d');
    mkdirSync(netd, { recursive: true });
    const ipam = { type: 'host-local', ranges: [[{ subnet: '10.67.0.0/24' }]], routes: [{ dst: '0.0.0.0/0' }] };
    const plugins = [
      { type: 'bridge', bridge: 'cni-rel0', isGateway: true, ipMasq: true, ipam },
      { type: 'portmap', capabilities: { portMappings: true } },
    ];
    for (const type of ['bridge', 'portmap', 'host-local']) copyFileSync(`/usr/lib/cni/${type}`, join(netd, type));
    writeFileSync(join(netd, '10-rel.conflist'), JSON.stringify({ cniVersion: '1.0.0', name: 'rel', plugins }));
    try {
      before = residue();
      const outcome = rkt.run(once('--net=rel', '--port=8081:80'));
      expect(outcome.status, outcome.stderr).toBe(0);
      expect(leftSince(before, 3_000, isDebians)).toEqual([]);
    } finally {
      rkt.gc();
      for (const file of ['bridge', 'portmap', 'host-local', '10-rel.conflist']) rmSync(join(netd, file));
      rmSync('/var/lib/cni/networks/rel', { recursive: true, force: true });
      execFileSync('ip', ['link', 'del', 'cni-rel0']);
      execFileSync('nft', ['flush', 'ruleset']);
    }
  });

  test('rules in a FORWARD chain of iptables that drops by default', () => {
    const forward = (): string => execFileSync('iptables-nft', ['-S', 'FORWARD'], { encoding: 'utf8' });
    execFileSync('iptables-nft', ['-P', 'FORWARD', 'DROP']);
    try {
      const look = ['--exec=/bin/sleep', '--', '0.5'];
      const pod = rkt.start([...published, 'busybox', ...look]);
      expect(forward()).toContain(pod.ip);
      const deadline = performance.now() + 4_000;
      while (forward().includes('ACCEPT') && performance.now() < deadline) sleepMs(20);
      expect(forward().trim()).toBe('-P FORWARD DROP');
    } finally {
      execFileSync('nft', ['delete', 'table', 'ip', 'filter']);
    }
  });

  test('two apps, an app that fails, a pod that is stopped', async () => {
    before = residue();
    expect(rkt.run(['run', ...published, 'busybox', '--name=a', '--exec=/bin/true', '---', 'busybox', '--name=b', '--exec=/bin/false']).status).toBe(
      1,
    );
    expect(leftSince(before, 500, isShared)).toEqual([]);
    const pod = rkt.start([...published, 'busybox', '--exec=/bin/sleep', '--', '100']);
    expect(pods()).toHaveLength(1);
    rkt.ok('stop', pod.uuid);
    await pod.exited;
    expect(leftSince(before, 500, isShared)).toEqual([]);
  });

  test('an app that cannot be started', () => {
    before = residue();
    expect(rkt.run(['run', ...published, 'busybox', '--exec=/none']).status).toBe(254);
    expect(leftSince(before, 500, isShared)).toEqual([]);
  });
});

test('below systemd it is done before the exit, for what comes after is ended', () => {
  before = residue();
  const outcome = rkt.run(once(...published), { env: { INVOCATION_ID: '0123456789abcdef0123456789abcdef' } });
  expect(outcome.status, outcome.stderr).toBe(0);
  expect(pods()).toEqual([]);
  expect(readdirSync('/run/netns')).toEqual([]);
  expect(leftSince(before, 500, isShared)).toEqual([]);
});

test('--net-release=gc keeps all of it until gc', () => {
  before = residue();
  expect(rkt.run(once('--net-release=gc', ...published)).status).toBe(0);
  sleepMs(300);
  expect(pods()).toHaveLength(1);
  expect(readdirSync('/run/netns')).toHaveLength(1);
  expect(residue().some((line) => line.startsWith('rule element of rkt ports4'))).toBe(true);
  const second = rkt.run(once(...published));
  expect(second.stderr).toMatch(/host port 8080\/tcp is published by pod/);
  rkt.gc();
  expect(leftSince(before, 500, isShared)).toEqual([]);
});

test('a supervisor that is killed releases nothing; gc does', async () => {
  before = residue();
  const pod = rkt.start([...published, 'busybox', '--exec=/bin/sleep', '--', '100']);
  await pod.stop('SIGKILL');
  sleepMs(300);
  expect(pods()).toHaveLength(1);
  rkt.gc();
  expect(leftSince(before, 500, isShared)).toEqual([]);
});

describe('a plugin whose DEL takes its time', () => {
  const log = (): string => join(rkt.config, 'calls.log');
  beforeAll(() => {
    const netd = join(rkt.config, 'net.d');
    mkdirSync(netd, { recursive: true });
    copyFileSync(resolve(import.meta.dirname, '../fixtures/plugins/behave'), join(netd, 'behave'));
    const text = readFileSync(join(netd, 'behave'), 'utf8');
    writeFileSync(
      join(netd, 'behave'),
      text.replace('case "$kind" in\n  error)', 'case "$kind" in\n  late) sleep 2; echo late >> "$log"; echo gone >&2 ;;\n  error)'),
      { mode: 0o755 },
    );
    writeFileSync(
      join(netd, '10-late.conflist'),
      JSON.stringify({ cniVersion: '1.0.0', name: 'late', plugins: [{ type: 'behave', add: 'ok', del: 'late', log: log() }] }),
    );
  });

  test('holds up neither the exit nor who reads the output; gc and rm wait for it', () => {
    for (const clean of [['gc', '--grace-period=0'], ['rm']]) {
      rmSync(log(), { force: true });
      const began = performance.now();
      const outcome = rkt.run(['run', '--net=late', 'busybox', '--exec=/bin/echo', '--', 'hi']);
      expect([outcome.status, outcome.stdout.trim()], outcome.stderr).toEqual([0, 'hi']);
      expect(performance.now() - began).toBeLessThan(1_900);
      const [pod] = rkt.pods();
      expect(pod?.state).toBe('exited');
      rkt.ok(...clean, ...(clean[0] === 'rm' ? [pod?.name ?? ''] : []));
      // The release's DEL ended before gc's began.
      expect(
        readFileSync(log(), 'utf8')
          .trim()
          .split('\n')
          .map((line) => line.split(' ')[0]),
      ).toEqual(['ADD', 'DEL', 'late', 'DEL', 'late']);
      expect(rkt.podDirectories()).toEqual([]);
    }
  });

  test('what it says is kept', () => {
    expect(rkt.run(once('--net=late')).status).toBe(0);
    const dir = join(rkt.dataDir, rkt.podDirectories().map((path) => `pods/${path}`)[0] ?? '');
    sleepMs(3_000);
    expect(readFileSync(join(dir, 'release.log'), 'utf8')).toContain('gone');
  });
});
