/** The matrix as text, as Cyclonus prints it: rows send, columns receive, one letter for each protocol and port. Pure. @see policy.md 5f */
import { type LabResult, type ResultCell, type ResultStep, type Violation, isMismatch, isOtherRule, isWithoutEvidence } from './results.ts';

export interface TextOptions {
  readonly color: boolean;
  /** every row of lists, however long */
  readonly verbose: boolean;
}

const red = (text: string, on: boolean): string => (on ? `\u001b[31;1m${text}\u001b[0m` : text);
const dim = (text: string, on: boolean): string => (on ? `\u001b[2m${text}\u001b[0m` : text);

/** `.` allowed, `X` denied, `#` to itself, `?` no evidence, `x` open though it should be closed, `O` closed though it should be open. */
function letterOf(cell: ResultCell): string {
  if (cell.measured === null) return cell.unmeasured === 'loopback' ? '#' : cell.predicted.verdict === 'allow' ? '.' : 'X';
  if (isWithoutEvidence(cell)) return '?';
  if (isMismatch(cell)) return cell.measured.verdict === 'allow' ? 'x' : 'O';
  return cell.measured.verdict === 'allow' ? '.' : 'X';
}
const legend = '. allowed  X denied  # to itself  ? no evidence  - not asked  x open, predicted closed  O closed, predicted open';

const portOf = ({ protocol, port }: ResultCell): string => `${protocol}/${port}`;

/** Cells of a step in tables that hold one cell at most for each pair and port: networks and families apart, unless they say the same. */
function tablesOf(cells: readonly ResultCell[]): { title: string; cells: readonly ResultCell[] }[] {
  const groups = new Map<string, ResultCell[]>();
  for (const cell of cells) {
    const title = `${cell.network} IPv${cell.family}`;
    const group = groups.get(title);
    if (group === undefined) groups.set(title, [cell]);
    else group.push(cell);
  }
  const tables = [...groups].map(([title, of]) => ({ title, cells: of }));
  const networks = new Set(cells.map(({ network }) => network));
  const [first, ...others] = tables;
  if (first === undefined || networks.size > 1) return tables;
  const said = (of: readonly ResultCell[]): string => of.map((cell) => `${cell.from} ${cell.to} ${portOf(cell)} ${letterOf(cell)}`).join('\n');
  return others.every((table) => said(table.cells) === said(first.cells))
    ? [{ title: tables.map(({ title }) => title.replace(/^.* /, '')).join(' and '), cells: first.cells }]
    : tables.map(({ title, cells: of }) => ({ title: title.replace(/^.* /, ''), cells: of }));
}

function grid(cells: readonly ResultCell[], color: boolean): string {
  // Ends stay in the order of the cells; ports in Cyclonus' (SCTP/80 SCTP/81 TCP/80 …).
  const rows = [...new Set(cells.map(({ from }) => from))];
  const columns = [...new Set(cells.map(({ to }) => to))].sort((a, b) => orderIn(rows, a) - orderIn(rows, b));
  const ports = [...new Map(cells.map((cell) => [portOf(cell), cell])).values()].sort(byPort).map(portOf);
  const letters = new Map(cells.map((cell) => [`${cell.from} ${cell.to} ${portOf(cell)}`, letterOf(cell)]));
  const cellOf = (from: string, to: string): string => ports.map((port) => letters.get(`${from} ${to} ${port}`) ?? '-').join('');
  const left = Math.max(...rows.map(({ length }) => length));
  const widths = columns.map((column) => Math.max(column.length, ports.length));
  const painted = (text: string): string => text.replace(/[xO?]/g, (letter) => red(letter, color)).replace(/#+/g, (run) => dim(run, color));
  const line = (head: string, of: readonly string[], paint: (text: string) => string): string =>
    `${head.padEnd(left)}  ${of.map((text, i) => paint(text) + ' '.repeat((widths[i] ?? 0) - text.length)).join('  ')}`.trimEnd();
  return [
    line('', columns, (text) => text),
    ...rows.map((from) =>
      line(
        from,
        columns.map((to) => cellOf(from, to)),
        painted,
      ),
    ),
    dim(`each cell: ${ports.join(' ')}`, color),
  ].join('\n');
}
const orderIn = (names: readonly string[], name: string): number => {
  const index = names.indexOf(name);
  return index < 0 ? names.length : index;
};
const byPort = (a: ResultCell, b: ResultCell): number => (a.protocol === b.protocol ? a.port - b.port : a.protocol < b.protocol ? -1 : 1);

const familyOf = ({ family }: ResultCell): string => (family === 6 ? ' (IPv6)' : '');
const why = (rule: string | null): string => (rule === null ? 'by no policy' : `by ${rule}`);
const words = { allow: 'allowed', deny: 'denied', 'no-evidence': 'no evidence' } as const;
const evidenceText = ({ protocol, measured }: ResultCell): string =>
  measured === null ? '' : protocol === 'SCTP' && measured.evidence === 'delivered' ? 'INIT delivered' : measured.evidence;

/** One cell as a sentence. */
export function cellText(cell: ResultCell): string {
  const { predicted, measured } = cell;
  const head = `${cell.from} → ${cell.to} ${portOf(cell)}${familyOf(cell)}: predicted ${words[predicted.verdict]} ${why(predicted.rule)}`;
  if (measured === null) return `${head}, not measured (${cell.unmeasured ?? ''})`;
  if (measured.verdict === 'no-evidence') return `${head}, no evidence either way`;
  return `${head}, measured ${words[measured.verdict]} ${why(measured.rule)} (${evidenceText(cell)})`;
}

const shown = 20;
function listOf(title: string, lines: readonly string[], { verbose }: TextOptions): string[] {
  if (lines.length === 0) return [];
  const few = verbose ? lines : lines.slice(0, shown);
  return ['', title, ...few.map((line) => `  ${line}`), ...(few.length < lines.length ? [`  … and ${lines.length - few.length} more (--verbose)`] : [])];
}

const violationText = ({ file, line, expected, cells }: Violation): string[] =>
  cells.length === 0
    ? [`${file}:${line}: expected ${expected}, and no cell is meant by it`]
    : cells.map((cell) => `${file}:${line}: expected ${expected}: ${cellText(cell)}`);

function stepText(step: ResultStep, count: number, options: TextOptions): string[] {
  const probes = step.cells.filter(({ measured }) => measured !== null).length;
  const title = `${count > 1 ? `step ${step.name}: ` : ''}${probes} probes in ${step.probe_ms.toFixed(0)} ms, policies in place in ${step.apply_ms.toFixed(1)} ms`;
  const tables = tablesOf(step.cells);
  return [
    title,
    ...tables.flatMap(({ title: of, cells }) => [...(tables.length > 1 ? ['', of] : []), grid(cells, options.color)]),
    ...listOf('not as predicted:', step.cells.filter(isMismatch).map(cellText), options),
    ...listOf('without evidence:', step.cells.filter(isWithoutEvidence).map(cellText), options),
    ...listOf('as predicted, but by another rule:', step.cells.filter(isOtherRule).map(cellText), options),
    ...listOf('not as expected:', step.violations.flatMap(violationText), options),
    '',
  ];
}

/** The whole result, for people. */
export function renderResult(result: LabResult, options: TextOptions): string {
  const { summary, steps, skipped, notes, rulesNeverHit } = result;
  const passedOver = Object.entries(skipped).map(([kind, count]) => `${count} ${kind}`);
  const lines = [
    ...steps.flatMap((step) => stepText(step, steps.length, options)),
    dim(legend, options.color),
    ...notes.map(({ text, file, line }) => `note: ${file}:${line}: ${text}`),
    ...(passedOver.length > 0 ? [`passed over: ${passedOver.join(', ')}`] : []),
    ...listOf('rules that no probe met:', rulesNeverHit, options),
    `${result.name}: ${summary.measured} cells measured, ${summary.mismatches} not as predicted, ${summary.noEvidence} without evidence${
      summary.violations > 0 ? `, ${summary.violations} expectations not met` : ''
    }`,
  ];
  return `${lines.join('\n')}\n`;
}
