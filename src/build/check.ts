/**
 * `npm run check`: everything that needs no root. Static checks side by side, then unit, golden and architecture tests.
 * `--static` leaves the tests out (npm test runs them with the rest).
 */
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');
const bin = (name: string): string => join(root, 'node_modules/.bin', name);

const statics: readonly (readonly [string, string, readonly string[]])[] = [
  ['types', 'tsc', ['-p', '.']],
  ['types of the page', 'tsc', ['-p', 'src/lab/report/page']],
  ['lint', 'oxlint', ['-c', 'test/oxlint.json', '--type-aware', '--deny-warnings', 'src', 'cni-plugins', 'test']],
  ['format', 'oxfmt', ['-c', 'test/oxfmt.json', '--check', 'src', 'cni-plugins', 'test']],
  ['dead code', 'knip', []],
];

/** Runs one tool; its output is shown only when it fails. */
function check(name: string, command: string, args: readonly string[], show = false): Promise<boolean> {
  const started = performance.now();
  return new Promise((done) => {
    const child = spawn(bin(command), args, { cwd: root, stdio: show ? 'inherit' : 'pipe' });
    let output = '';
    child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('error', (error) => {
      console.log(`${name}: ${error.message}`);
      done(false);
    });
    child.on('close', (status) => {
      console.log(`${status === 0 ? 'ok  ' : 'FAIL'} ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
      if (status !== 0) console.log(output);
      done(status === 0);
    });
  });
}

const results = await Promise.all(statics.map(([name, command, args]) => check(name, command, args)));
if (!process.argv.includes('--static')) {
  results.push(
    await check(
      'unit, golden, architecture',
      'vitest',
      ['run', '-c', 'test/vitest.config.ts', '--project', 'unit', '--project', 'golden', '--project', 'arch'],
      true,
    ),
  );
}
process.exit(results.every(Boolean) ? 0 : 1);
