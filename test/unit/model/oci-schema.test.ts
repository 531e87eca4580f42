import { describe, expect, test } from 'vitest';
import { RuntimeError } from '../../../src/model/errors.ts';
import { checkConfig, checkDockerManifest, checkIndex, checkLayoutFile, checkManifest } from '../../../src/model/oci-schema.ts';

const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const digest = `sha256:${'0a'.repeat(32)}`;
const descriptor = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: 7 };

/** The faults a document is refused for. */
function faultsOf(check: (bytes: Uint8Array, what: string) => unknown, value: unknown): string[] {
  try {
    check(bytes(value), 'it');
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    expect(error.code).toBe('ERR_IMAGE_INVALID');
    return error.details.length > 0 ? [...error.details] : [error.message];
  }
  return [];
}

describe('manifest', () => {
  test('what is needed and nothing more', () => {
    const manifest = {
      schemaVersion: 2,
      config: descriptor,
      layers: [descriptor, { ...descriptor, annotations: null, urls: null }],
      annotations: { a: 'b' },
      subject: { any: 1 },
    };
    expect(checkManifest(bytes(manifest), 'it').layers).toHaveLength(2);
  });
  test('every fault is listed', () => {
    expect(
      faultsOf(checkManifest, {
        schemaVersion: 1,
        config: { ...descriptor, digest: 'sha256:../../etc' },
        layers: [{ digest, size: -1 }, { digest: digest.toUpperCase(), size: 1.5 }, 7],
      }),
    ).toEqual([
      'schemaVersion must be 2, not 1',
      'config.digest must be sha256: and 64 hexadecimal digits, not "sha256:../../etc"',
      'layers[0].size must be a number of bytes, not -1',
      expect.stringContaining('layers[1].digest must be sha256:'),
      'layers[1].size must be a number of bytes, not 1.5',
      'layers[2] must be a descriptor, not 7',
    ]);
  });
  test.each([
    ['{', ['it is not JSON']],
    ['\u00ff', ['it is not JSON']],
    ['null', ['it: must be an object, not null']],
    ['{}', ['schemaVersion is missing; must be 2', 'config is missing; must be a descriptor', 'layers is missing; must be a list of descriptors']],
  ])('%j', (text, expected) => {
    expect(faultsOf(checkManifest, text)).toEqual(expected);
  });
  test('bytes that are not UTF-8', () => {
    expect(() => checkManifest(Uint8Array.of(0x22, 0xff, 0x22), 'it')).toThrow('it is not JSON');
  });
  test('sha512 and control characters are refused, printably', () => {
    const [fault = ''] = faultsOf(checkIndex, { schemaVersion: 2, manifests: [{ digest: '\u001b[31msha512:x', size: 1 }] });
    expect(fault).toContain('must be sha256:');
    expect(fault).not.toContain('\u001b');
  });
});

describe('configuration', () => {
  const rootfs = { type: 'layers', diff_ids: [digest] };
  test('nothing is undefined or null afterwards', () => {
    expect(checkConfig(bytes({ os: 'linux', architecture: 'amd64', config: { Cmd: null, Labels: null }, rootfs }), 'it')).toEqual({
      os: 'linux',
      architecture: 'amd64',
      variant: '',
      diffIds: [digest],
      config: { entrypoint: [], cmd: [], env: [], user: '', workingDir: '', exposedPorts: [], volumes: [], stopSignal: '', labels: {} },
    });
    expect(checkConfig(bytes({ os: 'linux', architecture: 'arm', variant: 'v7', rootfs }), 'it').variant).toBe('v7');
  });
  test('all of it', () => {
    const config = {
      User: '33:33',
      ExposedPorts: { '80/tcp': {}, '53/udp': {} },
      Env: ['A=b'],
      Entrypoint: ['/x'],
      Cmd: ['y'],
      Volumes: { '/data': {} },
      WorkingDir: '/w',
      Labels: { a: 'b' },
      StopSignal: 'SIGQUIT',
    };
    expect(checkConfig(bytes({ os: 'linux', architecture: 'amd64', config, rootfs }), 'it').config).toEqual({
      user: '33:33',
      exposedPorts: ['80/tcp', '53/udp'],
      env: ['A=b'],
      entrypoint: ['/x'],
      cmd: ['y'],
      volumes: ['/data'],
      workingDir: '/w',
      labels: { a: 'b' },
      stopSignal: 'SIGQUIT',
    });
  });
  test('faults', () => {
    expect(faultsOf(checkConfig, { config: { Env: ['A=b', 7], Cmd: 'sh', Labels: { a: 1 } }, rootfs: { type: 'zip', diff_ids: ['x'] } })).toEqual([
      'os is missing; must be a string',
      'architecture is missing; must be a string',
      'config.Env[1] must be a string, not 7',
      'config.Cmd must be a list of strings, not "sh"',
      'config.Labels.a must be a string, not 1',
      'rootfs.type must be "layers", not "zip"',
      'rootfs.diff_ids[0] must be sha256: and 64 hexadecimal digits, not "x"',
    ]);
  });
});

test('the small files', () => {
  expect(faultsOf(checkLayoutFile, { imageLayoutVersion: '1.0.0' })).toEqual([]);
  expect(faultsOf(checkLayoutFile, { imageLayoutVersion: '2' })).toEqual(['it: imageLayoutVersion must be "1.0.0", not "2"']);
  expect(faultsOf(checkDockerManifest, [])).toEqual(['it: must name at least one image']);
  expect(faultsOf(checkDockerManifest, [{ Layers: [1] }])).toEqual([
    '[0].Config is missing; must be a string',
    '[0].Layers[0] must be a string, not 1',
  ]);
  expect(checkDockerManifest(bytes([{ Config: 'c', RepoTags: null, Layers: null }]), 'it')).toHaveLength(1);
});
