/**
 * Fetch and unpack beside GNU tar with a decompressor and beside umoci: 100 MB, 7000 files, 5 layers; every side is
 * timed to the end of `sync -f`. By itself: `node test/bench/unpack.ts [ROUNDS]`.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { tarArchive, type TarMember } from '../../src/build/tar-writer.ts';
import { Random } from '../../src/lab/fuzz/random.ts';
import { alternate, type Variant } from './measure.ts';

export const layers = 5;
export const filesPerLayer = 1400;
const averageBytes = 14_400;

export interface UnpackTimes {
  readonly compression: 'gzip' | 'zstd';
  readonly rktMs: number;
  readonly tarMs: number;
  /** undefined where it is missing or, as 0.4.7 does zstd, does not know the compression */
  readonly umociMs: number | undefined;
  /** the largest resident set of rkt */
  readonly peakMB: number;
}

/** About a third of its size when compressed, as what images hold: half of it words, the rest noise. */
function content(bytes: number, random: Random, words: readonly string[]): Buffer {
  const data = Buffer.alloc(bytes);
  for (let at = 0; at < bytes;) {
    if (random.next() < 0.86) at += data.write(`${words[Math.floor(random.next() * words.length)] ?? ''} `, at, 'latin1');
    else at = data.writeUInt8(Math.floor(random.next() * 256), at);
  }
  return data;
}

/** One layer: directories of twenty files; sizes from empty to 200 kB; some links, whiteouts of the layer below. */
function layerTar(index: number): Buffer {
  const random = new Random(index + 1);
  const words = Array.from({ length: 2000 }, () => Math.floor(random.next() * 36 ** 8).toString(36));
  const mtime = 1_700_000_000;
  const members: TarMember[] = [];
  for (let i = 0; i < filesPerLayer; i++) {
    const directory = `usr/share/layer${index}/d${Math.floor(i / 20)}`;
    if (i % 20 === 0) members.push({ name: `${directory}/`, type: '5', mtime });
    const skewed = random.next() ** 3 * 4 * averageBytes;
    members.push({
      name: `${directory}/file${i}`,
      mtime: mtime + i,
      mode: i % 9 === 0 ? 0o755 : 0o644,
      data: content(Math.floor(skewed), random, words),
    });
    if (i % 40 === 0) members.push({ name: `${directory}/link${i}`, type: '2', mode: 0o777, linkName: `file${i}`, mtime });
    if (i % 50 === 0) members.push({ name: `${directory}/hard${i}`, type: '1', linkName: `${directory}/file${i}`, mtime });
    if (index > 0 && i % 100 === 0) members.push({ name: `usr/share/layer${index - 1}/d${Math.floor(i / 20)}/.wh.file${i}`, mtime });
  }
  return tarArchive(members);
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** Writes the image as an OCI layout. @returns files of its layers, bottom first */
export function writeImage(directory: string, compression: 'gzip' | 'zstd'): string[] {
  const blobs = join(directory, 'blobs/sha256');
  mkdirSync(blobs, { recursive: true });
  const put = (bytes: Uint8Array, mediaType: string): Descriptor => {
    const hex = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(join(blobs, hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const vendor = 'application/vnd.oci.image';
  const diffIds: string[] = [];
  const descriptors: Descriptor[] = [];
  for (let i = 0; i < layers; i++) {
    const tar = layerTar(i);
    diffIds.push(`sha256:${createHash('sha256').update(tar).digest('hex')}`);
    const blob = execFileSync(compression, ['-q', '-c'], { input: tar, maxBuffer: 1 << 30 });
    descriptors.push(put(blob, `${vendor}.layer.v1.tar+${compression}`));
  }
  const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';
  const config = put(
    Buffer.from(JSON.stringify({ os: 'linux', architecture, config: {}, rootfs: { type: 'layers', diff_ids: diffIds } })),
    `${vendor}.config.v1+json`,
  );
  const manifest = put(
    Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: `${vendor}.manifest.v1+json`, config, layers: descriptors })),
    `${vendor}.manifest.v1+json`,
  );
  const entry = { ...manifest, annotations: { 'org.opencontainers.image.ref.name': 'latest' } };
  writeFileSync(join(directory, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
  writeFileSync(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  return descriptors.map(({ digest }) => join(blobs, digest.slice('sha256:'.length)));
}

/** Preloaded into rkt: tells its largest resident set when it ends. */
export const peakHook = (file: string): string =>
  `process.on('exit', () => require('node:fs').writeFileSync(${JSON.stringify(file)}, String(process.resourceUsage().maxRSS)));`;

/** `rounds` of each, in turn, below `work`. What was unpacked stays until the end: on ext4 creating soon after a large removal is slow. */
export function measureUnpack(rkt: string, work: string, rounds: number, env: NodeJS.ProcessEnv): UnpackTimes[] {
  let runs = 0;
  const fresh = (): string => {
    const path = join(work, `run${runs++}`);
    mkdirSync(path);
    return path;
  };
  const sh = (script: string, ...args: string[]): string[] => ['sh', '-ec', script, 'sh', ...args];
  const hasUmoci = spawnSync('umoci', ['--version']).status === 0;
  return (['gzip', 'zstd'] as const).map((compression) => {
    const layout = join(work, compression);
    const blobs = writeImage(layout, compression);
    const fetching = (directory: string): string[] => sh('"$1" "--dir=$2/data" fetch "oci:$3:latest"; sync -f "$2"', rkt, directory, layout);
    const variant = (name: string, commandIn: (directory: string) => string[]): Variant => {
      const command: string[] = [];
      return {
        name,
        command,
        before() {
          command.splice(0, Infinity, ...commandIn(fresh()));
          execFileSync('sync', ['-f', work]);
        },
      };
    };
    const variants = [
      variant('rkt', fetching),
      variant('tar', (directory) =>
        sh(
          `d=$1; shift; n=0
        for b; do n=$((n+1)); mkdir $d/$n; tar -C $d/$n --use-compress-program=${compression} -xp --xattrs --numeric-owner -f $b; done
        sync -f $d`,
          directory,
          ...blobs,
        ),
      ),
      ...(hasUmoci && compression === 'gzip'
        ? [variant('umoci', (directory) => sh('umoci unpack --image "$1:latest" "$2/bundle" 2>/dev/null; sync -f "$2"', layout, directory))]
        : []),
    ];
    const times = alternate(variants, rounds, env);
    const hook = join(work, 'peak.cjs');
    writeFileSync(hook, peakHook(join(work, 'peak')));
    execFileSync('sh', fetching(fresh()).slice(1), { env: { ...env, NODE_OPTIONS: `--require=${hook}` }, stdio: 'ignore' });
    return {
      compression,
      rktMs: times.get('rkt')?.wallMs ?? Number.NaN,
      tarMs: times.get('tar')?.wallMs ?? Number.NaN,
      umociMs: times.get('umoci')?.wallMs,
      peakMB: Number(readFileSync(join(work, 'peak'), 'utf8')) / 1024,
    };
  });
}

if (process.argv[1] === import.meta.filename) {
  const work = mkdtempSync('/tmp/rkt-unpack-');
  try {
    const path = (process.env['PATH'] ?? '').split(':').filter((directory) => !directory.includes('node_modules'));
    const env = { ...process.env, PATH: path.join(':') };
    for (const times of measureUnpack(resolve(import.meta.dirname, '../../dist/rkt'), work, Number(process.argv[2] ?? 5), env)) {
      console.log(JSON.stringify({ ...times, ratioToTar: times.rktMs / times.tarMs }));
    }
    console.log(`${layers} layers, ${layers * filesPerLayer} files, 100 MB`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
