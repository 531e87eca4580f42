import { writeFileSync } from 'node:fs';
import { RuntimeError, messageOf } from '../../model/errors.ts';
import { cellText, fuzz, textOf } from '../../lab/fuzz/fuzz.ts';
import { defineCommand } from '../command.ts';
import { formatFlag, out, outJson } from '../output.ts';

function numberOf(name: string, text: string, least: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : -1;
  if (value < least) throw new RuntimeError('ERR_CLI_USAGE', `--${name} must be a number from ${least}, not "${text}"`);
  return value;
}

export const command = defineCommand({
  name: 'lab fuzz',
  summary: 'random pods and policies: what is predicted against what packets do',
  usage: '[flags]',
  examples: [['rkt lab fuzz --seed=7 --count=2000', 'the same 2000 cases each time; exit 1 and the smallest case that differs']],
  flags: {
    seed: { type: 'string', value: 'N', default: '1', help: 'which cases' },
    count: { type: 'string', value: 'N', default: '100', help: 'how many cases' },
    out: { type: 'string', value: 'FILE', help: 'write the smallest case that differs to FILE, an experiment.yaml' },
    format: formatFlag,
  },
  run({ flags }) {
    const seed = numberOf('seed', flags.seed ?? '1', 0);
    const report = fuzz({ seed, count: numberOf('count', flags.count ?? '100', 1) });
    const { finding } = report;
    if (flags.out !== undefined && finding !== undefined) write(flags.out, textOf(finding.case));
    if (flags.format !== undefined) outJson(report, flags.format);
    else {
      const { cases, cells, denied, mismatches, noEvidence, otherRule } = report;
      const share = cells === 0 ? 0 : Math.round((100 * denied) / cells);
      out(
        `${cases} cases, ${cells} cells (${share} % denied): ${mismatches} mismatches, ${noEvidence} without evidence, ${otherRule} by another rule\n`,
      );
      if (finding !== undefined) {
        out(
          `case ${finding.case.number} of seed ${seed}, made small:\n${finding.cells
            .slice(0, 20)
            .map((cell) => `  ${cellText(cell)}\n`)
            .join('')}`,
        );
        if (flags.out === undefined) out(`${textOf(finding.case)}\n`);
      }
    }
    return finding === undefined ? 0 : report.mismatches + report.otherRule > 0 ? 1 : 3;
  },
});

function write(path: string, text: string): void {
  try {
    writeFileSync(path, `${text}\n`);
  } catch (error) {
    throw new RuntimeError('ERR_CLI_USAGE', `cannot write ${path}: ${messageOf(error)}`, { cause: error });
  }
}
