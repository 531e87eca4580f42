import { legend, lintExperiment, openWithSources, predictExperiment, predictionText, stepJson } from '../../lab/offline.ts';
import { findingsOfPrediction } from '../../lab/report/report.ts';
import { defineCommand } from '../command.ts';
import { folderOf, tellFindings, tellSkipped } from '../lab-folder.ts';
import { labFormatFlag, reportFlag, reportsOf, tell, writeReports } from '../lab-report.ts';
import { out } from '../output.ts';

export const command = defineCommand({
  name: 'lab predict',
  summary: 'show which connections network policies allow; touches nothing',
  usage: '[flags] DIR',
  examples: [
    ['rkt lab predict shop', 'the matrix of the pods and policies in the folder shop; exit 1 when it is not as experiment.yaml expects'],
    ['kubectl get pods,ns,netpol -A -o yaml | rkt lab predict -', 'of a cluster, by what it prints'],
    ['rkt lab predict --format=json shop', 'every connection with the rule that decides'],
  ],
  flags: { format: labFormatFlag, report: reportFlag },
  maxOperands: 1,
  run({ flags, operands }) {
    const folder = folderOf('predict', operands);
    const reports = reportsOf(flags.report);
    const opened = openWithSources(folder);
    const { experiment } = opened;
    const steps = predictExperiment(experiment);
    const findings = findingsOfPrediction(opened, steps.map(stepJson));
    writeReports(reports, findings);
    tell(flags.format, findings, () => {
      out(`${steps.map(predictionText).join('\n')}${legend}`);
      tellSkipped(experiment);
      tellFindings(lintExperiment(experiment).length, folder);
    });
    return steps.every(({ violations }) => violations.length === 0) ? 0 : 1;
  },
});
