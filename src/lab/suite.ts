/** Suites: cases with the tables that are expected of them, as Cyclonus' generator gives them (dumped as JSON), run in one fixture. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { RuntimeError, messageOf } from '../model/errors.ts';
import { readExperiment } from '../policy/manifests/experiment.ts';
import { badInputStatus } from '../policy/manifests/faults.ts';
import { flowsOf } from '../policy/decision/cells.ts';
import type { World } from '../policy/model/experiment.ts';
import { judge, type JudgedFlow, whyUnmeasured } from './judge.ts';
import { measure, type MeasureOptions } from './measure.ts';
import { cellText } from './text.ts';
import { type ResultCell, isOtherRule } from './results.ts';

interface SuiteStep {
  readonly Policies: readonly unknown[];
  readonly Namespaces: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly Pods: readonly { readonly Ns: string; readonly Name: string; readonly IP: string; readonly Labels: unknown; readonly Ports: unknown }[];
  /** from → to → `TCP/80` → three characters: ingress, egress, both; `.` allowed, `X` denied */
  readonly Expected: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, string>>>>>>;
}
interface SuiteCase {
  readonly Number: number;
  readonly Description: string;
  readonly Steps: readonly SuiteStep[];
}

/** One step of a case as a world with what is expected of it. */
export interface SuiteStage {
  readonly title: string;
  readonly world: World;
  readonly flows: readonly JudgedFlow[];
  readonly expected: SuiteStep['Expected'];
}
export interface Suite {
  readonly cases: number;
  readonly stages: readonly SuiteStage[];
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Shape only: policies, pods and namespaces are read as any experiment's. */
function isStep(value: unknown): value is SuiteStep {
  return (
    isObject(value) &&
    Array.isArray(value['Policies']) &&
    isObject(value['Namespaces']) &&
    Array.isArray(value['Pods']) &&
    isObject(value['Expected'])
  );
}
function isCase(value: unknown): value is SuiteCase {
  return isObject(value) && typeof value['Number'] === 'number' && Array.isArray(value['Steps']) && value['Steps'].every(isStep);
}

/** @throws ERR_LAB_INPUT for what is no suite, or has policies that are not valid */
export function openSuite(path: string): Suite {
  const refuse = (why: string): RuntimeError => new RuntimeError('ERR_LAB_INPUT', `${path} is no suite: ${why}`, { exitCode: badInputStatus });
  let content: unknown;
  try {
    const bytes = readFileSync(path);
    content = JSON.parse((bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes, { maxOutputLength: 1 << 28 }) : bytes).toString()) as unknown;
  } catch (error) {
    throw refuse(messageOf(error));
  }
  const cases = isObject(content) ? content['cases'] : undefined;
  if (!Array.isArray(cases) || cases.length === 0) throw refuse('it has no cases');
  const stages = cases.flatMap((one: unknown, index): SuiteStage[] => {
    if (!isCase(one)) throw refuse(`case ${index} has not the shape of one`);
    return one.Steps.map((step, at) => stageOf(`case ${one.Number} (${one.Description})${one.Steps.length > 1 ? ` step ${at + 1}` : ''}`, step));
  });
  return { cases: cases.length, stages };
}

function stageOf(title: string, step: SuiteStep): SuiteStage {
  const text = JSON.stringify({
    namespaces: step.Namespaces,
    pods: step.Pods.map(({ Ns, Name, IP, Labels, Ports }) => ({ ns: Ns, name: Name, ip: IP, labels: Labels, ports: Ports })),
    policies: step.Policies,
    // Cyclonus scores a pod's connections to itself by the rules (R33).
    switches: { loopback: 'rules' },
  });
  const none = { files: [], expand: () => [], read: () => ({ fault: 'a suite is one file' }) };
  const { world, probes } = readExperiment({ name: title, experiment: { file: title, text }, ...none });
  return { title, world, flows: flowsOf(world, probes).map((flow) => ({ flow, unmeasured: whyUnmeasured(flow, world) })), expected: step.Expected };
}

export interface SuiteResult {
  readonly cases: number;
  readonly steps: number;
  /** cells with an expectation; those to itself are only predicted */
  readonly cells: number;
  readonly measured: number;
  /** what packets did is not as expected */
  readonly mismatches: number;
  readonly noEvidence: number;
  /** what is predicted is not as expected, each direction counted as part of its cell */
  readonly predictionMismatches: number;
  readonly otherRule: number;
  readonly probe_ms: number;
  readonly apply_ms: number;
  /** the first of each kind, for people */
  readonly findings: readonly string[];
}

/** One step of a case, cell by cell. */
export interface SuiteOutcome {
  readonly title: string;
  readonly cells: readonly ResultCell[];
  /** predicted or measured otherwise than expected; each cell once */
  readonly wrong: readonly ExpectedCell[];
  readonly unknown: readonly ExpectedCell[];
  readonly durationMs: number;
}
interface ExpectedCell {
  readonly expected: string;
  readonly cell: ResultCell;
}
/** A suite's result with all its cells: for reports. */
export interface SuiteRun {
  readonly name: string;
  readonly result: SuiteResult;
  readonly stages: readonly SuiteOutcome[];
}

export interface SuiteOptions extends MeasureOptions {
  /** what the kernel is given instead of a world's own policies; for tests that must find mismatches */
  readonly enforce?: (world: World) => World;
  /** told of every step, in order */
  readonly onStage?: (outcome: SuiteOutcome) => void;
}

const letterOf = (verdict: string): string => (verdict === 'allow' ? '.' : 'X');
const mostFindings = 50;

/** @throws ERR_LAB_FEATURE, ERR_LAB_PROBER */
export function runSuite({ cases, stages }: Suite, options: SuiteOptions = {}): SuiteResult {
  const measured = measure(
    stages.map(({ world, flows }) => ({
      world,
      flows: flows.flatMap(({ flow, unmeasured }) => (unmeasured === undefined ? [flow] : [])),
      ...(options.enforce === undefined ? {} : { enforced: options.enforce(world) }),
    })),
    options,
  );
  const count = { cells: 0, measured: 0, mismatches: 0, noEvidence: 0, predictionMismatches: 0, otherRule: 0 };
  const findings: string[] = [];
  const find = (kind: keyof typeof count, stage: SuiteStage, cell: ResultCell, expected: string): void => {
    count[kind]++;
    if (findings.length < mostFindings) findings.push(`${stage.title}: expected ${expected}: ${cellText(cell)}`);
  };
  for (const [index, stage] of stages.entries()) {
    const { flows = [], probeMs = 0, applyMs = 0 } = measured[index] ?? {};
    const cells = judge(stage.world, stage.flows, flows);
    const wrong: ExpectedCell[] = [];
    const unknown: ExpectedCell[] = [];
    for (const cell of cells) {
      const expected = stage.expected[cell.from]?.[cell.to]?.[`${cell.protocol}/${cell.port}`];
      if (expected === undefined) continue;
      count.cells++;
      const { predicted } = cell;
      const said = [predicted.ingress, predicted.egress, predicted.verdict].map(letterOf).join('');
      if (said !== expected) {
        find('predictionMismatches', stage, cell, expected);
        wrong.push({ expected, cell });
      }
      if (cell.measured === null) continue;
      count.measured++;
      if (cell.measured.verdict === 'no-evidence') {
        find('noEvidence', stage, cell, expected);
        unknown.push({ expected, cell });
      } else if (letterOf(cell.measured.verdict) !== expected[2]) {
        find('mismatches', stage, cell, expected);
        if (said === expected) wrong.push({ expected, cell });
      } else if (isOtherRule(cell)) find('otherRule', stage, cell, expected);
    }
    options.onStage?.({ title: stage.title, cells, wrong, unknown, durationMs: probeMs + applyMs });
  }
  const sum = (of: 'applyMs' | 'probeMs'): number => measured.reduce((total, stage) => total + stage[of], 0);
  return { cases, steps: stages.length, ...count, probe_ms: sum('probeMs'), apply_ms: sum('applyMs'), findings };
}
