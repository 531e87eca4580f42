/**
 * Random stacks of layers, the same for the same seed: what an overlay mount of ours shows is what umoci makes of the image, all
 * metadata compared. RKT_SOAK=1 tries two hundred.
 */
import { rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import { tarArchive, type TarMember } from '../../../src/build/tar-writer.ts';
import { Random } from '../../../src/lab/fuzz/random.ts';
import { pax } from '../../fixtures/hostile/archive.ts';
import { useHost } from '../../rig/host.ts';
import { treeDigest } from '../../rig/tree.ts';
import { ImageRig, gzipped, plain, run, treeOf, writeLayout } from './image-rig.ts';

useHost();
const rig = new ImageRig();
const stacks = process.env['RKT_SOAK'] === '1' ? 200 : 10;

type Node = 'file' | 'directory' | 'symlink' | 'fifo';

/** Layers as a builder would make them: each entry fits what is below it. Links are to files of the same layer. */
class Stack {
  /** what one sees by now */
  readonly tree = new Map<string, Node>();
  #count = 0;
  readonly #random: Random;
  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  #below = (n: number): number => this.#random.integer(0, n - 1);
  #pick = <T>(from: readonly T[]): T | undefined => from[this.#below(from.length)];
  #meta(): Partial<TarMember> {
    return {
      uid: this.#below(3) * 1000,
      gid: this.#below(2) * 50,
      mtime: 1_000_000_000 + this.#below(1e9),
      mode: this.#pick([0o644, 0o755, 0o700, 0o4711, 0o2750, 0o1777]) ?? 0,
    };
  }
  /** Times to the nanosecond, and sometimes attributes, in a header of their own. */
  #extra(type: Node): TarMember[] {
    if (this.#random.next() < 0.5) return [];
    const records: Record<string, string> = { mtime: `${1_100_000_000 + this.#below(1e9)}.${String(this.#below(1e9)).padStart(9, '0')}` };
    if (type === 'file' || type === 'directory') records['SCHILY.xattr.user.note'] = `v${this.#below(100)}`;
    if (type === 'file' && this.#random.next() < 0.3)
      records['SCHILY.xattr.security.capability'] = Buffer.from('0100000200200000000000000000000000000000', 'hex').toString('latin1');
    return [pax(records)];
  }
  #directories = (): string[] => ['', ...[...this.tree].filter(([, node]) => node === 'directory').map(([path]) => path)];
  #gone(path: string): void {
    for (const known of this.tree.keys()) if (known === path || known.startsWith(`${path}/`)) this.tree.delete(known);
  }

  layer(): TarMember[] {
    const members: TarMember[] = [];
    /** what this layer has said about names: a name is said once */
    const said = new Set<string>();
    const files: string[] = [];
    const isFree = (path: string): boolean =>
      ![...said].some(
        (known) => known === path || known.startsWith(`${path}/`) || (path.startsWith(`${known}/`) && this.tree.get(known) !== 'directory'),
      );
    const steps = 3 + this.#below(25);
    for (let step = 0; step < steps; step++) {
      const parent = this.#pick(this.#directories()) ?? '';
      const reuse = this.#random.next() < 0.4 ? this.#pick([...this.tree.keys()]) : undefined;
      const path = reuse ?? `${parent === '' ? '' : `${parent}/`}n${this.#count++ % 40}`;
      if (!isFree(path)) continue;
      const there = this.tree.get(path);
      const up = path.includes('/') ? `${path.slice(0, path.lastIndexOf('/'))}/` : '';
      const leaf = path.slice(up.length);
      const kind = this.#below(10);
      if (kind < 2) {
        if (there === undefined) continue;
        members.push({ name: `${up}.wh.${leaf}`, mtime: 1 });
        this.#gone(path);
      } else if (kind === 2 && there === 'directory') {
        members.push({ name: `${path}/`, type: '5', ...this.#meta() }, { name: `${path}/.wh..wh..opq`, mtime: 1 });
        this.#gone(path);
        this.tree.set(path, 'directory');
      } else if (kind < 5) {
        members.push(...this.#extra('directory'), { name: `${path}/`, type: '5', ...this.#meta() });
        if (there !== 'directory') this.#gone(path);
        this.tree.set(path, 'directory');
      } else if (kind < 8) {
        members.push(...this.#extra('file'), { name: path, data: 'x'.repeat(this.#below(2000)), ...this.#meta() });
        this.#gone(path);
        this.tree.set(path, 'file');
        files.push(path);
      } else if (kind === 8) {
        const target = this.#pick(files.filter((known) => this.tree.get(known) === 'file' && known !== path));
        if (target === undefined) continue;
        members.push({ name: path, type: '1', linkName: target });
        this.#gone(path);
        this.tree.set(path, 'file');
      } else {
        const fifo = this.#random.next() < 0.3;
        members.push(
          ...this.#extra('symlink'),
          fifo
            ? { name: path, type: '6', ...this.#meta() }
            : { name: path, type: '2', linkName: this.#pick(['n1', '../x', '/n2/n3', 'none']) ?? '', ...this.#meta(), mode: 0o777 },
        );
        this.#gone(path);
        this.tree.set(path, fifo ? 'fifo' : 'symlink');
      }
      said.add(path);
    }
    return members;
  }
}

function writeStack(seed: number, count: number): string {
  const stack = new Stack(seed);
  const layers = Array.from({ length: count }, () => tarArchive(stack.layer()));
  return writeLayout(
    rig.path('web'),
    layers.map((tar, i) => ((seed + i) % 2 === 0 ? gzipped(tar) : plain(tar))),
  );
}
/** The root file system as umoci unpacks it. */
function oracle(layout: string): string {
  run('umoci', 'unpack', '--image', `${layout}:latest`, rig.path('bundle'));
  return rig.path('bundle/rootfs');
}

test('every transport gives the root file system that umoci gives', async () => {
  const layout = writeStack(4711, 8);
  const expected = oracle(layout);
  expect(treeOf(expected).length).toBeGreaterThan(25);
  const from = `oci:${layout}:latest`;
  const others = [`oci-archive:${rig.path('a.tar')}:latest`, `docker-archive:${rig.path('d.tar')}:web:latest`, `dir:${rig.path('plain')}`];
  for (const other of others) run('skopeo', 'copy', '-q', from, other);
  for (const reference of [from, ...others]) {
    rmSync(rig.store.dataDir, { recursive: true, force: true });
    const image = await rig.fetch(reference);
    expect(
      rig.mounted(image, (root) => treeDigest(root)),
      reference,
    ).toBe(treeDigest(expected));
  }
});

test('layers that two images have in common are unpacked once', async () => {
  const one = await rig.fetch(`oci:${writeStack(7, 5)}`);
  const inode = (path: string): string => run('stat', '-c', '%i', path);
  const before = rig.store.layerPaths(one).map(inode);
  rmSync(rig.path('web'), { recursive: true });
  const two = await rig.fetch(`oci:${writeStack(7, 6)}`);
  expect(two.id).not.toBe(one.id);
  expect(rig.store.layerPaths(two).map(inode)).toEqual(expect.arrayContaining(before.slice(-5)));
});

test.each(Array.from({ length: stacks }, (_, seed) => [seed]))('stack %i', async (seed) => {
  const layout = writeStack(seed, 2 + (seed % 6));
  const expected = treeOf(oracle(layout));
  const image = await rig.fetch(`oci:${layout}`);
  expect(rig.mounted(image, (root) => treeOf(root))).toEqual(expected);
});
