/**
 * `npm run conformance`: one line for each number of the catalogue, from the tests that carry it. Fails when a number has
 * neither a test that passed nor a reason, and when a test failed.
 * `--format=json` prints the lines as JSON.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { catalogue, counts, elsewhere, notApplicable } from './catalogue.ts';
import { numbersOf } from './numbers.ts';

interface Result {
  readonly file: string;
  readonly title: string;
  readonly passed: boolean;
  /** first lines of the failure */
  readonly why: string;
}
interface JsonReport {
  readonly testResults: readonly {
    readonly name: string;
    readonly message?: string;
    readonly assertionResults: readonly { readonly title: string; readonly status: string; readonly failureMessages?: readonly string[] }[];
  }[];
}

const root = resolve(import.meta.dirname, '../..');

interface Run {
  readonly results: readonly Result[];
  /** files that could not be loaded */
  readonly errors: readonly string[];
  readonly ok: boolean;
}

function run(...args: string[]): Run {
  const dir = mkdtempSync(join(tmpdir(), 'rkt-conformance-report-'));
  const output = join(dir, 'report.json');
  try {
    const { status } = spawnSync(
      join(root, 'node_modules/.bin/vitest'),
      ['run', '-c', 'test/vitest.config.ts', '--reporter=json', `--outputFile=${output}`, ...args],
      { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
    );
    const { testResults } = JSON.parse(readFileSync(output, 'utf8')) as JsonReport;
    const results = testResults.flatMap(({ name, assertionResults }) =>
      assertionResults
        .filter(({ status: state }) => state === 'passed' || state === 'failed')
        .map(({ title, status: state, failureMessages }) => ({
          file: relative(root, name),
          title,
          passed: state === 'passed',
          why: (failureMessages?.[0] ?? '').split('\n').slice(0, 12).join('\n     '),
        })),
    );
    const errors = testResults
      .filter(({ assertionResults }) => assertionResults.length === 0)
      .map(({ name, message = '' }) => `${relative(root, name)}: ${message}`);
    return { results, errors, ok: status === 0 };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** Of files elsewhere only the tests that are named: what else is in them is their own business. */
const named = (): Run =>
  run('-t', elsewhere.map(({ title }) => title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|'), ...new Set(elsewhere.map(({ file }) => file)));

interface Line {
  readonly number: string;
  readonly text: string;
  readonly result: 'pass' | 'FAIL' | 'not applicable' | 'MISSING';
  readonly tests: readonly string[];
}

function lines(results: readonly Result[]): Line[] {
  return catalogue.map(({ number, text }) => {
    const own = results.filter(({ file, title }) => file.startsWith('test/conformance/') && numbersOf(title).includes(number));
    const others = elsewhere
      .filter(({ numbers }) => numbers.includes(number))
      .map(
        ({ file, title }) =>
          results.find((result) => result.file === file && result.title === title) ?? {
            file,
            title: `${title} (no such test)`,
            passed: false,
            why: '',
          },
      );
    const all = [...own, ...others];
    const tests = all.map(
      ({ file, title, passed }) => `${passed ? '' : 'FAILED '}${file.replace('test/conformance/', '').replace('.test.ts', '')}: ${title}`,
    );
    if (all.length > 0) return { number, text, result: all.every(({ passed }) => passed) ? 'pass' : 'FAIL', tests };
    const reason = notApplicable[number];
    return reason === undefined ? { number, text, result: 'MISSING', tests: [] } : { number, text, result: 'not applicable', tests: [reason] };
  });
}

const [here, there] = [run('test/conformance/'), named()];
const results = [...here.results, ...there.results];
const errors = [...here.errors, ...there.errors];
const ok = here.ok && there.ok;
const table = lines(results);
if (process.argv.includes('--format=json')) console.log(JSON.stringify(table));
else
  for (const { number, result, text, tests } of table) {
    const more = tests.length > 1 ? ` (and ${tests.length - 1} more)` : '';
    console.log(`${number.padEnd(4)} ${result.padEnd(15)} ${text.padEnd(58)} ${tests[0] ?? ''}${more}`);
    for (const test of result === 'FAIL' ? tests.filter((one) => one.startsWith('FAILED')) : []) console.log(`     ${test}`);
  }
// Tests of the same files that carry no number: the table does not show them, the exit status does.
const others = results.filter(({ passed, title }) => !passed && numbersOf(title).length === 0);
for (const { file, title, why } of others) console.log(`FAILED without a number: ${file}: ${title}\n     ${why}`);
for (const error of errors) console.log(`FAILED to load: ${error}`);
const count = (result: Line['result']): number => table.filter((line) => line.result === result).length;
const wanted = Object.values(counts).reduce((sum, n) => sum + n, 0);
console.log(
  `\n${wanted} numbers: ${count('pass')} pass, ${count('FAIL')} fail, ${count('not applicable')} not applicable, ${count('MISSING')} missing`,
);
process.exit(ok && table.length === wanted && count('FAIL') === 0 && count('MISSING') === 0 ? 0 : 1);
