import { basename } from 'node:path';
import { findingsOfSuite } from '../../lab/report/report.ts';
import { openSuite, runSuite, type SuiteOutcome } from '../../lab/suite.ts';
import { RuntimeError } from '../../model/errors.ts';
import { defineCommand } from '../command.ts';
import { backendFlag, backendOf, enforcerFlag } from '../lab-folder.ts';
import { labFormatFlag, reportFlag, reportsOf, tell, writeReports } from '../lab-report.ts';
import { out } from '../output.ts';

export const command = defineCommand({
  name: 'lab suite',
  summary: 'try many cases of network policies with known tables on real packets',
  usage: '[flags] FILE',
  examples: [['rkt lab suite cyclonus.json.gz', "every case that Cyclonus' generator made, in seconds"]],
  flags: {
    backend: backendFlag,
    enforcer: enforcerFlag,
    format: labFormatFlag,
    report: reportFlag,
  },
  maxOperands: 1,
  run({ flags, operands: [path] }) {
    if (path === undefined) throw new RuntimeError('ERR_CLI_USAGE', 'which suite?', { hint: 'rkt lab suite FILE' });
    const reports = reportsOf(flags.report, ['junit', 'csv', 'tap', 'json']);
    const stages: SuiteOutcome[] = [];
    const result = runSuite(openSuite(path), {
      ...backendOf(flags.backend),
      ...(flags.enforcer === undefined ? {} : { enforcer: flags.enforcer }),
      onStage: (outcome) => void stages.push(outcome),
    });
    const findings = findingsOfSuite({ name: basename(path), result, stages });
    writeReports(reports, findings);
    tell(flags.format, findings, () => out(textOf(result)));
    return result.mismatches + result.predictionMismatches > 0 ? 1 : result.noEvidence > 0 ? 3 : 0;
  },
});

function textOf(result: ReturnType<typeof runSuite>): string {
  const { cases, steps, measured, probe_ms: probeMs, mismatches, noEvidence, predictionMismatches, otherRule, findings } = result;
  return [
    ...findings,
    `${cases} cases, ${steps} steps: ${measured} probes in ${(probeMs / 1000).toFixed(1)} s`,
    `${mismatches} mismatches, ${noEvidence} without evidence, ${predictionMismatches} predictions not as expected, ${otherRule} by another rule than predicted`,
    '',
  ].join('\n');
}
