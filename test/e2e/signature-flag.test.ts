/** `--signature FILE` behind an image of fetch and run, from outside. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { tarArchive } from '../../src/build/tar-writer.ts';
import { manifestOf, rootfs } from '../netns/images/aci-rig.ts';
import { GpgHome } from '../rig/gpg.ts';
import { useHost } from '../rig/host.ts';
import { Rkt, dist } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();
let gpg: GpgHome;
let alice = '';
beforeAll(() => {
  gpg = new GpgHome();
  alice = gpg.key('Alice <alice@example.com>');
});
afterAll(() => gpg[Symbol.dispose]());
const put = (name: string, bytes: string | Uint8Array): string => {
  const path = join(rkt.config, 'files', name);
  writeFileSync(path, bytes);
  return path;
};
/** An ACI and, elsewhere, its signature. */
const signed = (name: string): [path: string, signature: string] => {
  const bytes = tarArchive([{ name: 'manifest', data: JSON.stringify(manifestOf({ name: `example.com/${name}` })) }, ...rootfs({ hello: name })]);
  return [put(`${name}.aci`, bytes), put(`signature of ${name}`, gpg.sign(bytes, [alice], { armor: true }))];
};
beforeEach(() => {
  mkdirSync(join(rkt.config, 'files'), { recursive: true });
  mkdirSync(join(rkt.config, 'trustedkeys/root.d'), { recursive: true });
  writeFileSync(join(rkt.config, 'trustedkeys/root.d', alice), gpg.publicKey(true, alice));
});
afterEach(() => {
  for (const path of [join(rkt.config, 'files'), join(rkt.config, 'trustedkeys'), join(rkt.dataDir, 'cas')])
    rmSync(path, { recursive: true, force: true });
});
const refused = (...args: string[]): string => {
  const { status, stderr } = rkt.run(args);
  expect(status).toBe(254);
  return stderr.replaceAll(`${rkt.config}/files/`, '');
};

test('each image has its own, and other flags may stand behind an image', () => {
  const [[a, signatureOfA], [b, signatureOfB]] = [signed('a'), signed('b')];
  const ids = rkt.ok('fetch', a, `--signature=${signatureOfA}`, b, '--signature', signatureOfB, '--full').trim().split('\n');
  expect(ids.map((id) => id.length)).toEqual([135, 135]);
  expect(rkt.ok('image', 'list', '--no-legend', '--fields=name')).toMatch(/example.com\/a[^]*example.com\/b/);
  expect(refused('fetch', signed('c')[0], signed('d')[0], `--signature=${signed('d')[1]}`)).toContain('there is no signature c.aci.asc');
});

test('a wrong one, none, one beside the image that is better', () => {
  const [[a, signatureOfA], [b, signatureOfB]] = [signed('a'), signed('b')];
  expect(refused('fetch', a, `--signature=${signatureOfB}`)).toContain('the signature of example.com/a by Alice <alice@example.com>');
  expect(refused('fetch', a, '--signature=/none')).toContain('there is no signature /none');
  put('b.aci.asc', 'scribble');
  expect(refused('fetch', b)).toContain('holds no PGP SIGNATURE');
  expect(rkt.run(['fetch', b, `--signature=${signatureOfB}`]).status).toBe(0);
  expect(rkt.run(['fetch', a, `--signature=${signatureOfA}`]).status).toBe(0);
});

test('an image that has no such signature, and arguments for nobody', () => {
  const layout = join(dist, 'images/busybox');
  const [, signature] = signed('a');
  for (const reference of [`oci:${layout}`, layout])
    expect(refused('fetch', reference, `--signature=${signature}`)).toContain('is no ACI, and only those have signatures that --signature names');
  expect(refused('run', '--net=none', `oci:${layout}`, `--signature=${signature}`, '--exec=/bin/true')).toContain('is no ACI');
  expect(refused('fetch', 'busybox', '--', 'x')).toContain('app arguments unsupported');
  expect(rkt.run(['fetch', 'busybox', '--full']).status).toBe(0);
});
