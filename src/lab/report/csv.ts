/** Cells as CSV (RFC 4180), one line each. Pure. */
import type { CellJson } from '../prediction.ts';
import type { MeasuredCell, ResultCell } from '../results.ts';
import { decidingPlace } from './cases.ts';

/** A step and its cells; `expected` of a suite: its verdict for each cell. */
export interface CsvStep {
  readonly name: string;
  readonly cells: readonly (CellJson & { readonly measured?: MeasuredCell | null; readonly unmeasured?: ResultCell['unmeasured'] })[];
}

const columns = [
  'step',
  'from',
  'to',
  'protocol',
  'port',
  'family',
  'network',
  'predicted',
  'rule',
  'file',
  'line',
  'measured',
  'evidence',
  'measured rule',
  'rtt us',
];

/** Spreadsheets take text that begins so for a formula, quoted or not. Names of pods cannot, those of steps and files can. */
const looksLikeFormula = /^[=+\-@\t\r]/;

function field(value: string | number | null | undefined): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return String(value);
  const text = looksLikeFormula.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function line(step: string, cell: CsvStep['cells'][number]): string {
  const { from, to, protocol, port, family, network, predicted, measured, unmeasured } = cell;
  const place = decidingPlace(cell);
  return [
    step,
    from,
    to,
    protocol,
    port,
    `IPv${family}`,
    network,
    predicted.verdict,
    predicted.rule,
    place?.file,
    place?.line,
    measured?.verdict ?? (unmeasured === undefined ? '' : `not measured: ${unmeasured}`),
    measured?.evidence,
    measured?.rule,
    measured?.rtt_us,
  ]
    .map(field)
    .join(',');
}

export const csvText = (steps: readonly CsvStep[]): string =>
  `${[columns.join(','), ...steps.flatMap(({ name, cells }) => cells.map((cell) => line(name, cell)))].join('\r\n')}\r\n`;
