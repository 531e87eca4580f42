/** The matrix as text, as Cyclonus prints it: rows send, columns receive, one letter for each protocol and port. Pure. @see policy.md 5f */
import { type Mark, marks, matrixText } from './matrix.ts';
import { byRule, fewOf, isSpared, predictedText, unmetText, violationLines, words } from './sentences.ts';
import { type LabResult, type ResultCell, type ResultStep, isMismatch, isOtherRule, isWithoutEvidence } from './results.ts';

export interface TextOptions {
  readonly color: boolean;
  /** every row of lists, however long */
  readonly verbose: boolean;
}

const red = (text: string, on: boolean): string => (on ? `\u001b[31;1m${text}\u001b[0m` : text);
const dim = (text: string, on: boolean): string => (on ? `\u001b[2m${text}\u001b[0m` : text);

/** A cell's letter: see the legend. */
function letterOf(cell: ResultCell): string {
  if (cell.measured === null) return cell.unmeasured === 'loopback' ? marks.loopback : marks.notAsked;
  if (isWithoutEvidence(cell)) return marks.noEvidence;
  if (isMismatch(cell)) return cell.measured.verdict === 'allow' ? marks.unexpectedlyOpen : marks.unexpectedlyShut;
  return cell.measured.verdict === 'allow' ? marks.allow : marks.deny;
}
const legend = '. allowed  X denied  # to itself  ? no evidence  - not asked  x open, predicted closed  O closed, predicted open';

/** Letters to be painted are one character each while columns are laid out. */
const paints: readonly (readonly [string, string])[] = [
  [marks.unexpectedlyOpen, '\ue000'],
  [marks.unexpectedlyShut, '\ue001'],
  [marks.noEvidence, '\ue002'],
];

function grid(cells: readonly ResultCell[], primary: string, color: boolean): string {
  const placeholder = new Map(paints);
  const all = cells.map(({ from, to, protocol, port, family, network }, index): Mark => {
    const letter = letterOf(cells[index] as ResultCell);
    return { from, to, protocol, port, family, network, mark: placeholder.get(letter) ?? letter };
  });
  return paints.reduce((text, [letter, held]) => text.replaceAll(held, red(letter, color)), matrixText(all, primary)).trimEnd();
}

const evidenceText = ({ protocol, measured }: ResultCell): string =>
  measured === null ? '' : protocol === 'SCTP' && measured.evidence === 'delivered' ? 'INIT delivered' : measured.evidence;

/** One cell as a sentence. */
export function cellText(cell: ResultCell): string {
  const { measured } = cell;
  const head = predictedText(cell);
  if (measured === null) return isSpared(cell) ? head : `${head}, not measured (${cell.unmeasured ?? ''})`;
  if (measured.verdict === 'no-evidence') return `${head}, no evidence either way`;
  return `${head}, measured ${words[measured.verdict]} ${byRule(measured.rule)} (${evidenceText(cell)})`;
}

function listOf(title: string, lines: readonly string[], { verbose }: TextOptions): string[] {
  if (lines.length === 0) return [];
  return ['', title, ...(verbose ? lines : fewOf(lines, '--verbose')).map((line) => `  ${line}`)];
}

function stepText(step: ResultStep, count: number, options: TextOptions): string[] {
  const probes = step.cells.filter(({ measured }) => measured !== null).length;
  const title = `${count > 1 ? `step ${step.name}: ` : ''}${probes} probes in ${step.probe_ms.toFixed(0)} ms, policies in place in ${step.apply_ms.toFixed(1)} ms`;
  return [
    title,
    grid(step.cells, step.cells[0]?.network ?? '', options.color),
    ...listOf('not as predicted:', step.cells.filter(isMismatch).map(cellText), options),
    ...listOf('without evidence:', step.cells.filter(isWithoutEvidence).map(cellText), options),
    ...listOf('as predicted, but by another rule:', step.cells.filter(isOtherRule).map(cellText), options),
    ...listOf(
      'not as expected:',
      step.violations.flatMap((one) => violationLines(one, cellText)),
      options,
    ),
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
    ...notes.map(({ text, cure, file, line }) => `note: ${file}:${line}: ${text}: ${cure}`),
    ...(passedOver.length > 0 ? [`passed over: ${passedOver.join(', ')}`] : []),
    ...(result.existing?.steps ?? []).flatMap(({ name, kept, cut, gone, unexpected }) => [
      `open connections at step ${name}: ${kept} kept, ${cut} cut, ${gone} gone with a pod`,
      ...unexpected.map((text) => `  ${text}`),
    ]),
    ...listOf('rules that no probe met:', rulesNeverHit, options),
    `${result.name}: ${summary.measured} cells measured, ${summary.mismatches} not as predicted, ${summary.noEvidence} without evidence${
      summary.violations > 0 ? `, ${unmetText(summary.violations)}` : ''
    }`,
  ];
  return `${lines.join('\n')}\n`;
}
