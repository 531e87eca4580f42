import { legend, lintExperiment, openExperiment, predictExperiment, predictionText, stepJson } from '../../lab/offline.ts';
import { defineCommand } from '../command.ts';
import { folderOf, tellFindings, tellSkipped } from '../lab-folder.ts';
import { formatFlag, out, outJson } from '../output.ts';

export const command = defineCommand({
  name: 'lab predict',
  summary: 'show which connections network policies allow; touches nothing',
  usage: '[flags] DIR',
  examples: [
    ['rkt lab predict shop', 'the matrix of the pods and policies in the folder shop; exit 1 when it is not as experiment.yaml expects'],
    ['kubectl get pods,ns,netpol -A -o yaml | rkt lab predict -', 'of a cluster, by what it prints'],
    ['rkt lab predict --format=json shop', 'every connection with the rule that decides'],
  ],
  flags: { format: formatFlag },
  maxOperands: 1,
  run({ flags, operands }) {
    const folder = folderOf('predict', operands);
    const experiment = openExperiment(folder);
    const steps = predictExperiment(experiment);
    if (flags.format === undefined) {
      out(`${steps.map(predictionText).join('\n')}${legend}`);
      tellSkipped(experiment);
      tellFindings(lintExperiment(experiment).length, folder);
    } else {
      const { name, skipped } = experiment;
      outJson({ format: 'rkt-lab-prediction-1', name, skipped, steps: steps.map(stepJson) }, flags.format);
    }
    return steps.every(({ violations }) => violations.length === 0) ? 0 : 1;
  },
});
