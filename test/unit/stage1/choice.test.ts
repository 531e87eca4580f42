import { describe, expect, test } from 'vitest';
import { stage1Kinds, type Stage1Choice } from '../../../src/model/options.ts';
import { flavorName } from '../../../src/stage1/choice.ts';
import { fitOf } from '../../../src/stage1/fit.ts';

const nothing = { exists: () => false };
const of = (kind: Stage1Choice['kind'], value: string, exists = false): string => {
  try {
    return flavorName({ kind, value }, undefined, { exists: () => exists });
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe('which flavor a stage1 image stands for', () => {
  test.each([
    ['name', 'coreos.com/rkt/stage1-coreos', 'oci'],
    ['name', 'coreos.com/rkt/stage1-oci:2.0.0', 'oci'],
    ['name', 'coreos.com/rkt/stage1-fly:1.30.0', 'fly'],
    ['name', 'rkt.io/stage1-fly,os=linux', 'fly'],
    ['name', 'stage1-fly', 'fly'],
    ['name', 'coreos.com/rkt/stage1-kvm', 'ERR_STAGE1_UNKNOWN'],
    ['name', 'example.com/stage1-fly', 'ERR_STAGE1_UNKNOWN'],
    ['name', 'stage1-toString', 'ERR_STAGE1_UNKNOWN'],
    ['name', '', 'ERR_STAGE1_UNKNOWN'],
    ['path', '/usr/lib/rkt/stage1-images/stage1-fly.aci', 'fly'],
    ['path', 'stage1-coreos.aci', 'oci'],
    ['path', '/x/other.aci', 'ERR_STAGE1_UNKNOWN'],
    ['from-dir', 'stage1-fly.aci', 'fly'],
    ['from-dir', '../stage1-fly.aci', 'ERR_STAGE1_UNKNOWN'],
    ['from-dir', 'stage1-host.aci', 'ERR_STAGE1_UNKNOWN'],
    ['url', 'https://github.com/rkt/rkt/releases/download/v1.30.0/stage1-fly-1.30.0-linux-amd64.aci', 'fly'],
    ['url', 'https://example.com/stage1-fly.aci', 'ERR_STAGE1_UNKNOWN'],
    ['hash', 'sha512-0123', 'ERR_STAGE1_UNKNOWN'],
  ] as const)('--stage1-%s=%s: %s', (kind, value, expected) => expect(of(kind, value)).toBe(expected));

  test('a file that is there is somebody’s image, whatever it is called', () => {
    expect(of('path', '/x/stage1-fly.aci', true)).toBe('ERR_STAGE1_UNKNOWN');
    expect(stage1Kinds.length).toBe(5);
  });

  test('the configuration: its name, else its location; a flag goes before both; nothing said: oci', () => {
    const conf = (name?: string, location?: string) => ({ name, version: name === undefined ? undefined : '1', location });
    expect(flavorName(undefined, undefined, nothing)).toBe('oci');
    expect(flavorName(undefined, conf(), nothing)).toBe('oci');
    expect(flavorName(undefined, conf('coreos.com/rkt/stage1-fly', '/x/stage1-coreos.aci'), nothing)).toBe('fly');
    expect(flavorName(undefined, conf(undefined, 'file:///x/stage1-fly.aci'), nothing)).toBe('fly');
    expect(() => flavorName(undefined, conf(undefined, 'docker://x/stage1'), nothing)).toThrow(/is not built in/);
    expect(() => flavorName(undefined, conf('example.com/mine'), nothing)).toThrow(
      'stage1 "example.com/mine", which the configuration names, is not',
    );
    expect(flavorName({ kind: 'name', value: 'stage1-oci' }, conf('coreos.com/rkt/stage1-fly'), nothing)).toBe('oci');
  });
});

describe('what a flavor cannot do', () => {
  const app = (name: string, isolators: { name: string; value: unknown }[] = []) => ({
    name,
    image: { name, id: '' },
    app: { exec: ['/x'], user: '0', group: '0', isolators },
  });
  const manifest = (...apps: ReturnType<typeof app>[]) => ({ acVersion: '0.8.11', acKind: 'PodManifest' as const, apps });
  const bare = fitOf({ name: 'bare', capabilities: { maxApps: 1, contained: false, isolators: false } });
  const whole = fitOf({ name: 'whole', capabilities: { maxApps: 2, contained: true, isolators: true } });

  test('networks: the host’s when it has none; what was asked for is refused, all of it at once', () => {
    expect(whole.networks(['a'], ['80:80'])).toEqual(['a']);
    expect(bare.networks([], [])).toEqual(['host']);
    expect(bare.networks(['host'], [])).toEqual(['host']);
    expect(() => bare.networks(['bridge', 'none'], ['80:80'])).toThrow(
      expect.objectContaining({ code: 'ERR_STAGE1_LACKS', details: expect.objectContaining({ length: 3 }) as unknown }),
    );
  });

  test('apps are counted, isolators warned of by name', () => {
    expect(() => whole.check(manifest(app('a'), app('b'), app('c')))).toThrow('flavor whole runs 2 apps a pod, not 3');
    expect(whole.check(manifest(app('a', [{ name: 'resource/memory', value: {} }])))).toEqual([]);
    expect(bare.check(manifest(app('a', [{ name: 'resource/memory', value: {} }])))).toEqual([
      'app a: isolator resource/memory is ignored by flavor bare',
    ]);
  });
});
