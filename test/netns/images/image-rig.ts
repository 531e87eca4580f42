/** Images for the tests: layouts made from bytes, trees listed to the last attribute, a store that must stay clean. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach } from 'vitest';
import { lsetxattr } from '../../../src/host/linux.ts';
import type { StoredImage } from '../../../src/model/oci.ts';
import { fetchImage, type FetchOptions } from '../../../src/stage0/fetch/fetch.ts';
import { openStore, type ImageStore } from '../../../src/state/images/store.ts';

export { treeOf } from '../../rig/tree.ts';
export const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');
export const run = (program: string, ...args: string[]): string =>
  execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** One test's directory and store; gone after it. */
export class ImageRig {
  dir = '';
  store: ImageStore = openStore('/nonexistent');

  constructor() {
    beforeEach(() => {
      this.dir = mkdtempSync('/tmp/rkt-images-');
      this.store = openStore(join(this.dir, 'data'));
      mkdirSync(join(this.dir, 'embedded'));
    });
    afterEach(() => rmSync(this.dir, { recursive: true, force: true }));
  }

  /** A store that has nothing. */
  reset(): void {
    rmSync(this.store.dataDir, { recursive: true, force: true });
  }
  path(...parts: string[]): string {
    return join(this.dir, ...parts);
  }
  /** An empty directory of its own. */
  directory(name: string): string {
    const path = this.path(name);
    mkdirSync(path, { recursive: true });
    chmodSync(path, 0o755);
    return path;
  }
  fetch(reference: string, options: Partial<FetchOptions> = {}): Promise<StoredImage> {
    return fetchImage(reference, { store: this.store, progress: () => undefined, embedded: this.path('embedded'), ...options });
  }
  /** Everything in the store, relative; empty directories that every store has are left out. */
  stored(): string[] {
    const cas = join(this.store.dataDir, 'cas');
    if (!existsSync(cas)) return [];
    return readdirSync(cas, { recursive: true, encoding: 'utf8' })
      .filter((path) => !/^(blobs|blobs\/sha(256|512)|images|names|sources|layers|leases|tmp)$/.test(path))
      .sort();
  }
  /** The layers of `image` as an overlay mount shows them. */
  mounted<T>(image: StoredImage, look: (root: string) => T): T {
    const layers = this.store.layerPaths(image);
    const [root, upper, work] = ['merged', 'upper', 'work'].map((name) => this.directory(name));
    run('mount', '-t', 'overlay', 'overlay', '-o', `lowerdir=${layers.join(':')},upperdir=${upper ?? ''},workdir=${work ?? ''}`, root ?? '');
    try {
      return look(root ?? '');
    } finally {
      run('umount', root ?? '');
    }
  }
}

export interface LayerBytes {
  /** as stored */
  readonly blob: Uint8Array;
  /** uncompressed */
  readonly tar: Uint8Array;
  readonly mediaType?: string;
}
export const gzipped = (tar: Uint8Array): LayerBytes => ({ tar, blob: gzipSync(tar), mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip' });
export const plain = (tar: Uint8Array): LayerBytes => ({ tar, blob: tar, mediaType: 'application/vnd.oci.image.layer.v1.tar' });

export interface LayoutInput {
  readonly tag?: string;
  readonly config?: Record<string, unknown>;
  readonly platform?: { readonly os: string; readonly architecture: string };
  /** changes what is about to be written, for images that lie */
  readonly change?: (documents: {
    config: Record<string, unknown>;
    manifest: { layers: { digest: string; size: number; mediaType: string }[]; config: { digest: string; size: number } };
    index: { manifests: { digest: string; size: number }[] };
  }) => void;
}
export const hostArchitecture = process.arch === 'arm64' ? 'arm64' : 'amd64';

/** Writes an OCI layout. @returns its directory */
export function writeLayout(
  directory: string,
  layers: readonly LayerBytes[],
  { tag = 'latest', config: settings = {}, platform = { os: 'linux', architecture: hostArchitecture }, change }: LayoutInput = {},
): string {
  const blobs = join(directory, 'blobs/sha256');
  mkdirSync(blobs, { recursive: true });
  const put = (bytes: Uint8Array | string, mediaType: string) => {
    writeFileSync(join(blobs, sha256(bytes)), bytes);
    return { mediaType, digest: `sha256:${sha256(bytes)}`, size: Buffer.byteLength(bytes) };
  };
  const config: Record<string, unknown> = {
    ...platform,
    config: settings,
    rootfs: { type: 'layers', diff_ids: layers.map(({ tar }) => `sha256:${sha256(tar)}`) },
  };
  const manifest = {
    schemaVersion: 2,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: '', size: 0 },
    layers: layers.map(({ blob, mediaType }) => put(blob, mediaType ?? 'application/vnd.oci.image.layer.v1.tar')),
  };
  const index = {
    schemaVersion: 2,
    manifests: [
      {
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        digest: '',
        size: 0,
        platform,
        annotations: { 'org.opencontainers.image.ref.name': tag },
      },
    ],
  };
  const documents = { config, manifest, index };
  change?.(documents);
  if (manifest.config.digest === '') Object.assign(manifest.config, put(JSON.stringify(config), manifest.config.mediaType));
  const [entry] = index.manifests;
  if (entry?.digest === '') Object.assign(entry, put(JSON.stringify(manifest), entry.mediaType));
  writeFileSync(join(directory, 'index.json'), JSON.stringify(index));
  writeFileSync(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  return directory;
}

/** A tree with everything a layer can hold. */
export function richTree(directory: string): string {
  const sh = (script: string): void => void execFileSync('/bin/sh', ['-ec', script], { cwd: directory, stdio: ['ignore', 'ignore', 'inherit'] });
  sh(`
    umask 022
    mkdir -p bin etc deep/er/and/deeper "with space" tmp empty setgid
    chmod 1777 tmp; chmod 2775 setgid; chown 0:50 setgid
    echo root:x:0:0::/root:/bin/sh > etc/passwd
    printf secret > etc/shadow; chmod 0 etc/shadow; chown 0:42 etc/shadow
    cp /bin/true bin/suid; chmod 4755 bin/suid
    ln bin/suid bin/hard; ln -s suid bin/soft; ln bin/soft deep/hardsoft
    ln -s /etc/passwd deep/absolute; ln -s ../../../../../etc/passwd deep/far; ln -s nowhere deep/dangling; ln -s loop deep/loop
    mkfifo deep/fifo; chmod 620 deep/fifo
    mknod deep/null c 1 3; mknod deep/disk b 259 1048575; chown 7:8 deep/null
    chown -h 1000:100 bin/soft
    touch "with space/-dash" "with space/new
line" "$(printf 'not\\377utf8')" "$(printf 'caf\\303\\251')" "back\\\\slash" "quote'\\"" 
    mkdir "$(printf 'dir\\376')"; echo x > "$(printf 'dir\\376')/in"
    ln -s "$(printf 'to\\375')" "$(printf 'link\\375')"
    head -c 3000000 /dev/urandom > large
    : > zero
    chown 4000000000:3999999999 zero
    truncate -s 5M sparse; printf middle | dd of=sparse bs=1 seek=2000000 conv=notrunc status=none
    truncate -s 1M hole
  `);
  const name = 'n'.repeat(200);
  mkdirSync(join(directory, 'deep', name, name), { recursive: true });
  writeFileSync(join(directory, 'deep', name, name, name), 'long');
  lsetxattr(join(directory, 'large'), 'user.note', Buffer.from('00ff3d0a', 'hex'));
  lsetxattr(join(directory, 'empty'), 'user.dir', Buffer.from('x'));
  lsetxattr(join(directory, 'etc/passwd'), 'trusted.mine', Buffer.from('y'));
  // cap_net_raw+ep: struct vfs_cap_data of revision 2.
  lsetxattr(join(directory, 'zero'), 'security.capability', Buffer.from('0100000200200000000000000000000000000000', 'hex'));
  sh(`
    touch -h -d '1999-12-31 23:59:59.123456789' bin/soft etc/passwd
    touch -h -d '1969-12-31 23:59:58.5 UTC' zero
    touch -d '2040-01-01 00:00:00.000000001' large
    find . -depth -type d -exec touch -d '2001-02-03 04:05:06.789' {} +
    chown 12:13 .; chmod 711 .
  `);
  return directory;
}
