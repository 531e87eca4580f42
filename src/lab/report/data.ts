/** What `rkt lab` found → what a report's page is given. Pure. */
import { endpointName, flowsOf, isToItself, parties } from '../../policy/decision/cells.ts';
import { worldsOf } from '../../policy/decision/change.ts';
import { changeText, expectationText, labelsText } from '../../policy/decision/describe.ts';
import { type Decided, Evaluator } from '../../policy/decision/evaluate.ts';
import { lint } from '../../policy/lint/lint.ts';
import { type Experiment, type World, portKey } from '../../policy/model/experiment.ts';
import type { Endpoint } from '../../policy/model/flow.ts';
import type { Policy } from '../../policy/model/policy.ts';
import type { Direction } from '../../policy/model/values.ts';
import type { Opened } from '../offline.ts';
import { type CellJson, predictSteps, stepJson } from '../prediction.ts';
import type { LabResult, ResultCell } from '../results.ts';
import { predictedText } from '../sentences.ts';
import { cellText } from '../text.ts';
import type { Violation } from '../expectations.ts';
import { withPlace } from './cases.ts';
import { Gathered } from './gathered.ts';
import type { ExpectationData, ReportData, TraitsData } from './page-data.ts';

declare const __VERSION__: string;

/** A cell of a result, or of a prediction. */
export type ReportCell = CellJson & Partial<Pick<ResultCell, 'measured' | 'unmeasured'>>;
/** One matrix of a report, with what is known about it. */
export interface ReportStep {
  readonly name: string;
  readonly cells: readonly ReportCell[];
  /** further lines of what decided a cell: of peers and ports */
  readonly lines?: readonly Readonly<Record<Direction, readonly number[]>>[];
  readonly policies: readonly Policy[];
  readonly traits: ReadonlyMap<string, TraitsData>;
  readonly changes: readonly { readonly text: string; readonly file: string; readonly line: number }[];
  readonly expectations: readonly ExpectationData[];
  readonly applyMs?: number;
  readonly probeMs?: number;
}

/** Steps of an experiment: as measured, else as predicted. */
export function reportSteps({ experiment }: Opened, result?: LabResult): ReportStep[] {
  const { world, steps, probes, expect } = experiment;
  const predicted = result === undefined ? predictSteps(experiment).map(stepJson) : undefined;
  return worldsOf(world, steps).map((at, index): ReportStep => {
    const step = index === 0 ? undefined : steps[index - 1];
    const found = result?.steps[index];
    const flows = flowsOf(at, probes);
    const evaluator = new Evaluator(at);
    const decisions = flows.map((flow) => evaluator.decide(flow));
    const cells: readonly ReportCell[] =
      found?.cells ??
      (predicted?.[index]?.cells ?? []).map((cell, k): ReportCell => {
        const flow = flows[k];
        return flow !== undefined && isToItself(flow, at) ? { ...cell, unmeasured: 'loopback' } : cell;
      });
    const text = (cell: ReportCell): string =>
      withPlace('measured' in cell && cell.measured !== undefined ? cellText({ ...cell, measured: cell.measured }) : predictedText(cell), cell);
    return {
      name: step?.name ?? 'start',
      cells,
      lines: decisions.map(({ egress, ingress }) => ({ egress: linesOf(egress), ingress: linesOf(ingress) })),
      policies: at.policies,
      traits: traitsOf(at),
      changes: (step?.changes ?? []).map((change) => ({ text: changeText(change), file: change.source.file, line: change.source.line })),
      expectations: expectationsOf(step?.expect ?? (index === 0 ? expect : []), found?.violations ?? predicted?.[index]?.violations ?? [], text),
      ...(found === undefined ? {} : { applyMs: found.apply_ms, probeMs: found.probe_ms }),
    };
  });
}

const linesOf = ({ peer, port, rule }: Decided): number[] => {
  const lines = [peer?.source, port?.source].flatMap((source) => (source === undefined ? [] : [source.line]));
  return [...new Set(lines)].filter((line) => line !== rule?.source.line);
};

const mostCells = 10;

function expectationsOf<Cell extends ReportCell>(
  expect: Experiment['expect'],
  violations: readonly Violation<Cell>[],
  text: (cell: Cell) => string,
): ExpectationData[] {
  return expect.map((one) => {
    const words = expectationText(one);
    const { file, line } = one.source;
    const violation = violations.find((other) => other.file === file && other.line === line && other.expectation === words);
    return { text: words, file, line, met: violation === undefined, cells: (violation?.cells ?? []).slice(0, mostCells).map(text) };
  });
}

function traitsOf(world: World): Map<string, TraitsData> {
  const found = new Map<string, TraitsData>();
  for (const { endpoints } of parties(world, { from: ['host', 'outside'] }))
    for (const endpoint of endpoints) {
      const name = endpointName(endpoint);
      const ips = endpoints.filter((one) => endpointName(one) === name).map(({ ip }) => ip.text);
      found.set(name, { ips, ...traitsOfEnd(endpoint) });
    }
  return found;
}
function traitsOfEnd(endpoint: Endpoint): Omit<TraitsData, 'ips'> {
  if (endpoint.kind !== 'pod') return { labels: '', ports: [] };
  const { labels, ports } = endpoint.pod;
  return { labels: labelsText(labels), ports: ports.map((port) => `${portKey(port)}${port.name === undefined ? '' : ` (${port.name})`}`) };
}

export interface DataInput {
  readonly name: string;
  readonly kind: ReportData['kind'];
  readonly environment: readonly string[];
  readonly steps: readonly ReportStep[];
  readonly texts: readonly { readonly file: string; readonly text: string }[];
  readonly findings?: ReportData['findings'];
  readonly neverHit?: readonly string[];
}

/** Numbers everything, each once. */
export function numbered({ name, kind, environment, steps, texts, findings = [], neverHit = [] }: DataInput): ReportData {
  const gathered = new Gathered();
  for (const { policies, traits, cells } of steps) gathered.meet(policies, traits, cells);
  const all = steps.map((step) => gathered.step(step));
  const { rules } = gathered;
  const cited = new Set([
    ...rules.map(({ file }) => file),
    ...all.flatMap(({ changes, expectations }) => [...changes, ...expectations].map(({ file }) => file)),
    ...findings.map(({ file }) => file),
  ]);
  return {
    name,
    kind,
    version: __VERSION__,
    environment,
    parties: gathered.parties,
    traits: gathered.traits,
    ports: gathered.ports,
    lanes: gathered.lanes,
    rules,
    outcomes: gathered.outcomes,
    connections: gathered.connections,
    // Connections that only later steps have are not there in earlier ones.
    steps: all.map((step) => ({ ...step, outcomes: Array.from({ length: gathered.connections.length / 4 }, (_, at) => step.outcomes[at] ?? -1) })),
    files: texts.filter(({ file }) => cited.has(file)),
    findings,
    neverHit: neverHit.flatMap((key) => {
      const rule = rules.find((one) => one.key === key);
      return [{ key, file: rule?.file ?? '', line: rule?.line ?? 0 }];
    }),
  };
}

/** What a run says about where it was made. */
export const environmentOf = ({ environment: { kernel, node, rkt, user, joining } }: LabResult): string[] => [
  `rkt ${rkt}`,
  `Linux ${kernel}`,
  `Node.js ${node}`,
  user === 'root' ? 'as root' : 'as an ordinary user',
  `pods joined by ${joining === 'bridge' ? 'a bridge' : 'routes'}`,
];

/** The page of `lab run`, or of `lab predict` without `result`. */
export function reportData({ experiment, sources, result }: Opened & { readonly result?: LabResult }): ReportData {
  return numbered({
    name: experiment.name,
    kind: result === undefined ? 'predicted' : 'measured',
    environment: result === undefined ? [`rkt ${__VERSION__}`, 'predicted, no packet was sent'] : environmentOf(result),
    steps: reportSteps({ experiment, sources }, result),
    texts: [...sources.texts, ...(sources.experiment === undefined ? [] : [sources.experiment])],
    findings: lint(experiment).map(({ text, cure, file, line }) => ({ text, cure, file, line })),
    neverHit: result?.rulesNeverHit ?? [],
  });
}
