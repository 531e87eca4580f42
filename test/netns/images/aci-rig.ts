/** ACIs made from values. */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { tarArchive, type TarMember } from '../../../src/build/tar-writer.ts';

export const appcArch = process.arch === 'arm64' ? 'aarch64' : 'amd64';
export const sha512 = (bytes: Uint8Array): string => createHash('sha512').update(bytes).digest('hex');

export interface AciInput {
  readonly name?: string;
  readonly labels?: readonly { readonly name: string; readonly value: string }[];
  readonly [field: string]: unknown;
}
/** A manifest for this machine; what `input` has replaces what every image has. */
export const manifestOf = ({ name = 'example.com/app', ...input }: AciInput = {}): Record<string, unknown> => ({
  acKind: 'ImageManifest',
  acVersion: '0.8.11',
  name,
  labels: [
    { name: 'os', value: 'linux' },
    { name: 'arch', value: appcArch },
  ],
  app: { exec: ['/bin/app'], user: '0', group: '0' },
  ...input,
});
/** Labels of an image for this machine with a version. */
export const versioned = (version: string) => [...(manifestOf()['labels'] as { name: string; value: string }[]), { name: 'version', value: version }];

/** An archive with a manifest in front. `members`: names are those in the archive. */
export const aciOf = (manifest: unknown, members: readonly TarMember[]): Buffer =>
  tarArchive([{ name: 'manifest', data: typeof manifest === 'string' ? manifest : JSON.stringify(manifest) }, ...members]);

/** Files of a root file system by path: text, or a directory when it ends with a slash. All that leads there is listed. */
export function rootfs(files: Readonly<Record<string, string>>): TarMember[] {
  const members = new Map<string, TarMember>([['rootfs/', { name: 'rootfs/', type: '5' }]]);
  for (const [path, data] of Object.entries(files)) {
    const parts = path.split('/').filter((part) => part !== '');
    for (let i = 1; i < parts.length; i++) {
      const directory = `rootfs/${parts.slice(0, i).join('/')}/`;
      members.set(directory, { name: directory, type: '5' });
    }
    const name = `rootfs/${parts.join('/')}`;
    if (path.endsWith('/')) members.set(`${name}/`, { name: `${name}/`, type: '5' });
    else members.set(name, data.startsWith('-> ') ? { name, type: '2', linkName: data.slice(3) } : { name, data });
  }
  return [...members.values()];
}

/** Writes an ACI. @returns its image ID */
export function writeAci(path: string, manifest: unknown, members: readonly TarMember[] = rootfs({})): string {
  const bytes = aciOf(manifest, members);
  writeFileSync(path, bytes);
  return `sha512-${sha512(bytes)}`;
}
