import { writeFileSync } from 'node:fs';
import { RuntimeError, messageOf } from '../../model/errors.ts';
import { exitStatus, openFolder, readExperiment, renderResult, runExperiment } from '../../lab/lab.ts';
import { defineCommand } from '../command.ts';
import { out, outJson } from '../output.ts';

export const command = defineCommand({
  name: 'lab run',
  summary: 'try network policies on real packets, beside what is predicted',
  usage: '[flags] DIR|FILE|-',
  examples: [
    ['rkt lab run ./k8s', 'pods and policies of a folder of Kubernetes manifests: the matrix that packets made'],
    ['rkt lab run --format=json ./k8s', 'every cell with its evidence and the rule that decided'],
  ],
  flags: {
    format: { type: 'string', value: 'FORMAT', choices: ['text', 'json', 'json-pretty'], default: 'text', help: 'how the result is printed' },
    out: { type: 'string', value: 'FILE', help: 'write the result to FILE as JSON, too' },
    verbose: { type: 'boolean', help: 'lists in full' },
  },
  maxOperands: 1,
  run({ flags, operands: [path] }) {
    if (path === undefined)
      throw new RuntimeError('ERR_CLI_USAGE', 'which experiment?', { hint: 'rkt lab run DIR: a folder of Kubernetes manifests', exitCode: 2 });
    const result = runExperiment(readExperiment(openFolder(path)));
    if (flags.out !== undefined) write(flags.out, JSON.stringify(result));
    if (flags.format === 'json' || flags.format === 'json-pretty') outJson(result, flags.format);
    else out(renderResult(result, { color: process.stdout.isTTY && process.env['NO_COLOR'] === undefined, verbose: flags.verbose }));
    return exitStatus(result.summary);
  },
});

function write(path: string, text: string): void {
  try {
    writeFileSync(path, `${text}\n`);
  } catch (error) {
    throw new RuntimeError('ERR_CLI_USAGE', `cannot write ${path}: ${messageOf(error)}`, { exitCode: 2, cause: error });
  }
}
