/** What `rkt lab` found, in the shapes that people and programs read. */
import type { Experiment } from '../../policy/model/experiment.ts';
import type { Opened } from '../offline.ts';
import type { StepJson } from '../prediction.ts';
import type { LabResult } from '../results.ts';
import type { SuiteRun } from '../suite.ts';
import { type CaseReport, casesOfPrediction, casesOfResult, casesOfSuite } from './cases.ts';
import { type CsvStep, csvText } from './csv.ts';
import { htmlText } from './html.ts';
import { junitText } from './junit.ts';
import { reportData } from './data.ts';
import { tapText } from './tap.ts';

export const reportKinds = ['html', 'junit', 'csv', 'tap', 'json'] as const;
export type ReportKind = (typeof reportKinds)[number];

/** What is told, whatever the shape. */
export interface Findings {
  /** the published JSON */
  readonly json: unknown;
  readonly cases: CaseReport;
  readonly steps: readonly CsvStep[];
  readonly html: () => string;
}

export const findingsOfResult = ({ experiment, sources }: Opened, result: LabResult): Findings => ({
  json: result,
  cases: casesOfResult(experiment, result),
  steps: result.steps,
  html: () => htmlText(reportData({ experiment, sources, result })),
});

/** `lab predict --format=json`. @see src/lab/schemas/prediction.schema.json */
export const predictionJson = ({ name, skipped }: Experiment, steps: readonly StepJson[]): object => ({
  format: 'rkt-lab-prediction-1',
  name,
  skipped,
  steps,
});

export const findingsOfPrediction = ({ experiment, sources }: Opened, steps: readonly StepJson[]): Findings => ({
  json: predictionJson(experiment, steps),
  cases: casesOfPrediction(experiment, steps),
  steps,
  html: () => htmlText(reportData({ experiment, sources })),
});

export const findingsOfSuite = ({ name, result, stages }: SuiteRun): Omit<Findings, 'html'> => ({
  json: result,
  cases: casesOfSuite(name, stages),
  steps: stages.map(({ title, cells }) => ({ name: title, cells })),
});

export function renderReport(kind: Exclude<ReportKind, 'html' | 'json'>, { cases, steps }: Pick<Findings, 'cases' | 'steps'>): string {
  switch (kind) {
    case 'junit':
      return junitText(cases);
    case 'tap':
      return tapText(cases);
    case 'csv':
      return csvText(steps);
  }
}
