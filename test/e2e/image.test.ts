/** `rkt image`: every command and flag from outside, on images that umoci, skopeo and the tests made. */
import { appendFileSync, chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { beforeEach, describe, expect, test } from 'vitest';
import { tarArchive } from '../../src/build/tar-writer.ts';
import { plain, run, writeLayout } from '../netns/images/image-rig.ts';
import { useHost } from '../rig/host.ts';
import { Rkt, rktPath } from '../rig/rkt.ts';
import { treeOf } from '../rig/tree.ts';

useHost();
const rkt = new Rkt();
const path = (...parts: string[]): string => join(rkt.config, ...parts);
const cas = (...parts: string[]): string => join(rkt.dataDir, 'cas', ...parts);
const image = (...args: string[]): string => rkt.ok('image', ...args);
const lines = (text: string): string[] => text.trimEnd().split('\n');

const base = plain(tarArchive([{ name: 'bin/busybox', mode: 0o755, data: readFileSync('/bin/busybox') }]));
const baseBytes = base.tar.length;
/** Of the tar of the upper layer: two headers, a file of 900 bytes, the end. */
const ownBytes = 3072;
const history = [
  { created: '2020-01-02T03:04:05Z', created_by: 'ADD busybox' },
  { created: '2020-01-03T03:04:05Z', created_by: 'CMD\t["x"]', empty_layer: true },
  { created_by: 'COPY one', comment: 'mine' },
];
const ids: Record<string, string> = {};

/** Two images with a layer in common: `one:1` and `two:2`. */
beforeEach(() => {
  rkt.run(['image', 'gc', '--grace-period=0']);
  const config = { Entrypoint: ['/bin/busybox'], Cmd: ['true'], ExposedPorts: { '80/tcp': {} }, User: '1:2' };
  for (const [name, tag] of [
    ['one', '1'],
    ['two', '2'],
  ] as const) {
    rmSync(path(name), { recursive: true, force: true });
    const layers = [
      base,
      plain(
        tarArchive([
          { name: `${name}/file`, data: name.repeat(300) },
          { name: `${name}/hard`, type: '1', linkName: `${name}/file` },
        ]),
      ),
    ];
    writeLayout(path(name), layers, { tag, config, change: ({ config: file }) => Object.assign(file, { history, author: 'me' }) });
  }
  const fetched = lines(rkt.ok('fetch', '--full', `oci:${path('one')}:1`, `oci:${path('two')}:2`));
  Object.assign(ids, { one: fetched[0], two: fetched[1] });
});

describe('list', () => {
  test('columns, sizes, short ids', () => {
    const [header, ...rows] = lines(image('list', '--sort=name'));
    expect(header).toMatch(/^ID +NAME +SIZE +IMPORT TIME +LAST USED$/);
    const size = `${((baseBytes + ownBytes) / 1048576).toFixed(1)}MiB`;
    expect(rows.map((row) => row.replace(/(now|\d+ seconds? ago)/g, 'NOW').split(/ {2,}/))).toEqual([
      [ids['one']?.slice(0, 19), 'one:1', size, 'NOW', 'NOW'],
      [ids['two']?.slice(0, 19), 'two:2', size, 'NOW', 'NOW'],
    ]);
  });
  test('--fields, --no-legend, --full, --sort, --order', () => {
    expect(image('list', '--fields=NAME,id', '--no-legend', '--full', '--sort=name')).toBe(`one:1  ${ids['one']}\ntwo:2  ${ids['two']}\n`);
    expect(image('list', '--fields=name', '--no-legend', '--sort=name', '--order=desc')).toBe('two:2\none:1\n');
    writeFileSync(cas('names', 'other:latest.json'), readFileSync(cas('names', 'one:1.json')));
    expect(image('list', '--fields=names', '--no-legend', '--sort=name')).toBe('one:1,other:latest\ntwo:2\n');
    const when = new Date(Date.now() - 7_200_000);
    utimesSync(cas('images', `${ids['two']?.slice('sha256-'.length)}.json`), when, when);
    expect(image('list', '--fields=name,lastused', '--no-legend', '--sort=lastused')).toMatch(
      /^two:2 {2}2 hours ago\none:1 {2}(now|\d+ seconds? ago)\n$/,
    );
    expect(image('list', '--fields=lastused', '--full', '--no-legend', '--sort=lastused').split('\n')[0]).toBe(
      new Date(Math.floor(when.getTime())).toISOString(),
    );
    expect(image('list', '--fields=size', '--full', '--no-legend')).toBe(`${baseBytes + ownBytes}\n`.repeat(2));
  });
  test('using an image is seen', () => {
    const when = new Date(Date.now() - 7_200_000);
    utimesSync(cas('images', `${ids['two']?.slice('sha256-'.length)}.json`), when, when);
    rkt.ok('run', '--net=none', 'two:2');
    expect(image('list', '--fields=lastused', '--no-legend', '--sort=name').split('\n')[1]).not.toBe('2 hours ago');
  });
  test('--format=json', () => {
    const list = JSON.parse(image('list', '--format=json', '--sort=name')) as Record<string, unknown>[];
    const now = Date.now() * 1_000_000;
    for (const time of list.flatMap(({ import_time, last_used_time }) => [import_time, last_used_time])) {
      expect(time).toBeGreaterThan(now - 60e9);
      expect(time).toBeLessThanOrEqual(now);
    }
    expect(list.map(({ id, name, size, names }) => ({ id, name, size, names }))).toEqual(
      ['one', 'two'].map((name) => ({
        id: ids[name],
        name: `${name}:${name === 'one' ? 1 : 2}`,
        size: baseBytes + ownBytes,
        names: [`${name}:${name === 'one' ? 1 : 2}`],
      })),
    );
    expect(image('list', '--format=json-pretty')).toContain('\n\t{\n');
  });
  test.each([
    ['--fields=nmae', '--fields: unknown field "nmae" (did you mean name?)'],
    ['--fields=id,id', '--fields: duplicated field "id"'],
    ['--sort=id', '--sort: unknown field "id"'],
    ['--order=up', 'flag --order: "up" is not one of asc, desc'],
  ])('%s', (flag, message) => {
    const { status, stderr } = rkt.run(['image', 'list', flag]);
    expect([status, stderr.split(' [')[0]]).toEqual([254, `error: ${message}`]);
  });
});

describe('rm', () => {
  test('by name, by id, twice the same: once', () => {
    const { status, stdout, stderr } = rkt.run(['image', 'rm', 'one:1', ids['one']?.slice(0, 15) ?? '']);
    expect([status, stdout, stderr]).toEqual([0, `successfully removed aci for image: "${ids['one']}"\n`, '1 image(s) successfully removed\n']);
    expect(image('list', '--fields=name', '--no-legend')).toBe('two:2\n');
    expect(readdirSync(cas('layers')).filter((name) => !name.includes('.'))).toHaveLength(2);
  });
  test('what is unknown is an error, and the rest is done', () => {
    const { status, stdout, stderr } = rkt.run(['image', 'rm', 'nobody', 'one:1', 'two:2']);
    expect(status).toBe(254);
    expect(lines(stdout)).toHaveLength(2);
    expect(stderr).toContain('error: image nobody is not in the store [ERR_IMAGE_NOT_FOUND]');
    expect(stderr).toMatch(/2 image\(s\) successfully removed\n1 image\(s\) cannot be removed\n$/);
    expect(rkt.run(['image', 'rm']).status).toBe(254);
  });
  test('an image of which a layer is gone', () => {
    const layer = readdirSync(cas('layers')).find((name) => !name.includes('.')) ?? '';
    rmSync(cas('layers', layer), { recursive: true });
    image('rm', 'one:1', 'two:2');
    expect(image('list', '--no-legend')).toBe('');
  });
  test('the pod that runs of it goes on', async () => {
    const pod = rkt.start(['--net=none', 'one:1', '--exec=/bin/busybox', '--', 'sleep', '100']);
    image('rm', 'one:1');
    expect(rkt.ok('enter', pod.uuid, '/bin/busybox', 'cat', '/one/file')).toBe('one'.repeat(300));
    image('gc', '--grace-period=0');
    expect(rkt.ok('enter', pod.uuid, '/bin/busybox', 'cat', '/one/file')).toBe('one'.repeat(300));
    await pod.stop();
    rkt.gc();
    expect(image('gc', '--grace-period=0')).toMatch(/^Garbage collecting layer [0-9a-f]{24} \(/);
  });
});

describe('gc', () => {
  test('--dry-run and --grace-period', () => {
    expect(image('gc')).toBe('');
    mkdirSync(cas('tmp/left'), { recursive: true });
    const said = image('gc', '--dry-run', '--grace-period=0s');
    expect(lines(said).sort()).toEqual(
      [
        `Would remove image "${ids['one']}" (one:1)`,
        `Would remove image "${ids['two']}" (two:2)`,
        ...readdirSync(cas('layers'))
          .filter((name) => !name.includes('.'))
          .map(
            (name) =>
              `Would remove layer ${name} (${(JSON.parse(readFileSync(cas('layers', `${name}.json`), 'utf8')) as { entries: number }).entries === 1 ? `${(baseBytes / 1048576).toFixed(1)}MiB` : '3.0KiB'})`,
          ),
        'Would remove tmp/left',
      ].sort(),
    );
    expect(lines(image('list', '--no-legend'))).toHaveLength(2);
    expect(image('gc', '--grace-period=0')).toBe(said.replaceAll('Would remove', 'Garbage collecting'));
    expect(readdirSync(cas(), { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory())).toEqual([]);
    expect(rkt.run(['image', 'gc', '--grace-period=soon']).status).toBe(254);
  });
  test('--format=json', () => {
    const { images, layers, strays } = JSON.parse(image('gc', '--grace-period=0', '--format=json')) as Record<string, unknown[]>;
    expect([images?.length, layers?.length, strays]).toEqual([2, 3, []]);
  });
});

describe('what is told of one image', () => {
  test('inspect', () => {
    const shown = JSON.parse(image('inspect', 'one:1', '--format=json')) as Record<string, unknown>;
    expect(shown).toMatchObject({
      id: ids['one'],
      name: 'one:1',
      names: ['one:1'],
      kind: 'oci',
      origin: `oci:${path('one')}:1`,
      os: 'linux',
      size: baseBytes + ownBytes,
      own_size: ownBytes,
      digests: { manifest: ids['one']?.replace('-', ':') },
      config: { entrypoint: ['/bin/busybox'], cmd: ['true'], user: '1:2', exposedPorts: ['80/tcp'] },
      layers: [
        { size: baseBytes, entries: 1, shared_with: [ids['two']] },
        { size: ownBytes, entries: 2, shared_with: [] },
      ],
      manifest: { schemaVersion: 2 },
    });
    expect(image('inspect', 'one:1')).toMatch(/^\{\n\t"id"/);
  });
  test('history', () => {
    expect(lines(image('history', 'one:1')).map((line) => line.split(/ {2,}/))).toEqual([
      ['LAYER', 'CREATED', 'SIZE', 'CREATED BY'],
      [expect.stringMatching(/^sha256:[0-9a-f]{12}$/), '-', '3.0KiB', 'COPY one # mine'],
      ['-', expect.stringMatching(/^\d+ days ago$/), '-', 'CMD ["x"]'],
      [
        expect.stringMatching(/^sha256:[0-9a-f]{12}$/),
        expect.stringMatching(/^\d+ days ago$/),
        `${(baseBytes / 1048576).toFixed(1)}MiB`,
        'ADD busybox',
      ],
    ]);
    expect(lines(image('history', '--full', '--no-legend', 'one:1'))[2]).toMatch(
      /^sha256:[0-9a-f]{64} {2}2020-01-02T03:04:05Z {2}\d+ {2}ADD busybox$/,
    );
    const steps = JSON.parse(image('history', '--format=json', 'one:1')) as unknown[];
    expect(steps[1]).toEqual({ created: '2020-01-03T03:04:05Z', created_by: 'CMD\t["x"]', comment: '' });
  });
  test('cat-manifest', () => {
    const text = image('cat-manifest', 'one:1');
    expect(text).toMatch(/^\{\n\t"acKind": "ImageManifest"/);
    expect(image('cat-manifest', '--pretty-print=false', 'one:1')).toBe(`${JSON.stringify(JSON.parse(text))}\n`);
    expect(JSON.parse(text)).toMatchObject({
      name: 'registry-1.docker.io/library/one',
      app: { exec: ['/bin/busybox', 'true'], user: '1', group: '2', ports: [{ name: '80-tcp', protocol: 'tcp', port: 80 }] },
    });
  });
  test.each([['inspect'], ['history'], ['cat-manifest'], ['verify'], ['export'], ['render'], ['extract']])('%s of what is not there', (verb) => {
    const { status, stderr } = rkt.run([
      'image',
      verb,
      'nobody',
      ...(verb === 'export' ? [path('x.aci')] : ['render', 'extract'].includes(verb) ? [path('x')] : []),
    ]);
    expect([status, stderr.split('\n')[0]]).toEqual([254, 'error: image nobody is not in the store [ERR_IMAGE_NOT_FOUND]']);
    if (verb !== 'verify') expect(rkt.run(['image', verb]).stderr).toContain('which image?');
  });
});

test.each([
  ['image', 'rm', 'sha512-0000', 'image sha512-0000 is not in the store'],
  ['image', 'inspect', 'sha256-0000', 'image sha256-0000 is not in the store'],
  ['fetch', '--full', 'sha256-123', 'no image IDs found for sha256-123'],
])('%s %s of an ID that nobody has: where to look', (...words) => {
  const { status, stderr } = rkt.run(words.slice(0, 3));
  expect([status, lines(stderr).slice(0, 2)]).toEqual([
    254,
    [`error: ${words[3]} [ERR_IMAGE_NOT_FOUND]`, 'hint: rkt image list shows the images there are'],
  ]);
});

describe('in other forms', () => {
  test('render and extract: --rootfs-only, --overwrite', () => {
    for (const verb of ['render', 'extract']) {
      const out = path(verb);
      image(verb, 'one:1', out);
      expect(readdirSync(out).sort()).toEqual(['manifest', 'rootfs']);
      expect(JSON.parse(readFileSync(join(out, 'manifest'), 'utf8'))).toEqual(JSON.parse(image('cat-manifest', 'one:1')));
      expect(statSync(join(out, 'rootfs/one/file')).ino).toBe(statSync(join(out, 'rootfs/one/hard')).ino);
      const again = rkt.run(['image', verb, '--rootfs-only', 'one:1', out]);
      expect([again.status, again.stderr]).toEqual([254, `error: output directory ${out} exists [ERR_IMAGE_OUTPUT]\nhint: try --overwrite\n`]);
      image(verb, '--rootfs-only', '--overwrite', 'one:1', out);
      expect(readdirSync(out).sort()).toEqual(['bin', 'one']);
      expect(rkt.run(['image', verb, '--overwrite', 'one:1', '/']).stderr).toContain('this would delete your root filesystem');
      rmSync(out, { recursive: true });
    }
  });
  test('export: an ACI, an archive, a layout; --overwrite', () => {
    const [aci, archive] = [path('out.aci'), path('out.oci.tar')];
    image('export', 'one:1', aci);
    expect(lines(run('tar', '-tf', aci)).slice(0, 3)).toEqual(['manifest', 'rootfs/', 'rootfs/bin/']);
    expect(rkt.run(['image', 'export', 'one:1', aci]).stderr).toBe(`error: ${aci} exists [ERR_IMAGE_OUTPUT]\nhint: --overwrite replaces it\n`);
    writeFileSync(aci, '');
    image('export', '--overwrite', 'one:1', aci);
    expect(statSync(aci).size).toBeGreaterThan(baseBytes);
    image('export', 'one:1', archive);
    image('export', 'two:2', `oci:${path('layout')}:x`);
    image('rm', 'one:1', 'two:2');
    expect(rkt.ok('run', '--net=none', `oci-archive:${archive}`, '--exec=/bin/busybox', '--', 'cat', '/one/hard')).toBe('one'.repeat(300));
    run('skopeo', 'inspect', `oci:${path('layout')}:x`);
    const bad = rkt.run(['image', 'export', 'one:1', path('out.zip')]);
    expect([bad.status, bad.stderr.includes('OUT.aci, OUT.oci.tar')]).toEqual([254, true]);
  });
  test('convert: OCI → ACI → OCI and OCI → OCI keep files and configuration', () => {
    image('rm', 'one:1', 'two:2');
    const insecure = '--insecure-options=image';
    const convert = (from: string, to: string): string => rkt.ok(insecure, 'image', 'convert', from, to);
    convert(`oci:${path('one')}:1`, path('c.aci'));
    convert(path('c.aci'), `oci:${path('back')}:1`);
    convert(`oci:${path('back')}:1`, path('d.oci.tar'));
    convert(`oci-archive:${path('d.oci.tar')}`, path('e.aci'));
    const seen = (reference: string, name: string): string[] => {
      const id = lines(rkt.ok(insecure, 'fetch', '--full', reference)).at(-1) ?? '';
      image('render', '--rootfs-only', id, path(`tree-${name}`));
      return treeOf(path(`tree-${name}`)).map((line) => line.replace(/^(\.|bin|one): directory (.*) \d+$/, '$1: directory $2'));
    };
    const tree = seen(`oci:${path('one')}:1`, 'one');
    expect(tree.length).toBeGreaterThan(4);
    expect(seen(path('c.aci'), 'c')).toEqual(tree);
    expect(seen(`oci:${path('back')}:1`, 'back')).toEqual(tree);
    expect(seen(`oci-archive:${path('d.oci.tar')}`, 'd')).toEqual(tree);
    expect(seen(path('e.aci'), 'e')).toEqual(tree);
    const configOf = (reference: string): unknown => {
      const config = JSON.parse(run('skopeo', 'inspect', '--config', '--raw', reference)) as Record<string, unknown>;
      return Object.entries(config)
        .filter(([key]) => key !== 'rootfs' && key !== 'history')
        .sort(([a], [b]) => (a < b ? -1 : 1));
    };
    expect(configOf(`oci:${path('back')}:1`)).toEqual(configOf(`oci:${path('one')}:1`));
    expect(configOf(`oci-archive:${path('d.oci.tar')}`)).toEqual(configOf(`oci:${path('one')}:1`));
    rkt.ok(insecure, 'run', '--net=none', path('e.aci'));
  });
  test('an ACI with dependencies: extract its own files, render and export all of them', () => {
    const aci = (name: string, file: string, dependency?: string): string => {
      const manifest = {
        acKind: 'ImageManifest',
        acVersion: '0.8.11',
        name: `example.com/${name}`,
        ...(dependency === undefined ? {} : { dependencies: [{ imageName: `example.com/${dependency}` }] }),
        app: { exec: ['/x'], user: '0', group: '0' },
      };
      writeFileSync(
        path(`${name}.aci`),
        tarArchive([
          { name: 'manifest', data: JSON.stringify(manifest) },
          { name: 'rootfs', type: '5' },
          { name: `rootfs/${file}`, data: file },
        ]),
      );
      return lines(rkt.ok('--insecure-options=image', 'fetch', '--full', path(`${name}.aci`))).at(-1) ?? '';
    };
    aci('below', 'b');
    const id = aci('above', 'a', 'below');
    const into = (verb: string): string[] => {
      image(verb, '--rootfs-only', '--overwrite', id, path('out'));
      return readdirSync(path('out'));
    };
    expect(into('extract')).toEqual(['a']);
    expect(into('render')).toEqual(['a', 'b']);
    image('export', '--overwrite', id, path('whole.aci'));
    expect(lines(run('tar', '-tf', path('whole.aci')))).toEqual(['manifest', 'rootfs/', 'rootfs/a', 'rootfs/b']);
    expect(run('tar', '-xOf', path('whole.aci'), 'manifest')).not.toContain('dependencies');
    expect(JSON.parse(image('cat-manifest', id))).toMatchObject({ name: 'example.com/above', dependencies: [{ imageName: 'example.com/below' }] });
    expect(JSON.parse(image('inspect', '--format=json', id))).toMatchObject({ kind: 'aci', id, appc: { name: 'example.com/above' } });
    expect(lines(image('history', '--no-legend', id))).toHaveLength(2);
    appendFileSync(join(cas('layers', id.slice('sha512-'.length, 'sha512-'.length + 24)), 'a'), 'x');
    expect(rkt.run(['--insecure-options=image', 'image', 'verify', id]).status).toBe(0);
    expect(rkt.run(['image', 'verify', '--no-repair', id]).status).toBe(0);
  });
});

describe('verify', () => {
  const file = (): string => {
    const layer = readdirSync(cas('layers')).find((name) => existsSync(cas('layers', name, 'one'))) ?? '';
    return cas('layers', layer, 'one/file');
  };
  test('all is well: one, all, as JSON', () => {
    expect(image('verify', 'one:1')).toBe(`successfully verified checksum for image: "one:1" ("${ids['one']}")\n`);
    expect(lines(image('verify'))).toHaveLength(2);
    const [first] = JSON.parse(image('verify', 'one:1', '--format=json')) as { id: string; layers: unknown[] }[];
    expect(first).toEqual({
      id: ids['one'],
      name: 'one:1',
      layers: [
        { diff_id: expect.any(String) as string, damages: [] },
        { diff_id: expect.any(String) as string, damages: [] },
      ],
    });
  });
  test('a changed file: only told, then repaired', () => {
    appendFileSync(file(), 'x');
    const told = rkt.run(['image', 'verify', '--no-repair', 'one:1']);
    expect([told.status, told.stdout]).toEqual([254, '']);
    expect(told.stderr).toMatch(
      /^tree cache verification failed for image "one:1" \(sha256-[0-9a-f]{64}\), layer sha256:[0-9a-f]{64}\n {2}- one\/file has another modification time\n {2}- one\/file has 901 bytes, had 900\n$/,
    );
    const repaired = rkt.run(['image', 'verify']);
    expect(repaired.status).toBe(0);
    expect(repaired.stdout).toContain(`repaired image: "one:1" ("${ids['one']}")\n`);
    expect(repaired.stdout).toContain(`successfully verified checksum for image: "two:2"`);
    expect(readFileSync(file(), 'utf8')).toBe('one'.repeat(300));
    expect(rkt.run(['image', 'verify', '--no-repair']).status).toBe(0);
    expect(readdirSync(cas('tmp'))).toEqual([]);
  });
  test('a layer that is missing altogether, and its record', () => {
    const layer = join(file(), '../..');
    rmSync(layer, { recursive: true });
    expect(rkt.run(['image', 'verify', '--no-repair', 'one:1']).stderr).toContain('- the layer the layer is not in the store');
    image('verify', 'one:1');
    rmSync(`${layer}.tree`);
    expect(rkt.run(['image', 'verify', 'one:1']).stdout).toContain('repaired');
    expect(existsSync(`${layer}.tree`)).toBe(true);
  });
  test('where it came from is gone, or another image: it says so, and keeps what there is', () => {
    rmSync(path('one'), { recursive: true });
    appendFileSync(file(), 'x');
    const gone = rkt.run(['image', 'verify', 'one:1']);
    expect(gone.status).toBe(254);
    expect(gone.stderr).toContain(`cannot be repaired: oci:${path('one')}:1: there is no directory`);
    const hint = (...names: string[]): string =>
      `rkt image rm ${names.map((name) => ids[name]?.slice(0, 39)).join(' ')}, then rkt fetch ${names.map((name) => `oci:${path(name)}:${name === 'one' ? 1 : 2}`).join(' ')}\n`;
    expect(gone.stderr).toContain(`hint: put right what is in the way and verify again; or ${hint('one')}`);
    // A layer that both have stays as long as one of them does.
    rmSync(path('two'), { recursive: true });
    const shared = readdirSync(cas('layers')).find((name) => existsSync(cas('layers', name, 'bin/busybox'))) ?? '';
    chmodSync(cas('layers', shared, 'bin'), 0o700);
    const both = ['one', 'two'].sort((a, b) => ((ids[a] ?? '') < (ids[b] ?? '') ? -1 : 1));
    expect(rkt.run(['image', 'verify', 'two:2']).stderr).toContain(`; or ${hint(...both)}`);
    expect(rkt.run(['image', 'export', 'one:1', path('never.aci')]).stderr).toContain(`says what is wrong; ${hint(...both)}`);
    chmodSync(cas('layers', shared, 'bin'), 0o755);
    expect(readFileSync(file(), 'utf8')).toBe(`${'one'.repeat(300)}x`);
    writeLayout(path('one'), [base], { tag: '1' });
    expect(rkt.run(['image', 'verify', 'one:1']).stderr).toContain('holds another image now');
    expect(rkt.ok('run', '--net=none', ids['one'] ?? '')).toBe('');
  });
  test('what is written out is sound: rebuilt first, or refused', () => {
    appendFileSync(file(), 'x');
    const exported = rkt.run(['image', 'export', '--overwrite', 'one:1', path('sound.aci')]);
    expect([exported.status, exported.stderr]).toEqual([0, 'warning: tree cache of image one:1 was in a bad state and has been rebuilt\n']);
    expect(run('tar', '-xOf', path('sound.aci'), 'rootfs/one/file')).toBe('one'.repeat(300));
    rmSync(join(file(), '../..'), { recursive: true });
    image('render', '--overwrite', 'one:1', path('sound'));
    rmSync(path('one'), { recursive: true });
    appendFileSync(file(), 'x');
    const refused = rkt.run(['image', 'extract', '--overwrite', 'one:1', path('sound')]);
    expect([refused.status, refused.stderr.split('\n')[0]]).toEqual([254, 'error: image one:1 is damaged in the store [ERR_STORE_IO]']);
    expect(readFileSync(path('sound/rootfs/one/file'), 'utf8')).toBe('one'.repeat(300));
  });
  test('not under a running pod', async () => {
    const pod = rkt.start(['--net=none', 'one:1', '--exec=/bin/busybox', '--', 'sleep', '100']);
    appendFileSync(file(), 'x');
    const { status, stderr } = rkt.run(['image', 'verify', 'one:1']);
    expect([status, stderr.includes('cannot be repaired: a running pod uses it: stop it, then verify again')]).toEqual([254, true]);
    await pod.stop();
    expect(rkt.run(['image', 'verify', 'one:1']).status).toBe(0);
  });
});

test('fetch of several: each ID as it is there, also when a later one fails; one JSON document, or none', () => {
  image('rm', 'one:1', 'two:2');
  const [one, two, none] = [`oci:${path('one')}:1`, `oci:${path('two')}:2`, `oci:${path('nowhere')}`];
  const { status, stdout, stderr } = rkt.run(['fetch', '--full', two, one, none]);
  expect([status, stdout, lines(stderr).filter((line) => line.startsWith('error:'))]).toEqual([
    254,
    `${ids['two']}\n${ids['one']}\n`,
    [`error: there is no directory ${path('nowhere')} [ERR_IMAGE_NOT_FOUND]`],
  ]);
  // What is there already, and what is named twice.
  expect(lines(rkt.ok('fetch', '--full', 'one:1', two, 'one:1'))).toEqual([ids['one'], ids['two'], ids['one']]);
  const json = rkt.run(['fetch', '--format=json', one, none]);
  expect([json.status, json.stdout]).toEqual([254, '']);
  expect(JSON.parse(rkt.ok('fetch', '--format=json', one, two))).toHaveLength(2);
});

test('fetch of a file that is no archive says so first, then where reading it ended', () => {
  const [text, short, gz] = [path('text'), path('short'), path('text.gz')];
  writeFileSync(text, 'root:x:0:0:root:/root:/bin/sh\n'.repeat(40));
  writeFileSync(short, 'x');
  writeFileSync(gz, gzipSync(readFileSync(text)));
  for (const [file, reason] of [
    [text, 'the header at byte 0: checksum'],
    [short, 'is cut short'],
    [gz, 'the header at byte 0: checksum'],
  ] as const) {
    const { status, stderr } = rkt.run(['fetch', file]);
    expect([status, stderr]).toEqual([
      254,
      expect.stringContaining(`error: ${file} is no image (neither an ACI nor an OCI or Docker archive): ${reason}`),
    ]);
    expect(stderr).toContain('[ERR_IMAGE_INVALID]');
  }
  // It may well be one: nobody can say.
  writeFileSync(gz, readFileSync(gz).subarray(0, -9));
  expect(rkt.run(['fetch', gz]).stderr).toContain(`error: ${gz} is not whole gzip data`);
});

test('dir: what skopeo copies', () => {
  run('skopeo', 'copy', '-q', `oci:${path('one')}:1`, `dir:${path('d')}`);
  run('skopeo', 'copy', '-q', '-f', 'v2s2', `oci:${path('one')}:1`, `dir:${path('v2s2')}`);
  expect(lines(rkt.ok('fetch', '--full', `dir:${path('d')}`)).at(-1)).toBe(ids['one']);
  expect(rkt.ok('run', '--net=none', `dir:${path('v2s2')}`, '--exec=/bin/busybox', '--', 'cat', '/one/file')).toBe('one'.repeat(300));
  expect(rkt.ok('run', '--net=none', path('d'), '--exec=/bin/busybox', '--', 'cat', '/one/file')).toBe('one'.repeat(300));
  expect(rkt.run(['fetch', `dir:${path('d')}:tag`]).stderr).toContain('holds one image, and no name for it');
  const blob = readdirSync(path('d')).find((name) => name.length === 64 && statSync(path('d', name)).size < 3000) ?? '';
  rkt.gc();
  image('gc', '--grace-period=0');
  appendFileSync(path('d', blob), 'x');
  expect(rkt.run(['fetch', `dir:${path('d')}`]).stderr).toContain('[ERR_IMAGE_DIGEST]');
  rmSync(path('d', blob));
  expect(rkt.run(['fetch', `dir:${path('d')}`]).stderr).toContain('[ERR_IMAGE_INVALID]');
  expect(rkt.run(['fetch', `dir:${path('nowhere')}`]).stderr).toContain('there is no directory');
});

test('every command has help, and the group lists them', () => {
  const commands = ['list', 'fetch', 'inspect', 'history', 'cat-manifest', 'export', 'extract', 'render', 'convert', 'verify', 'rm', 'gc'];
  const { stderr } = rkt.run(['image']);
  for (const command of commands) {
    expect(stderr).toContain(command);
    expect(image(command, '--help')).toContain('Examples:');
  }
});

test('who may not read the store is told so', () => {
  const { status, stderr } = (() => {
    try {
      run('setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', rktPath, `--dir=${rkt.dataDir}`, 'image', 'list');
      return { status: 0, stderr: '' };
    } catch (error) {
      return error as { status: number; stderr: string };
    }
  })();
  expect(status).toBe(254);
  expect(stderr).toContain('[ERR_STORE_IO]');
  expect(stderr).toContain("The store is root's");
});
