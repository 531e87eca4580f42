import { readFileSync } from 'node:fs';
import { RuntimeError, messageOf } from '../../model/errors.ts';
import { conformPlugin, failureText, junit } from '../../workbench.ts';
import { defineCommand } from '../command.ts';
import { out, outJson } from '../output.ts';
import { renderTable } from '../render/table.ts';
import { settingsFrom } from '../settings.ts';

function textOf(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new RuntimeError('ERR_CLI_USAGE', `cannot read ${path}: ${messageOf(error)}`, { exitCode: 2, cause: error });
  }
}

export const command = defineCommand({
  name: 'net conform',
  summary: "hold a CNI plugin to the specification's requirements, on a throw-away host",
  usage: '[flags] PLUGIN',
  examples: [
    ['rkt net conform /opt/cni/bin/bridge', 'a table by requirement; exit 1 when one is not met, 3 when none but some could not be tried'],
    ['rkt net conform --conf=mine.conflist --format=junit ./mine', 'a plugin of your own, for a CI system'],
  ],
  flags: {
    conf: { type: 'string', value: 'FILE', help: 'plugin object or list to try it with, instead of the built-in one of its type' },
    'prev-result': { type: 'string', value: 'FILE', help: 'result of the plugin before it' },
    'cap-args': { type: 'string', value: 'JSON', help: 'capability arguments, given as runtimeConfig' },
    format: { type: 'string', value: 'FORMAT', choices: ['text', 'json', 'junit'], default: 'text', help: 'how the report is printed' },
    verbose: { type: 'boolean', help: 'everything that was tried, not only what failed' },
  },
  needsRoot: true,
  maxOperands: 1,
  run({ flags, global, operands: [plugin] }) {
    if (plugin === undefined)
      throw new RuntimeError('ERR_CLI_USAGE', 'which plugin?', { hint: 'rkt net conform PLUGIN: a path or a type', exitCode: 2 });
    const report = conformPlugin(settingsFrom(global), process.env['CNI_PATH'] ?? '', {
      plugin,
      conf: textOf(flags.conf),
      prevResult: textOf(flags['prev-result']),
      capArgs: flags['cap-args'],
    });
    if (flags.format === 'json') outJson(report, 'json');
    else if (flags.format === 'junit') out(junit(report));
    else out(text(report, flags.verbose));
    return exitStatus(report);
  },
});

/** A report with holes is no success: `&&` must not go on as if the plugin were known to be right. */
function exitStatus({ findings }: ReturnType<typeof conformPlugin>): number {
  if (findings.some(({ verdict }) => verdict === 'fail')) return 1;
  return findings.some(({ verdict }) => verdict === 'unknown') ? 3 : 0;
}

function text({ plugin, versions, findings, untried, calls, ms }: ReturnType<typeof conformPlugin>, verbose: boolean): string {
  const rows = findings.flatMap(({ number, verdict, requirement, reason, evidence }) => {
    const shown = evidence
      .filter(({ holds }) => verbose || !holds)
      .map(({ what, holds, saw }) => `${verbose ? (holds ? 'ok: ' : 'NOT: ') : ''}${what}: ${saw}`);
    const first = verdict === 'pass' && !verbose ? `${evidence.length} tried` : (shown[0] ?? reason);
    return [[number, verdict, requirement, first], ...shown.slice(1).map((line) => ['', '', '', line])];
  });
  const count = (verdict: string): number => findings.filter((finding) => finding.verdict === verdict).length;
  const failures = verbose
    ? findings.filter(({ verdict }) => verdict === 'fail').map((finding) => `\n${finding.number}\n${failureText(finding)}\n`)
    : [];
  return [
    `${plugin} (CNI ${versions.join(' ')})\n`,
    renderTable(['NUMBER', 'VERDICT', 'REQUIREMENT', 'EVIDENCE'], rows),
    ...failures,
    `${count('pass')} pass, ${count('fail')} fail, ${count('not applicable')} not applicable, ${count('unknown')} unknown; ${calls} calls in ${(ms / 1000).toFixed(1)} s\n`,
    untried === '' ? '' : `not judged: ${count('unknown')} requirements need an ADD that works here: ${untried}\n`,
  ].join('');
}
