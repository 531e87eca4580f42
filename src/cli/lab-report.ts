/** How the commands of `rkt lab` tell what they found: on standard output, and in files. */
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { type Findings, type ReportKind, renderReport, reportKinds } from '../lab/report/report.ts';
import { RuntimeError, messageOf } from '../model/errors.ts';
import type { Flag } from './command.ts';
import { out, outJson } from './output.ts';

export const labFormatFlag = {
  type: 'string',
  value: 'FORMAT',
  choices: ['text', 'json', 'json-pretty', 'junit', 'csv', 'tap'],
  default: 'text',
  help: 'what is printed',
} as const satisfies Flag;

export const reportFlag = {
  type: 'list',
  value: 'KIND=FILE',
  help: `write a report to FILE as well: ${reportKinds.join(', ')}; may be repeated`,
} as const satisfies Flag;

/** A report that is asked for. */
export interface Report {
  readonly kind: ReportKind;
  readonly file: string;
}

/** Reads `--report`s; what cannot be written is told before anything is done. @throws ERR_CLI_USAGE */
export function reportsOf(values: readonly string[], kinds: readonly ReportKind[] = reportKinds): Report[] {
  return values.map((value) => {
    const at = value.indexOf('=');
    const kind = kinds.find((one) => one === value.slice(0, at));
    const file = value.slice(at + 1);
    if (at < 0 || kind === undefined || file === '')
      throw new RuntimeError('ERR_CLI_USAGE', `--report=${value} is no report`, { hint: `write KIND=FILE; kinds are ${kinds.join(', ')}` });
    refuseUnwritable(file);
    return { kind, file };
  });
}

/** @throws ERR_CLI_USAGE. The file is made, so that the answer does not change in between. */
export function refuseUnwritable(file: string): void {
  try {
    closeSync(openSync(file, 'a'));
  } catch (error) {
    throw unwritable(file, error);
  }
}
const unwritable = (file: string, error: unknown): RuntimeError =>
  new RuntimeError('ERR_CLI_USAGE', `cannot write ${file}: ${messageOf(error)}`, { cause: error });

/** @throws ERR_CLI_USAGE */
export function writeText(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw unwritable(file, error);
  }
}

/** Writes every report that was asked for. */
export function writeReports(reports: readonly Report[], findings: Omit<Findings, 'html'> & Partial<Findings>): void {
  for (const { kind, file } of reports) {
    if (kind === 'json') writeText(file, `${JSON.stringify(findings.json)}\n`);
    else if (kind === 'html') writeText(file, findings.html?.() ?? '');
    else writeText(file, renderReport(kind, findings));
  }
}

/** Prints in the format that was asked for; `text` is what people read. */
export function tell(format: string | undefined, findings: Omit<Findings, 'html'>, text: () => void): void {
  switch (format) {
    case 'json':
    case 'json-pretty':
      return outJson(findings.json, format);
    case 'junit':
    case 'csv':
    case 'tap':
      return out(renderReport(format, findings));
    default:
      return text();
  }
}
