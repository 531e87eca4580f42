/** `rkt net` in the place of cnitool. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { useHost } from '../rig/host.ts';
import { dist, Rkt } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();

const sh = (command: string): string => execFileSync('sh', ['-c', command], { encoding: 'utf8' });
const put = (directory: string, name: string, content: object): void => {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, name), JSON.stringify(content));
};
const status = (...args: string[]) => {
  const { status: code, stdout, stderr } = rkt.run(args);
  return { code, text: stdout + stderr };
};

describe('net add, check, del, gc, status NETWORK NETNS', () => {
  const netns = '/run/netns/tool';
  const made = (): void => void sh('ip netns add tool');
  const removed = (): void => void sh('ip netns del tool 2>/dev/null || true');
  afterEach(removed);

  test('with rkt’s own networks: attach, check, detach; twice is refused and harms nothing', () => {
    made();
    const result = JSON.parse(rkt.ok('net', 'add', 'bridge', netns)) as { cniVersion: string; ips: { address: string }[] };
    expect([result.cniVersion, result.ips[0]?.address]).toEqual(['1.1.0', '172.16.29.2/24']);
    // first 10 bytes of the SHA-512 of the path, as cnitool has it
    const id = `cnitool-${sh(`printf %s ${netns} | sha512sum | cut -c1-20`).trim()}`;
    expect(readFileSync('/var/lib/cni/networks/bridge/172.16.29.2', 'utf8')).toBe(`${id}\r\neth0`);
    expect(status('net', 'add', 'bridge', netns)).toEqual({
      code: 1,
      text: expect.stringContaining('is attached to network "bridge" already') as string,
    });
    expect(status('net', 'add', 'default', netns).code).toBe(1);
    rkt.ok('net', 'check', 'bridge', netns);
    expect(rkt.run(['net', 'add', 'default', netns], { env: { CNI_IFNAME: 'net1' } }).status).toBe(0);
    expect(sh('ip -n tool -br addr')).toMatch(/eth0@\S+ +UP +172\.16\.29\.2\/24[^]*net1@\S+ +UP +172\.16\.28\.2/);
    sh('ip -n tool addr flush dev eth0');
    expect(status('net', 'check', 'bridge', netns)).toEqual({
      code: 1,
      text: expect.stringContaining('address 172.16.29.2/24 is missing') as string,
    });
    for (let twice = 0; twice < 2; twice++) {
      rkt.ok('net', 'del', 'bridge', netns);
      expect(rkt.run(['net', 'del', 'default', netns], { env: { CNI_IFNAME: 'net1' } }).status).toBe(0);
    }
    expect(sh('ip -n tool -br link')).not.toMatch(/eth0|net1/);
    expect(readdirSync('/var/lib/cni/results')).toEqual([]);
    expect(status('net', 'check', 'bridge', netns)).toEqual({ code: 1, text: expect.stringContaining('is not attached') as string });
    rkt.gc();
    rkt.gc();
  });

  test('a plugin’s test-bed: NETCONFPATH, CNI_PATH, CNI_ARGS, CAP_ARGS, CNI_IFNAME; big numbers and trace context pass unchanged', () => {
    made();
    const bed = mkdtempSync(join(rkt.config, 'bed-'));
    const log = join(bed, 'log');
    mkdirSync(join(bed, 'bin'));
    writeFileSync(
      join(bed, 'bin/recorder'),
      `#!/bin/sh\nif [ "$CNI_COMMAND" = VERSION ]; then echo '{"cniVersion":"1.1.0","supportedVersions":["0.3.1","0.4.0","1.0.0","1.1.0"]}'; exit 0; fi\n{ env | grep -E '^(CNI_|TRACE)' | sort; cat; echo; } >> ${log}\n[ "$CNI_COMMAND" != ADD ] || echo '{"cniVersion":"1.1.0","ips":[{"address":"10.1.1.1/24"}]}'\necho "said by the plugin" >&2\n`,
      { mode: 0o755 },
    );
    mkdirSync(join(bed, 'net.d'));
    writeFileSync(
      join(bed, 'net.d/10-mine.conflist'),
      '{"cniVersion":"1.1.0","name":"mine","plugins":[{"type":"recorder","big":12345678901234567890,"capabilities":{"aliases":true}}]}',
    );
    const env = {
      NETCONFPATH: join(bed, 'net.d'),
      CNI_PATH: join(bed, 'bin'),
      CNI_ARGS: 'K=V;IgnoreUnknown=1',
      CAP_ARGS: '{"aliases":["a"],"mac":"02:00:00:00:00:01"}',
      CNI_IFNAME: 'eth7',
      TRACEPARENT: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    };
    const run = (...args: string[]) => rkt.run(['net', ...args], { env });
    const added = run('add', 'mine', 'run/../run/netns/tool'.replace(/^/, '/'));
    expect([added.status, JSON.parse(added.stdout), added.stderr]).toEqual([
      0,
      { cniVersion: '1.1.0', ips: [{ address: '10.1.1.1/24' }] },
      'said by the plugin\n',
    ]);
    for (const verb of ['check', 'status', 'gc', 'del']) expect(run(verb, 'mine', netns), verb).toMatchObject({ status: 0 });
    const told = readFileSync(log, 'utf8');
    expect(told).toMatch(
      /CNI_ARGS=K=V;IgnoreUnknown=1\nCNI_COMMAND=ADD\nCNI_CONTAINERID=cnitool-[0-9a-f]{20}\nCNI_IFNAME=eth7\nCNI_NETNS=\/run\/netns\/tool\nCNI_PATH=/,
    );
    expect(told).toContain(`TRACEPARENT=${env.TRACEPARENT}`);
    expect(told).toContain('"big":12345678901234567890');
    expect(told).toContain('"runtimeConfig":{"aliases":["a"]}');
    expect(told).not.toContain('"capabilities"');
    const verbs = [...told.matchAll(/CNI_COMMAND=(\w+)/g)].map(([, verb]) => verb);
    // gc detaches what add attached, so del finds nothing in the cache and says DEL once more
    expect(verbs).toEqual(['ADD', 'CHECK', 'STATUS', 'DEL', 'GC', 'DEL']);
    expect(rkt.run(['net', 'add', 'mine', netns], { env: { ...env, CNI_ARGS: 'nonsense', CAP_ARGS: '[' } })).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/2 faults in the environment[^]*CNI_ARGS[^]*CAP_ARGS/) as string,
    });
  });

  test('a failed ADD leaves nothing; DEL uses the configuration of the ADD; gc spares what others have', () => {
    made();
    const bed = mkdtempSync(join(rkt.config, 'bed-'));
    const env = { NETCONFPATH: bed };
    const behave = resolve(import.meta.dirname, '../fixtures/plugins');
    const main = { type: 'bridge', bridge: 'bed0', ipam: { type: 'host-local', subnet: '10.72.0.0/24' } };
    put(bed, 'bed.conflist', { cniVersion: '1.0.0', name: 'bed', plugins: [main, { type: 'behave', add: 'error' }] });
    const path = `${join(dist, 'cni')}:${behave}`;
    const failed = rkt.run(['net', 'add', 'bed', netns], { env: { ...env, CNI_PATH: path } });
    expect([failed.status, failed.stderr]).toEqual([1, expect.stringContaining('no luck today')]);
    expect(sh('ip -n tool -br link')).not.toContain('eth0');
    expect(existsSync('/var/lib/cni/networks/bed/10.72.0.2')).toBe(false);
    put(bed, 'bed.conflist', { cniVersion: '1.1.0', name: 'bed', plugins: [main] });
    expect(rkt.run(['net', 'add', 'bed', netns], { env }).status).toBe(0);
    put(bed, 'bed.conflist', { cniVersion: '1.1.0', name: 'bed', plugins: [{ type: 'loopback' }] });
    expect(rkt.run(['net', 'del', 'bed', netns], { env }).status).toBe(0);
    expect(sh('ip -n tool -br link')).not.toContain('eth0');
    put(bed, 'bed.conflist', { cniVersion: '1.1.0', name: 'bed', plugins: [main] });
    expect(rkt.run(['net', 'add', 'bed', netns], { env }).status).toBe(0);
    const theirs = '/var/lib/cni/networks/bed/10.72.0.77';
    writeFileSync(theirs, 'podman-container\r\neth0');
    const entry = '/var/lib/cni/results/bed-podman-container-eth0';
    writeFileSync(entry, JSON.stringify({ kind: 'cniCacheV1', containerId: 'podman-container', ifName: 'eth0', networkName: 'bed' }));
    expect(rkt.run(['net', 'gc', 'bed', netns], { env }).status).toBe(0);
    expect([existsSync(theirs), existsSync('/var/lib/cni/networks/bed/10.72.0.3'), sh('ip -n tool -br link').includes('eth0')]).toEqual([
      true,
      false,
      false,
    ]);
    for (const file of [theirs, entry]) rmSync(file);
    expect(rkt.run(['net', 'gc', 'bed', netns], { env }).status).toBe(0);
    expect(sh('ip -br link')).not.toContain('bed0');
    expect(existsSync('/var/lib/cni/networks/bed')).toBe(false);
  });

  test('Debian’s plugins by CNI_PATH: attach, check, detach', () => {
    made();
    const env = { CNI_PATH: '/usr/lib/cni' };
    expect(JSON.parse(rkt.run(['net', 'add', 'default-restricted', netns], { env }).stdout)).toMatchObject({ cniVersion: '1.0.0' });
    expect(rkt.run(['net', 'check', 'default-restricted', netns], { env })).toMatchObject({ status: 0, stderr: '' });
    expect(rkt.run(['net', 'del', 'default-restricted', netns], { env })).toMatchObject({ status: 0, stderr: '' });
    rmSync('/var/lib/cni/networks/default-restricted', { recursive: true });
    rkt.gc();
  });

  test('R8: the host’s own namespace is refused, unless that is meant', () => {
    const { code, text } = status('net', 'add', 'bridge', '/proc/self/ns/net');
    expect([code, text]).toEqual([1, expect.stringMatching(/is the network namespace of the host .*\nhint: .*CNI_NETNS_OVERRIDE=1/)]);
    expect(sh('ip -br link')).not.toContain('rkt0');
  });

  test('operands that are missing', () => {
    expect(status('net', 'add', 'bridge')).toEqual({
      code: 1,
      text: expect.stringContaining('needs a network and the path of a network namespace') as string,
    });
    expect(status('net', 'add', 'nope', netns)).toEqual({ code: 1, text: expect.stringContaining('ERR_NET_NOT_FOUND') as string });
  });
});
