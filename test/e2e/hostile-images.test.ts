/**
 * Images that lie, are damaged, want out or want everything: each is unpacked to exactly what the table says, or refused with
 * the code it says, by the built rkt; within five seconds and 200 MB, and nothing outside the store is touched.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openStore } from '../../src/state/images/store.ts';
import { corpus } from '../fixtures/hostile/corpus.ts';
import { enterHost, leftSince, residue } from '../rig/host.ts';
import { rktPath } from '../rig/rkt.ts';
import { treeOf } from '../rig/tree.ts';

/** CPU time, which does not depend on who else uses the machine. */
const maxCpuMs = 5_000;
const maxMB = 200;
let root = '';
let hook = '';
let box = '';
let hostBefore: string[] = [];
beforeAll(() => {
  enterHost();
  // Looked at once: fetches have nothing to do with networks, and there are hundreds of them here.
  hostBefore = residue();
  root = mkdtempSync('/tmp/rkt-hostile-');
  hook = join(root, 'peak.cjs');
  // VmHWM of rkt itself and its CPU time, as it ends.
  writeFileSync(
    hook,
    `process.on('exit', () => {
      const fs = require('node:fs');
      const [, kB] = /VmHWM:\\s+(\\d+)/.exec(fs.readFileSync('/proc/self/status', 'latin1'));
      const { user, system } = process.cpuUsage();
      if (process.env.RKT_USAGE) fs.writeFileSync(process.env.RKT_USAGE, JSON.stringify({ peakMB: kB / 1024, cpuMs: (user + system) / 1000 }));
    });`,
  );
  // Fresh, and in memory: on ext4 creating and removing thousands of files takes as long as others keep the disk busy.
  mkdirSync(join(root, 'box'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2g', 'tmpfs', join(root, 'box')]);
});
afterAll(() => {
  execFileSync('umount', [join(root, 'box')]);
  rmSync(root, { recursive: true, force: true });
  expect(leftSince(hostBefore), 'residue').toEqual([]);
});
beforeEach(() => {
  box = join(root, 'box');
  for (const directory of ['canary', 'image', 'config/limits.d', 'data']) mkdirSync(join(box, directory), { recursive: true });
  writeFileSync(join(box, 'canary/passwd'), 'root');
});
afterEach(() => void execFileSync('sh', ['-c', 'rm -rf "$1"/*', 'sh', box]));

/** What is around the store, as far as an image could want to touch it. */
const surroundings = (): string[] => [
  ...treeOf(root, { ignore: /^box\/(data|image)(\/|$)|^usage$/ }),
  ...readdirSync('/'),
  ...readdirSync('/tmp').filter((name) => name.startsWith('rkt-hostile')),
  ...treeOf('/etc', { ignore: /\/|^(mtab|resolv\.conf)$/ }).filter((line) => /^(passwd|shadow|evil|ld\.so\.preload):/.test(line)),
];
/** A line of the tree without what is the same for all: hash of the content, root as owner, times. */
const shortLine = (line: string): string =>
  line
    .replace(/: file (\d+) [0-9a-f]{32} /, ': file $1 ')
    .replace(/: character 0:0 .*/, ': whiteout')
    .replace(/(: link to .*) 777 0:0 -?\d+/, '$1')
    .replace(/ (\d+):(\d+) -?\d+(?=$| =| [a-z])/, (_, uid: string, gid: string) => (uid === '0' && gid === '0' ? '' : ` ${uid}:${gid}`));
/** What a failed or collected fetch leaves in the store: directories, and locks that stay for the next. */
const storeFiles = (): string[] =>
  readdirSync(join(box, 'data'), { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory() && !/(^|\/)(lock|.*\.lock)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));

const env = {
  ...process.env,
  PATH: (process.env['PATH'] ?? '')
    .split(':')
    .filter((path) => !path.includes('node_modules'))
    .join(':'),
};

test('the corpus is large, and its names are all different', () => {
  const names = Object.values(corpus).flatMap((images) => images.map(({ name }) => name));
  expect(names.length).toBeGreaterThan(150);
  expect(new Set(names).size).toBe(names.length);
});

describe.each(Object.entries(corpus))('%s', (_, images) => {
  test.each(images.map((image) => [image.name, image] as const))('%s', (__, { write, verdict, limits, keepsLayers = false }) => {
    const reference = write(join(box, 'image'), box);
    if (limits !== undefined)
      writeFileSync(join(box, 'config/limits.d/test.json'), JSON.stringify({ rktKind: 'imageLimits', rktVersion: 'v1', ...limits }));
    const before = surroundings();
    const usage = join(root, 'usage');
    rmSync(usage, { force: true });
    chmodSync(join(box, 'data'), 0o755);
    const { status, stdout, stderr } = spawnSync(
      rktPath,
      [`--dir=${box}/data`, `--local-config=${box}/config`, '--format=json', 'fetch', reference],
      {
        encoding: 'utf8',
        timeout: 60_000,
        killSignal: 'SIGKILL',
        maxBuffer: 1 << 26,
        env: { ...env, NODE_OPTIONS: `--require=${hook}`, RKT_USAGE: usage },
      },
    );
    const output = `${stdout}${stderr}`;
    expect(surroundings(), 'what is around the store').toEqual(before);
    expect(output.length, 'length of the message').toBeLessThan(20_000);
    if ('code' in verdict) {
      expect(output).toContain(verdict.code);
      expect(output).toContain(verdict.says ?? '');
      expect(status).not.toBe(0);
      const left = storeFiles().filter((path) => !(keepsLayers && path.startsWith(`${box}/data/cas/layers/`)));
      expect(left, 'left in the store').toEqual([]);
    } else {
      expect(status, output).toBe(0);
      const store = openStore(join(box, 'data'));
      const [image] = store.list();
      const { layers } = image ?? expect.fail('no image is stored');
      // A layer of rkt's own on top, which corrects directories, has no archive.
      const ofImage = layers.filter((layer) => (store.layer(layer)?.tarBytes ?? 0) > 0);
      const [top = ''] = store.layerPaths({ layers: ofImage.length > 0 ? ofImage : layers });
      const shown = treeOf(top).slice(1).map(shortLine);
      expect(shown).toEqual(verdict.tree(box).map((line) => line.replace('BOX', box)));
    }
    const { peakMB, cpuMs } = JSON.parse(readFileSync(usage, 'utf8')) as { peakMB: number; cpuMs: number };
    expect(peakMB, 'MB of memory').toBeLessThan(maxMB);
    expect(cpuMs, 'ms').toBeLessThan(maxCpuMs);
  });
});
