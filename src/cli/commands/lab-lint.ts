import { findingText, lintExperiment, openExperiment } from '../../lab/offline.ts';
import { defineCommand } from '../command.ts';
import { folderOf, tellSkipped } from '../lab-folder.ts';
import { formatFlag, note, out, outJson } from '../output.ts';

export const command = defineCommand({
  name: 'lab lint',
  summary: 'look for what people get wrong in network policies; each with its line and a change',
  usage: '[flags] DIR',
  examples: [
    ['rkt lab lint shop', 'exit status 1 when there is something to look at, 2 when something is not valid'],
    ['rkt lab lint --format=json shop', 'for other programs'],
  ],
  flags: { format: formatFlag },
  maxOperands: 1,
  run({ flags, operands }) {
    const experiment = openExperiment(folderOf('lint', operands));
    const findings = lintExperiment(experiment);
    if (flags.format === undefined) {
      out(findings.map(findingText).join(''));
      tellSkipped(experiment);
      if (findings.length === 0) note('nothing to look at');
    } else outJson(findings, flags.format);
    return findings.length === 0 ? 0 : 1;
  },
});
