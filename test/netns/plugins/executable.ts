/** Our plugins as executables, bundled as the build does it, into a directory of the test's own; and any plugin, asked. */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type BuildOptions, buildSync } from 'esbuild';

const root = resolve(import.meta.dirname, '../../..');

/** A directory with an executable of each type; the caller removes it. */
export function makeExecutables(...types: string[]): string {
  const dir = mkdtempSync(join(tmpdir(), 'rkt-plugins-'));
  for (const type of types) {
    bundle(join(dir, type), { entryPoints: [join(root, 'cni-plugins', type, 'main.ts')] });
  }
  return dir;
}

/** An executable at `outfile` of TypeScript that imports relative to the root of the sources. */
export const makeExecutable = (outfile: string, contents: string): void => bundle(outfile, { stdin: { contents, resolveDir: root, loader: 'ts' } });

function bundle(outfile: string, source: Pick<BuildOptions, 'entryPoints' | 'stdin'>): void {
  buildSync({
    ...source,
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    logLevel: 'warning',
    define: { __DIST__: JSON.stringify(join(root, 'dist')), __VERSION__: '"0.0.0-test"' },
    banner: { js: '#!/usr/bin/env node' },
  });
  chmodSync(outfile, 0o755);
}

export interface Answer {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** stdout decoded, {} when it is empty */
  readonly json: {
    code?: number;
    msg?: string;
    details?: string;
    cniVersion?: string;
    ips?: { address: string; gateway?: string }[];
    [key: string]: unknown;
  };
}
const answer = (status: number | null, stdout: string, stderr: string): Answer => ({
  status,
  stdout,
  stderr,
  json: stdout.trim() === '' ? {} : (JSON.parse(stdout) as Answer['json']),
});
const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('CNI_') && name !== 'NODE_OPTIONS'));

/** Runs `path` with CNI_ variables `env` (names without the prefix). */
export function ask(path: string, env: Record<string, string>, stdin: string): Answer {
  const cni = Object.fromEntries(Object.entries(env).map(([name, value]) => [`CNI_${name}`, value]));
  const { status, stdout, stderr } = spawnSync(path, [], { env: { ...clean, ...cni }, input: stdin, encoding: 'utf8', timeout: 20_000 });
  return answer(status, stdout, stderr);
}

export function askAtOnce(path: string, env: Record<string, string>, stdin: string): Promise<Answer> {
  const cni = Object.fromEntries(Object.entries(env).map(([name, value]) => [`CNI_${name}`, value]));
  return new Promise((done, fail) => {
    const child = spawn(path, [], { env: { ...clean, ...cni }, stdio: 'pipe' });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.on('error', fail);
    child.on('close', (status) => done(answer(status, stdout, stderr)));
    child.stdin.end(stdin);
  });
}
