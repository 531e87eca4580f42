import { writeFileSync } from 'node:fs';
import { RuntimeError, messageOf } from '../../model/errors.ts';
import { exitStatus, renderResult, runExperiment } from '../../lab/lab.ts';
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
    format: formatFlag,
    out: { type: 'string', value: 'FILE', help: 'write the result to FILE as JSON, too' },
    verbose: { type: 'boolean', help: 'lists in full' },
  },
  maxOperands: 1,
  run({ flags, operands }) {
    const folder = folderOf('run', operands);
    const experiment = openExperiment(folder);
    const result = runExperiment(experiment, { ...backendOf(flags.backend), ...(flags.enforcer === undefined ? {} : { enforcer: flags.enforcer }) });
    if (flags.out !== undefined) write(flags.out, JSON.stringify(result));
    if (flags.format === undefined) {
      out(renderResult(result, { color: process.stdout.isTTY && process.env['NO_COLOR'] === undefined, verbose: flags.verbose }));
      tellFindings(lintExperiment(experiment).length, folder);
    } else outJson(result, flags.format);
    return exitStatus(result.summary);
  },
});

function write(path: string, text: string): void {
  try {
    writeFileSync(path, `${text}\n`);
  } catch (error) {
    throw new RuntimeError('ERR_CLI_USAGE', `cannot write ${path}: ${messageOf(error)}`, { cause: error });
  }
}
