import { exitStatus, renderResult, runExperiment } from '../../lab/lab.ts';
import { startRace, type RaceOptions } from '../../lab/race.ts';
import type { Experiment } from '../../policy/model/experiment.ts';
import { RuntimeError } from '../../model/errors.ts';
import { lintExperiment, openWithSources } from '../../lab/offline.ts';
import { findingsOfResult } from '../../lab/report/report.ts';
import { defineCommand } from '../command.ts';
import { backendFlag, backendOf, enforcerFlag, folderOf, tellFindings } from '../lab-folder.ts';
import { labFormatFlag, refuseUnwritable, reportFlag, reportsOf, tell, writeReports, writeText } from '../lab-report.ts';
import { out, outJson } from '../output.ts';

export const command = defineCommand({
  name: 'lab run',
  summary: 'try network policies on real packets, beside what is predicted',
  usage: '[flags] DIR',
  examples: [
    ['rkt lab run ./k8s', 'pods and policies of a folder of Kubernetes manifests: the matrix that packets made'],
    ['rkt lab run --format=json ./k8s', 'every cell with its evidence and the rule that decided'],
    ['rkt lab run --report=html=shop.html --report=junit=shop.xml ./k8s', 'a page to look at and share, and what CI systems read'],
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
    format: labFormatFlag,
    report: reportFlag,
    out: { type: 'string', value: 'FILE', help: 'write the result to FILE as JSON, too' },
    verbose: { type: 'boolean', help: 'lists in full' },
  },
  maxOperands: 1,
  run({ flags, operands }) {
    const folder = folderOf('run', operands);
    const reports = reportsOf(flags.report);
    if (flags.out !== undefined) refuseUnwritable(flags.out);
    const opened = openWithSources(folder);
    const { experiment } = opened;
    const measuring = { ...backendOf(flags.backend), ...(flags.enforcer === undefined ? {} : { enforcer: flags.enforcer }) };
    if (flags['start-race'] !== undefined) return race(experiment, flags['start-race'], measuring, flags.format);
    const result = runExperiment(experiment, {
      ...measuring,
      ...(flags.existing === undefined ? {} : { existing: flags.existing === 'cut' ? 'cut' : 'keep' }),
    });
    const findings = findingsOfResult(opened, result);
    if (flags.out !== undefined) writeText(flags.out, `${JSON.stringify(result)}\n`);
    writeReports(reports, findings);
    tell(flags.format, findings, () => {
      out(renderResult(result, { color: process.stdout.isTTY && process.env['NO_COLOR'] === undefined, verbose: flags.verbose }));
      tellFindings(lintExperiment(experiment).length, folder);
    });
    const isUnexpected = result.existing?.steps.some(({ unexpected }) => unexpected.length > 0) === true;
    return isUnexpected ? 1 : exitStatus(result.summary);
  },
});

/** @returns the exit status */
function race(experiment: Experiment, text: string, options: RaceOptions, format: string | undefined): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new RuntimeError('ERR_CLI_USAGE', `--start-race must be a number from 1, not "${text}"`);
  if (format !== undefined && format !== 'text' && !format.startsWith('json'))
    throw new RuntimeError('ERR_CLI_USAGE', `--start-race has no ${format}: text, json or json-pretty`);
  const result = startRace(experiment, Number(text), options);
  const { starts, tried, leaked, noEvidence, leaks } = result;
  if (format !== undefined && format !== 'text') outJson(result, format);
  else
    out(
      `${[...leaks.map((leak) => `leaked: ${leak}`), `${starts} starts, ${tried} denied connections tried: ${leaked} leaked, ${noEvidence} without evidence`].join('\n')}\n`,
    );
  return leaked > 0 ? 1 : noEvidence > 0 ? 3 : 0;
}
