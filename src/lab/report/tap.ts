/** Test cases as TAP 14: one test point each, with what failed as a YAML block. Pure. @see testanything.org/tap-version-14-specification.html */
import type { CaseReport, TestCase } from './cases.ts';

/** A description is one line in which `#` begins a directive and `\` escapes. */
const description = (text: string): string =>
  text
    .replace(/[\\#]/g, '\\$&')
    // oxlint-disable-next-line no-control-regex -- these are what is looked for
    .replace(/[\u0000-\u001f\u007f\u0085\u2028\u2029]/g, '\ufffd');

/** JSON is YAML, whatever is in it; beyond ASCII it is escaped, for YAML knows more ends of lines than JSON. */
const yaml = (value: unknown): string =>
  JSON.stringify(value).replace(/[\u007f-\uffff]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`);

function block({ outcome, message, details, place }: TestCase): string[] {
  if (outcome === 'pass') return [];
  return [
    '  ---',
    `  message: ${yaml(message ?? '')}`,
    `  severity: ${outcome === 'fail' ? 'fail' : 'error'}`,
    ...(place === undefined ? [] : [`  at: ${yaml({ file: place.file, line: place.line })}`]),
    '  details:',
    ...details.map((line) => `    - ${yaml(line)}`),
    '  ...',
  ];
}

export function tapText({ groups }: CaseReport): string {
  const all = groups.flatMap(({ name, cases }) => cases.map((one) => ({ title: `${name}: ${one.name}`, one })));
  const points = all.flatMap(({ title, one }, index) => [
    `${one.outcome === 'pass' ? 'ok' : 'not ok'} ${index + 1} - ${description(title)}`,
    ...block(one),
  ]);
  return `${['TAP version 14', `1..${all.length}`, ...points].join('\n')}\n`;
}
