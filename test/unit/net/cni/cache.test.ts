import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import type { PlannedNetwork } from '../../../../src/model/plan.ts';
import { cachedAttachments, cachedNetwork, readCache } from '../../../../src/net/cni/cache.ts';

const dir = mkdtempSync(join(tmpdir(), 'rkt-cache-'));
afterAll(() => rmSync(dir, { recursive: true }));
const results = join(dir, 'results');
beforeEach(() => {
  rmSync(results, { recursive: true, force: true });
  mkdirSync(results);
});
const put = (name: string, content: unknown): void =>
  writeFileSync(join(results, name), typeof content === 'string' ? content : JSON.stringify(content));
const entry = (networkName: string, containerId: string, ifName: string) => ({ kind: 'cniCacheV1', containerId, ifName, networkName });
const short = (network: string) => cachedAttachments(dir, network).map(({ containerId, ifName }) => `${containerId}/${ifName}`);

describe('attachments that somebody cached', () => {
  test('L8: contents decide, not the ambiguous name; damage and foreign kinds are skipped; sorted', () => {
    put('a-b-c-eth0', entry('a-b', 'c', 'eth0'));
    put('a-b-d-eth0', entry('a', 'b-d', 'eth0'));
    put('a-x-eth0', '{"kind":');
    put('a-y-eth0', '[]');
    put('a-z-eth0', { ...entry('a', 'z', 'eth0'), kind: 'cniCacheV9' });
    expect([short('a'), short('a-b'), short('b')]).toEqual([['b-d/eth0'], ['c/eth0'], []]);
    expect([cachedNetwork(dir, 'c', 'eth0'), cachedNetwork(dir, 'b-d', 'eth0'), cachedNetwork(dir, 'd', 'eth0')]).toEqual(['a-b', 'a', undefined]);
  });
  test('L2: what it takes to detach', () => {
    const config = '{"cniVersion":"1.0.0","name":"a","plugins":[{"type":"x","big":12345678901234567890}]}';
    put('a-c-eth0', {
      ...entry('a', 'c', 'eth0'),
      netns: '/run/netns/c',
      config: Buffer.from(config).toString('base64'),
      cniArgs: [['K', 'V']],
      capabilityArgs: { mac: 'm' },
    });
    expect(cachedAttachments(dir, 'a')).toEqual([
      {
        path: join(results, 'a-c-eth0'),
        containerId: 'c',
        ifName: 'eth0',
        netns: '/run/netns/c',
        config,
        args: [['K', 'V']],
        capabilityArgs: { mac: 'm' },
      },
    ]);
  });
  test('L3: a bare result is every attachment its name can mean', () => {
    put('a-one-two-eth0', { cniVersion: '0.4.0', ips: [] });
    expect(short('a')).toEqual(['one/two-eth0', 'one-two/eth0']);
    put('a-one-two-eth0', { cniVersion: '0.4.0', ips: [{ version: '4', address: '10.0.0.2/24' }], dns: {} });
    const network = { name: 'a', ifName: 'eth0', cniVersion: '1.0.0' } as PlannedNetwork;
    expect(readCache(dir, network, { containerId: 'one-two', netns: '' })?.ips).toEqual([{ address: '10.0.0.2/24' }]);
  });
  test('no directory: none', () => {
    rmSync(results, { recursive: true });
    expect(short('a')).toEqual([]);
  });
});
