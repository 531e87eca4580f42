/** The image that comes with rkt: Debian's static busybox as an OCI layout. The same busybox and Node give the same digests. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { tarArchive, type TarMember } from './tar-writer.ts';

const busyboxPath = '/bin/busybox';
const architectures: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

const accounts = [
  ['root', 0, '/root', '/bin/sh'],
  ['daemon', 1, '/usr/sbin', '/bin/false'],
  ['bin', 2, '/bin', '/bin/false'],
  ['sys', 3, '/dev', '/bin/false'],
  ['mail', 8, '/var/mail', '/bin/false'],
  ['www-data', 33, '/var/www', '/bin/false'],
  ['nobody', 65534, '/nonexistent', '/bin/false'],
] as const;
const passwd = accounts.map(([name, id, home, shell]) => `${name}:x:${id}:${name === 'nobody' ? 65534 : id}:${name}:${home}:${shell}\n`).join('');
const group = [...accounts.map(([name, id]) => [name === 'nobody' ? 'nogroup' : name, id] as const), ['tty', 5] as const, ['users', 100] as const]
  .sort(([, a], [, b]) => a - b)
  .map(([name, id]) => `${name}:x:${id}:\n`)
  .join('');

const directories: readonly (readonly [string, number])[] = [
  ['bin', 0o755],
  ['dev', 0o755],
  ['etc', 0o755],
  ['home', 0o755],
  ['proc', 0o755],
  ['root', 0o700],
  ['run', 0o755],
  ['sbin', 0o755],
  ['sys', 0o755],
  ['tmp', 0o1777],
  ['usr', 0o755],
  ['usr/bin', 0o755],
  ['usr/sbin', 0o755],
  ['var', 0o755],
  ['var/log', 0o755],
  ['var/mail', 0o755],
  ['var/spool', 0o755],
  ['var/spool/cron', 0o755],
  ['var/spool/cron/crontabs', 0o755],
  ['var/tmp', 0o1777],
  ['var/www', 0o755],
];

/** The layer, uncompressed: sorted, owned by root, as old as time itself. */
function layerMembers(busybox: Buffer, applets: readonly string[]): TarMember[] {
  const files: TarMember[] = [
    ...directories.map(([name, mode]): TarMember => ({ name: `${name}/`, type: '5', mode })),
    { name: 'etc/passwd', data: passwd },
    { name: 'etc/group', data: group },
    { name: 'etc/shells', data: '/bin/sh\n/bin/ash\n' },
    { name: 'etc/nsswitch.conf', data: 'passwd: files\ngroup: files\nhosts: files dns\n' },
    { name: 'var/run', type: '2', mode: 0o777, linkName: '../run' },
  ];
  const byName = (a: TarMember, b: TarMember): number => (a.name < b.name ? -1 : 1);
  // Hard links, as in the official image: one inode for all applets, and a link needs nothing but its name.
  const links = applets
    .filter((path) => path !== 'bin/busybox')
    .map((name): TarMember => ({ name, type: '1', mode: 0o755, linkName: 'bin/busybox' }));
  return [...files.sort(byName), { name: 'bin/busybox', mode: 0o755, data: busybox }, ...links.sort(byName)];
}

/** Applets at their usual places (`bin/ls`, `usr/bin/awk`, …), as `busybox --install` would put them. */
function appletPaths(): string[] {
  const listed = execFileSync(busyboxPath, ['--list-full'], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim().replace(/^\/+/, ''));
  return [...new Set(listed.filter((path) => /^(usr\/)?s?bin\/[^/]+$/.test(path)))];
}

/** Writes the layout to `outDir`, replacing what was there. */
export function makeBusyboxImage(outDir: string): void {
  const temporary = `${outDir}.${process.pid}.tmp`;
  rmSync(temporary, { recursive: true, force: true });
  const blobs = join(temporary, 'blobs/sha256');
  mkdirSync(blobs, { recursive: true });
  const put = (mediaType: string, bytes: Uint8Array): { mediaType: string; digest: string; size: number } => {
    const hex = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(join(blobs, hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

  const tar = tarArchive(layerMembers(readFileSync(busyboxPath), appletPaths()));
  const layer = put('application/vnd.oci.image.layer.v1.tar+gzip', gzipSync(tar, { level: 9 }));
  const platform = { architecture: architectures[process.arch] ?? process.arch, os: 'linux' };
  const config = put(
    'application/vnd.oci.image.config.v1+json',
    json({
      created: '1970-01-01T00:00:00Z',
      ...platform,
      config: { Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], Cmd: ['/bin/sh'] },
      rootfs: { type: 'layers', diff_ids: [`sha256:${createHash('sha256').update(tar).digest('hex')}`] },
      history: [{ created: '1970-01-01T00:00:00Z', created_by: 'rkt: busybox-static of Debian' }],
    }),
  );
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = put(mediaType, json({ schemaVersion: 2, mediaType, config, layers: [layer] }));
  writeFileSync(join(temporary, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(
    join(temporary, 'index.json'),
    json({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [{ ...manifest, platform, annotations: { 'org.opencontainers.image.ref.name': 'latest' } }],
    }),
  );
  mkdirSync(dirname(outDir), { recursive: true });
  rmSync(outDir, { recursive: true, force: true });
  renameSync(temporary, outDir);
}
