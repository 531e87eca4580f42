/** Fetches of ACIs at once, and killed ones: what is in the store is whole, what is left over is swept. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import type { TarMember } from '../../src/build/tar-writer.ts';
import { openStore } from '../../src/state/images/store.ts';
import { manifestOf, rootfs, writeAci } from '../netns/images/aci-rig.ts';
import { treeOf } from '../rig/tree.ts';
import { useHost } from '../rig/host.ts';
import { Rkt, rktPath } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();
beforeEach(() => rmSync(join(rkt.dataDir, 'cas'), { recursive: true, force: true }));

const aci = (name: string): string => join(rkt.config, `${name}.aci`);
const start = (...args: string[]): ChildProcess =>
  spawn(rktPath, rkt.arguments(['--insecure-options=image', ...args]), { stdio: ['ignore', 'pipe', 'pipe'] });
async function outcome(child: ChildProcess): Promise<string> {
  let out = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (out += chunk.toString()));
  await once(child, 'close');
  return out.trim();
}
const manyFiles = (count: number, from: string): TarMember[] => [
  ...rootfs({}),
  ...Array.from({ length: 50 }, (_, i): TarMember => ({ name: `rootfs/d${i}/`, type: '5' })),
  ...Array.from({ length: count }, (_, i): TarMember => ({ name: `rootfs/d${i % 50}/f${i}`, data: `${from} ${i}` })),
];
const cas = (...parts: string[]): string => join(rkt.dataDir, 'cas', ...parts);
const names = (path: string): string[] => (existsSync(path) ? readdirSync(path) : []);
const dependencies = [{ imageName: 'example.com/base' }];
const pathWhitelist = Array.from({ length: 200 }, (_, i) => `/d${(i * 2) % 50}/f${i * 2}`);

test('eight fetches of four images upon one base: each is whole, and what they share is there once', async () => {
  writeAci(aci('base'), manifestOf({ name: 'example.com/base' }), manyFiles(1000, 'base'));
  expect(await outcome(start('fetch', aci('base')))).toMatch(/^sha512-/);
  for (let i = 0; i < 4; i++)
    writeAci(aci(`app${i}`), manifestOf({ name: `example.com/app${i}`, dependencies, pathWhitelist }), manyFiles(300, 'app'));
  const ids = await Promise.all(Array.from({ length: 8 }, (_, i) => outcome(start('fetch', '--full', aci(`app${i % 4}`)))));
  expect(new Set(ids).size).toBe(4);
  const store = openStore(rkt.dataDir);
  const trees = [...new Set(ids)].map((id) => treeOf(store.layerPaths(store.find(id) ?? expect.fail(id))[0] ?? ''));
  for (const tree of trees) expect(tree).toEqual(trees[0]);
  expect(trees[0]).toHaveLength(1 + 25 + 200);
  expect(names(cas('tmp'))).toEqual([]);
});

test('killed at any moment: never half an image, and the next fetch succeeds', async () => {
  writeAci(aci('base'), manifestOf({ name: 'example.com/base' }), manyFiles(300, 'base'));
  expect(await outcome(start('fetch', aci('base')))).toMatch(/^sha512-/);
  writeAci(aci('app'), manifestOf({ dependencies, pathWhitelist }), manyFiles(400, 'app'));
  const began = performance.now();
  const id = await outcome(start('fetch', '--full', aci('app')));
  const wholeMs = performance.now() - began;
  const store = openStore(rkt.dataDir);
  const expected = treeOf(store.layerPaths(store.find(id) ?? expect.fail(id))[0] ?? '');
  for (let i = 0; i < 6; i++) {
    rkt.ok('image', 'rm', id);
    const child = start('fetch', '--full', aci('app'));
    const ended = outcome(child);
    await new Promise((done) => setTimeout(done, (wholeMs * (i + 1)) / 6));
    child.kill('SIGKILL');
    await ended;
    const found = openStore(rkt.dataDir).find(id);
    if (found !== undefined) expect(treeOf(store.layerPaths(found)[0] ?? '')).toEqual(expected);
    expect(await outcome(start('fetch', '--full', aci('app')))).toBe(id);
    expect(treeOf(store.layerPaths(store.find(id) ?? expect.fail(id))[0] ?? '')).toEqual(expected);
  }
  rkt.ok('image', 'gc', '--grace-period=24h');
  expect(names(cas('tmp'))).toEqual([]);
  expect(names(cas('leases'))).toEqual([]);
});
