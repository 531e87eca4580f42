/**
 * `node test/conformance/run-mutants.ts [NUMBER…]`: breaks a copy of the tree in one place at a time, and asks the tests of
 * the numbers that must notice. A mutant that nobody notices is a hole in the tests: exit 1.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { elsewhere } from './catalogue.ts';
import type { Mutant } from './mutant.ts';
import { mutants } from './mutants.ts';
import { numbersOf } from './numbers.ts';

const root = resolve(import.meta.dirname, '../..');
/** Written over by builds: never linked. */
const copied = ['dist'];
const linked = ['src', 'cni-plugins', 'test', 'net.d', 'package.json', 'tsconfig.json'];

function copyTree(): string {
  const dir = mkdtempSync(join(tmpdir(), 'rkt-mutant-'));
  for (const name of linked) spawnSync('cp', ['-al', join(root, name), dir]);
  for (const name of copied) cpSync(join(root, name), join(dir, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
  return dir;
}

function replaceIn(dir: string, { file, find, replace }: Mutant): void {
  const path = join(dir, file);
  const text = readFileSync(path, 'utf8');
  if (text.split(find).length !== 2) throw new Error(`${file} does not hold once: ${find}`);
  // The link goes, not what it leads to.
  unlinkSync(path);
  writeFileSync(
    path,
    text.replace(find, () => replace),
  );
}

interface Assertion {
  readonly title: string;
  readonly status: string;
}
/** What vitest says of the tests of `files` whose title matches. */
function assertionsOf(dir: string, pattern: string, files: readonly string[], env: Record<string, string>): Assertion[] {
  const output = join(dir, 'report.json');
  spawnSync(
    join(root, 'node_modules/.bin/vitest'),
    ['run', '-c', 'test/vitest.config.ts', '--reporter=json', `--outputFile=${output}`, '-t', pattern, ...files],
    { cwd: dir, stdio: 'ignore', env: { ...process.env, ...env } },
  );
  const report = JSON.parse(readFileSync(output, 'utf8')) as { testResults: { assertionResults: Assertion[] }[] };
  return report.testResults.flatMap(({ assertionResults }) => assertionResults);
}

/** Numbers whose tests failed in the copy. */
function failing(dir: string, { numbers, types }: Mutant): Set<string> {
  if (types !== undefined) {
    const build = spawnSync(process.execPath, ['src/build/main.ts'], { cwd: dir, encoding: 'utf8' });
    if (build.status !== 0) throw new Error(`the mutant does not build: ${build.stderr}`);
  }
  const named = elsewhere.filter((test) => test.numbers.some((number) => numbers.includes(number)));
  const failed = named.flatMap(({ file, title, numbers: proved }) =>
    assertionsOf(dir, title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'), [file], {}).some((test) => test.title === title && test.status === 'failed')
      ? proved
      : [],
  );
  if (numbers.every((number) => named.some((test) => test.numbers.includes(number)))) return new Set(failed);
  const files = readdirSync(join(dir, 'test/conformance'))
    .filter((name) => name.endsWith('.test.ts') && name !== 'catalogue.test.ts' && (name === 'plugins.test.ts') === (types !== undefined))
    .map((name) => `test/conformance/${name}`);
  const here = assertionsOf(dir, `\\b(${numbers.join('|')})\\b`, files, types === undefined ? {} : { RKT_CONFORM_TYPES: types.join(',') });
  return new Set([...failed, ...here.filter(({ status }) => status === 'failed').flatMap(({ title }) => numbersOf(title))]);
}

const wanted = process.argv.slice(2);
const chosen = mutants.filter(({ numbers }) => wanted.length === 0 || numbers.some((number) => wanted.includes(number)));
const holes: string[] = [];
for (const mutant of chosen) {
  const dir = copyTree();
  try {
    replaceIn(dir, mutant);
    const noticed = failing(dir, mutant);
    const missed = mutant.numbers.filter((number) => !noticed.has(number));
    console.log(`${missed.length === 0 ? 'noticed ' : 'SURVIVED'} ${mutant.numbers.join(' ')}: ${mutant.file}: ${mutant.find.trim().slice(0, 60)}`);
    holes.push(...missed.map((number) => `${number}: ${mutant.file}: ${mutant.find}`));
  } finally {
    rmSync(dir, { recursive: true });
  }
}
const covered = new Set(mutants.flatMap(({ numbers }) => numbers));
console.log(`\n${chosen.length} mutants, ${covered.size} numbers have one; ${holes.length} not noticed`);
for (const hole of holes) console.log(`not noticed: ${hole}`);
process.exit(holes.length === 0 && chosen.length > 0 ? 0 : 1);
