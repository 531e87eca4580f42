/** What `rkt lab` answers without packets: a matrix, why, and what looks wrong. */
import { RuntimeError, printable } from '../model/errors.ts';
import { openFolder } from './folder.ts';
import { keepSources, type Sources } from './sources.ts';
import { predictSteps, type StepPrediction } from './prediction.ts';
import { findFlows } from './question.ts';
import { worldsOf } from '../policy/decision/change.ts';
import { Evaluator } from '../policy/decision/evaluate.ts';
import { explain, type Explanation } from '../policy/decision/explain.ts';
import type { Finding } from '../policy/lint/findings.ts';
import { lint } from '../policy/lint/lint.ts';
import { badInputStatus } from '../policy/manifests/faults.ts';
import { readExperiment } from '../policy/manifests/experiment.ts';
import type { Experiment } from '../policy/model/experiment.ts';

export interface Opened {
  readonly experiment: Experiment;
  readonly sources: Sources;
}

export { legend, predictionText, stepJson } from './prediction.ts';
export { explanationsText } from '../policy/decision/explain.ts';
export { findingText } from '../policy/lint/findings.ts';

/** @throws ERR_LAB_INPUT with every fault, and when there is nothing to try: a wrong folder must not pass as a good result */
export const openExperiment = (path: string): Experiment => openWithSources(path).experiment;

/** The same, with the texts that it was read from. */
export function openWithSources(path: string): Opened {
  const { folder, sources } = keepSources(openFolder(path));
  const experiment = readExperiment(folder);
  const { world, steps } = experiment;
  if (world.pods.length === 0 && world.policies.length === 0 && steps.length === 0)
    throw new RuntimeError('ERR_LAB_INPUT', `there is no pod, workload or policy in ${printable(path)}`, {
      hint: 'give the folder of Kubernetes manifests (*.yaml, *.yml, *.json)',
      exitCode: badInputStatus,
    });
  return { experiment, sources: sources() };
}

/** The matrix that the policies mean, before the steps and after each; nothing is touched. */
export const predictExperiment = (experiment: Experiment): StepPrediction[] => predictSteps(experiment);

/** Why a connection is allowed or denied; one answer for each family and network on which the two can meet. `step` 0: before the steps. */
export function explainConnection(experiment: Experiment, from: string, to: string, port: string, step: number): Explanation[] {
  const world = worldsOf(experiment.world, experiment.steps)[step];
  if (world === undefined)
    throw new RuntimeError('ERR_LAB_INPUT', `there is no step ${step}`, {
      hint: `the experiment has ${experiment.steps.length} steps`,
      exitCode: badInputStatus,
    });
  const evaluator = new Evaluator(world);
  return findFlows(world, from, to, port).map((flow) => explain(evaluator, flow));
}

export const lintExperiment = (experiment: Experiment): Finding[] => lint(experiment);
