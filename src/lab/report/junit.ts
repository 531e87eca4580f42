/** Test cases as JUnit's XML, as far as CI systems agree on it: testsuites > testsuite > testcase > failure or error. Pure. */
import type { CaseGroup, CaseReport, TestCase } from './cases.ts';
import { type Element, xmlText } from './xml.ts';

const seconds = (ms: number): string => (ms / 1000).toFixed(3);
const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);
const countOf = (cases: readonly TestCase[], outcome: TestCase['outcome']): number => cases.filter((one) => one.outcome === outcome).length;
const timeOf = (cases: readonly TestCase[]): string => seconds(sum(cases.map(({ durationMs = 0 }) => durationMs)));

export function junitText({ name, groups }: CaseReport): string {
  const all = groups.flatMap(({ cases }) => cases);
  return xmlText({ tag: 'testsuites', attributes: { name, ...totals(all) }, children: groups.map((group) => suite(name, group)) });
}

const totals = (cases: readonly TestCase[]): Record<string, string | number> => ({
  tests: cases.length,
  failures: countOf(cases, 'fail'),
  errors: countOf(cases, 'error'),
  skipped: 0,
  time: timeOf(cases),
});

const suite = (report: string, { name, cases }: CaseGroup): Element => ({
  tag: 'testsuite',
  attributes: { name: `${report}: ${name}`, ...totals(cases) },
  children: cases.map(({ name: title, outcome, message, details, place, durationMs = 0 }) => ({
    tag: 'testcase',
    attributes: { classname: `${report}.${name}`, name: title, file: place?.file, line: place?.line, time: seconds(durationMs) },
    children:
      outcome === 'pass'
        ? []
        : [
            {
              tag: outcome === 'fail' ? 'failure' : 'error',
              attributes: { message, type: outcome === 'fail' ? 'policy' : 'no-evidence' },
              children: [details.join('\n')],
            },
          ],
  })),
});
