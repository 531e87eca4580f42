import { writeFileSync } from 'node:fs';
import { RuntimeError, messageOf } from '../../model/errors.ts';
import { exitStatus, renderResult, runExperiment } from '../../lab/lab.ts';
import { startRace, type RaceOptions } from '../../lab/race.ts';
import type { Experiment } from '../../policy/model/experiment.ts';
import { lintExperiment, openExperiment } from '../../lab/offline.ts';
import { defineCommand } from '../command.ts';
import { backendFlag, backendOf, enforcerFlag, folderOf, tellFindings } from '../lab-folder.ts';
import { formatFlag, out, outJson } from '../output.ts';

export const command = defineCommand({
  name: 'lab run',
  summary: 'try network policies on real packets, beside what is predicted',
  usage: '[flags] DIR',
  examples: [
    ['rkt lab run ./k8s', 'pods and policies of a folder of Kubernetes manifests: the matrix that packets made'],
    ['rkt lab run --format=json ./k8s', 'every cell with its evidence and the rule that decided'],
  ],
  flags: {
    backend: backendFlag,
    enforcer: enforcerFlag,
    existing: {
      type: 'string',
      value: 'MODE',
      choices: ['keep', 'cut'],
      help: 'what open connections do when a step denies them, tried on such: they live on, or are cut',
    },
    'start-race': { type: 'string', value: 'N', help: 'start pods N times and try, at once, what policies deny them; a leak is exit 1' },
    format: formatFlag,
    out: { type: 'string', value: 'FILE', help: 'write the result to FILE as JSON, too' },
    verbose: { type: 'boolean', help: 'lists in full' },
  },
  maxOperands: 1,
  run({ flags, operands }) {
    const folder = folderOf('run', operands);
    const experiment = openExperiment(folder);
    const measuring = { ...backendOf(flags.backend), ...(flags.enforcer === undefined ? {} : { enforcer: flags.enforcer }) };
    if (flags['start-race'] !== undefined) return race(experiment, flags['start-race'], measuring, flags.format);
    const result = runExperiment(experiment, {
      ...measuring,
      ...(flags.existing === undefined ? {} : { existing: flags.existing === 'cut' ? 'cut' : 'keep' }),
    });
    if (flags.out !== undefined) write(flags.out, JSON.stringify(result));
    if (flags.format === undefined) {
      out(renderResult(result, { color: process.stdout.isTTY && process.env['NO_COLOR'] === undefined, verbose: flags.verbose }));
      tellFindings(lintExperiment(experiment).length, folder);
    } else outJson(result, flags.format);
    const isUnexpected = result.existing?.steps.some(({ unexpected }) => unexpected.length > 0) === true;
    return isUnexpected ? 1 : exitStatus(result.summary);
  },
});

/** @returns the exit status */
function race(experiment: Experiment, text: string, options: RaceOptions, format: string | undefined): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new RuntimeError('ERR_CLI_USAGE', `--start-race must be a number from 1, not "${text}"`);
  const result = startRace(experiment, Number(text), options);
  const { starts, tried, leaked, noEvidence, leaks } = result;
  if (format !== undefined) outJson(result, format);
  else
    out(
      `${[...leaks.map((leak) => `leaked: ${leak}`), `${starts} starts, ${tried} denied connections tried: ${leaked} leaked, ${noEvidence} without evidence`].join('\n')}\n`,
    );
  return leaked > 0 ? 1 : noEvidence > 0 ? 3 : 0;
}

function write(path: string, text: string): void {
  try {
    writeFileSync(path, `${text}\n`);
  } catch (error) {
    throw new RuntimeError('ERR_CLI_USAGE', `cannot write ${path}: ${messageOf(error)}`, { cause: error });
  }
}
