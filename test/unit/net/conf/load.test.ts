import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { confDirectories, loadConf } from '../../../../src/net/conf/load.ts';
import { faultText } from '../../../../src/net/conf/types.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'rkt-netd-'));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});
const put = (path: string, content: string | Uint8Array | object): string => {
  const full = join(root, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content));
  return full;
};
const load = () => loadConf(confDirectories({ localConfig: join(root, 'admin'), systemConfig: join(root, 'system') }, join(root, 'builtin/net.d')));
/** faults as text, the temporary directory cut off */
const faults = (): string[] => load().faulty.flatMap((file) => file.faults.map((fault) => faultText(fault).replaceAll(`${root}/admin/net.d/`, '')));
const faultsOf = (content: string | Uint8Array | object, name = 'x.conflist'): string[] => {
  put(`admin/net.d/${name}`, content);
  return faults();
};
const list = (name: string, plugins: object[] = [{ type: 'ptp' }], more: object = {}): object => ({ cniVersion: '1.0.0', name, ...more, plugins });

describe('files', () => {
  test('regular files with the three endings, in byte order, directories by precedence, nothing below', () => {
    put('builtin/net.d/10-a.conflist', list('a'));
    put('admin/net.d/30-c.conf', { cniVersion: '0.1.0', name: 'c', type: 'bridge' });
    put('admin/net.d/20-B.json', { name: 'b', type: 'bridge' });
    put('admin/net.d/20-a.conflist', list('d'));
    put('admin/net.d/99.txt', 'not ours');
    put('admin/net.d/sub/10-x.conflist', list('x'));
    mkdirSync(join(root, 'admin/net.d/05-dir.conf'));
    put('system/net.d/10-s.conflist', list('s'));
    expect(load().networks.map(({ name, source }) => `${source.owner} ${name}`)).toEqual(['admin b', 'admin d', 'admin c', 'system s', 'builtin a']);
    expect(load().faulty).toEqual([]);
  });

  test('no directory is an empty one; a FIFO is not opened; a link to a file is a file', () => {
    expect(load()).toEqual({ networks: [], faulty: [], notices: [] });
    const target = put('elsewhere', list('linked'));
    mkdirSync(join(root, 'admin/net.d'), { recursive: true });
    execFileSync('mkfifo', [join(root, 'admin/net.d/10-fifo.conf')]);
    symlinkSync(target, join(root, 'admin/net.d/10-link.conflist'));
    expect(load().networks.map(({ name }) => name)).toEqual(['linked']);
    expect(load().faulty).toEqual([]);
  });

  test('a file where a directory of networks belongs is a fault; one where a drop-in directory could be is not', () => {
    put('admin/net.d', 'not a directory');
    put('system/net.d/10-a.conflist', list('a'));
    put('system/net.d/a', 'no drop-ins');
    expect(load().networks.map(({ name }) => name)).toEqual(['a']);
    expect(load().faulty).toMatchObject([
      { path: join(root, 'admin/net.d'), faults: [{ message: expect.stringContaining('cannot be read: ENOTDIR') }] },
    ]);
  });

  test.each(['none', 'host', 'all'])('a network named %s could never be asked for', (name) => {
    put('admin/net.d/10-a.conflist', list(name));
    expect(faults()).toEqual([expect.stringContaining('mean something else')]);
  });

  test('what cannot be read is a fault', () => {
    mkdirSync(join(root, 'admin/net.d'), { recursive: true });
    symlinkSync('/nonexistent/file', join(root, 'admin/net.d/1.conf'));
    put('admin/net.d/2.conf', Buffer.from([0x7b, 0xff, 0x7d]));
    put('admin/net.d/3.conf', ' '.repeat((1 << 20) + 1));
    expect(faults()).toEqual(['1.conf: is a link to nothing', '2.conf: is not UTF-8 text', '3.conf: is larger than 1048576 bytes']);
  });

  test('a directory named twice is read once', () => {
    put('admin/net.d/a.conflist', list('a'));
    const path = join(root, 'admin/net.d');
    expect(
      loadConf([
        { path, owner: 'admin' },
        { path, owner: 'system' },
      ]).networks,
    ).toHaveLength(1);
  });
});

describe('text', () => {
  test('a list keeps its bytes', () => {
    const text = ' {"cniVersion":"1.0.0",\n"name":"a","plugins":[{"type":"ptp","big":12345678901234567890}] } \n';
    put('admin/net.d/a.conflist', text);
    expect(load().networks[0]?.text).toBe(text);
    expect(load().networks[0]).not.toHaveProperty('rawConf');
  });
  test('a single plugin is wrapped as it is written, and its own bytes are kept', () => {
    const text = '\n{"name":"a", "type":"ptp","big":12345678901234567890}\n';
    put('admin/net.d/a.conf', text);
    expect(load().networks[0]).toMatchObject({
      text: `{"cniVersion":"0.1.0","name":"a","plugins":[${text.trim()}]}`,
      rawConf: text,
      versions: ['0.1.0'],
    });
  });
  test('drop-ins are appended in name order, byte for byte', () => {
    put('admin/net.d/a.conflist', '{"name":"a","cniVersion":"1.1.0","plugins":[{"type":"ptp"}],"x":1}');
    put('admin/net.d/a/20.conf', '{"type":"tuning", "n":12345678901234567890}\n');
    put('admin/net.d/a/10.conf', '{"type":"portmap"}');
    put('admin/net.d/a/30.conflist', '{"type":"ignored"}');
    const network = load().networks[0];
    expect(network?.text).toBe(
      '{"name":"a","cniVersion":"1.1.0","plugins":[{"type":"ptp"},{"type":"portmap"},{"type":"tuning", "n":12345678901234567890}],"x":1}',
    );
    expect(network?.plugins.map(({ type }) => type)).toEqual(['ptp', 'portmap', 'tuning']);
    expect(network?.source.dropIns).toEqual([join(root, 'admin/net.d/a/10.conf'), join(root, 'admin/net.d/a/20.conf')]);
  });
  test('a list of drop-ins only', () => {
    put('admin/net.d/a.conflist', '{"name":"a","cniVersion":"1.1.0" }');
    put('admin/net.d/a/10.conf', '{"type":"ptp"}');
    expect(load().networks[0]?.text).toBe('{"name":"a","cniVersion":"1.1.0" ,"plugins":[{"type":"ptp"}]}');
  });
  test.each([true, 'true', 'TRUE'])('loadOnlyInlinedPlugins %j ignores them', (loadOnlyInlinedPlugins) => {
    put('admin/net.d/a.conflist', list('a', [{ type: 'ptp' }], { loadOnlyInlinedPlugins }));
    put('admin/net.d/a/10.conf', 'broken, and nobody looks');
    expect(load().networks[0]?.plugins).toHaveLength(1);
  });
  test('a broken drop-in breaks its network', () => {
    put('admin/net.d/a.conflist', list('a'));
    put('admin/net.d/a/10.conf', '{"type":\n}');
    expect(load().networks).toEqual([]);
    expect(load().faulty[0]?.name).toBe('a');
    expect(faults()).toEqual(['a/10.conf:2:1: not JSON: expected a value, found "}"']);
  });
});

describe('versions', () => {
  test.each([
    [{}, ['0.1.0']],
    [{ cniVersion: '0.4.0' }, ['0.4.0']],
    [{ cniVersion: '1.0.0', cniVersions: ['0.4.0', '1.1.0', '9.0.0'] }, ['0.4.0', '1.0.0', '1.1.0']],
    [{ cniVersions: ['1.1.0'] }, ['1.1.0']],
    [{ cniVersion: '9.0.0', cniVersions: ['1.0.0'] }, ['1.0.0']],
    [{ cniVersion: '1.0.0', cniVersions: [] }, ['1.0.0']],
    [{ cniVersion: '' }, ['0.1.0']],
    [{ cniVersion: '', cniVersions: ['1.0.0'] }, ['1.0.0']],
  ])('%j', (versions, expected) => {
    put('admin/net.d/a.conflist', { name: 'a', plugins: [{ type: 'ptp' }], ...versions });
    expect(load().networks[0]?.versions).toEqual(expected);
  });
  test.each([
    [{ cniVersion: '9.0.0' }, 'cniVersion: rkt does not speak CNI "9.0.0"; it speaks'],
    [{ cniVersion: '1.0.0-rc1' }, 'cniVersion: must be a version such as 1.0.0, not "1.0.0-rc1"'],
    [{ cniVersion: '1.0.0', cniVersions: ['1.0.0', 'asdf.'] }, 'cniVersions[1]: must be a version such as 1.0.0, not "asdf."'],
    [{ cniVersion: 1 }, 'cniVersion: must be a string, not 1'],
    [{ cniVersions: '1.0.0' }, 'cniVersions: must be a list of strings, not "1.0.0"'],
  ])('%j is refused', (versions, expected) => {
    expect(faultsOf({ name: 'a', plugins: [{ type: 'ptp' }], ...versions })).toEqual([expect.stringContaining(expected)]);
  });
});

describe('faults', () => {
  test('all of a file, with line, column and path', () => {
    const text =
      '{\n  "cniVersion": "1.0.0",\n  "name": "a b",\n  "disableCheck": "yes",\n  "plugins": [\n    { "type": "ptp" },\n    { "type": "../x", "capabilities": { "ips": 1 } },\n    { "ipam": { "type": 7 } }\n  ]\n}';
    expect(faultsOf(text)).toEqual([
      'x.conflist:3:11: name: must be a name that begins with a letter or digit and holds only letters, digits, "_", "." and "-", not "a b"',
      'x.conflist:4:19: disableCheck: must be true or false, not "yes"',
      'x.conflist:7:15: plugins[1].type: must be the name of a plugin, without "/" or "\\", not "../x"',
      'x.conflist:7:48: plugins[1].capabilities.ips: must be true or false, not 1',
      'x.conflist:8:5: plugins[2].type: is missing; must be the name of a plugin',
      'x.conflist:8:25: plugins[2].ipam.type: must be the name of an IPAM plugin, not 7',
    ]);
  });
  test.each<[unknown, string]>([
    ['{"name":"a"', 'x.conflist:1:12: not JSON: expected "," or "}", found the end of the file'],
    ['', 'x.conflist:1:1: not JSON: the file is empty'],
    ['\ufeff{}', 'x.conflist:1:1: not JSON: begins with a byte order mark; save it as UTF-8 without one'],
    ['[]', 'x.conflist:1:1: must be an object, not []'],
    ['null', 'x.conflist:1:1: must be an object, not null'],
    [`{"name":"a","plugins":[{"type":7,"x":${'['.repeat(3000)}${']'.repeat(3000)}}]}`, 'not JSON: nested deeper than 500 levels'],
    [{ plugins: [{ type: 'x' }] }, 'x.conflist:1:1: name: is missing; must be the name of the network'],
    [{ name: 'a' }, 'x.conflist:1:1: has no plugins'],
    [{ name: 'a', plugins: [] }, 'x.conflist:1:23: plugins: must not be empty'],
    [{ name: 'a', loadOnlyInlinedPlugins: true }, 'x.conflist:1:38: loadOnlyInlinedPlugins: is true, but there is no list "plugins"'],
    [{ name: 'a', type: 'ptp' }, 'x.conflist:1:20: type: a single plugin belongs into a .conf file, or into the list "plugins"'],
    [
      list('a', [{ type: 'ptp', ipam: { type: 'host-local', subnet: '10.1.0.0' } }]),
      'plugins[0].ipam.subnet: must be a subnet such as 10.1.0.0/16, not "10.1.0.0"',
    ],
    [
      list('a', [{ type: 'ptp', ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/16' }, { subnet: '10.2.0.1/16' }]] } }]),
      'plugins[0].ipam.ranges[0][1].subnet: has host bits set; did you mean 10.2.0.0/16?',
    ],
    [list('a', [{ type: 'ptp', ipam: { type: 'host-local', ranges: [[{}]] } }]), 'plugins[0].ipam.ranges[0][0].subnet: is missing'],
    [
      list('a', [{ type: 'ptp', ipam: { type: 'host-local', ranges: [{ subnet: '10.1.0.0/16' }] } }]),
      'plugins[0].ipam.ranges[0]: must be a list of ranges',
    ],
    [list('a', [{ type: 'ptp', ipam: { type: 'host-local', subnet: '10.1.0.0/31' } }]), 'is too small to allocate from'],
  ])('fault %#', (content, expected) => {
    expect(faultsOf(content as string)).toEqual([expect.stringContaining(expected)]);
  });
  test('a single plugin', () => {
    expect(faultsOf({ name: 'a', plugins: [{ type: 'x' }] }, 'x.conf')).toEqual([
      'x.conf:1:23: plugins: a list of plugins belongs into a .conflist file',
    ]);
    expect(faultsOf({ name: 'a' }, 'x.conf')).toEqual(['x.conf:1:1: type: is missing; must be the name of a plugin']);
  });
  test.each([
    ['{"name":"a","plugins":oops', 'a'],
    ['{"plugins":[{"name":"inner"}],"name":"a",}', 'a'],
    ['{"plugins":oops,"name":"a"}', undefined],
    ['{"name":7,"plugins":[]}', undefined],
    ['{"name":"a b","plugins":[{"type":"x"}]}', 'a b'],
  ])('the name of the broken %s is %s', (text, name) => {
    put('admin/net.d/x.conflist', text);
    expect(load().faulty[0]?.name).toBe(name);
  });
});

test('an empty ipam is none, unknown keys stay, reserved ones are pointed out', () => {
  const path = put(
    'admin/net.d/a.conflist',
    list('a', [
      { type: 'macvlan', ipam: {}, own: { deep: [1] }, runtimeConfig: {}, 'cni.dev/x': 1 },
      { type: 'ptp', ipam: { type: '' } },
    ]),
  );
  expect(load().networks[0]?.plugins).toEqual([{ type: 'macvlan', own: { deep: [1] }, runtimeConfig: {}, 'cni.dev/x': 1 }, { type: 'ptp' }]);
  expect(load().notices).toEqual([
    `${path}: plugins[0].runtimeConfig is reserved for the runtime and has no effect`,
    `${path}: plugins[0].cni.dev/x is reserved for the runtime and has no effect`,
  ]);
});

test('disableCheck and disableGC', () => {
  put('admin/net.d/a.conflist', list('a', [{ type: 'ptp' }], { disableCheck: 'True', disableGC: false }));
  expect(load().networks[0]).toMatchObject({ disableCheck: true, disableGC: false });
});
