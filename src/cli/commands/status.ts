import { findPodInfo, waitForExit } from '../../pods.ts';
import { defineCommand } from '../command.ts';
import { parseDurationMs } from '../duration.ts';
import { podArgument, uuidFileFlag } from '../pod-argument.ts';
import { formatFlag, out, outJson } from '../output.ts';
import { networksText, podJson, portsText } from '../render/pod.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'status',
  summary: 'show the state of a pod',
  usage: '[flags] POD',
  maxOperands: 1,
  examples: [
    ['rkt status 5f3c', 'state, networks and exit codes'],
    ['rkt status --wait=30s 5f3c', 'wait until it has exited'],
  ],
  flags: {
    wait: { type: 'string', value: 'DURATION', bare: 'true', help: 'wait until the pod has exited: true, or 10s, 500ms, 2m' },
    'uuid-file': uuidFileFlag,
    format: formatFlag,
  },
  run({ flags, global, operands }) {
    const settings = settingsFrom(global);
    const uuid = podArgument(operands, flags['uuid-file']);
    if (flags.wait !== undefined) waitForExit(settings, uuid, waitMs(flags.wait));
    const pod = findPodInfo(settings, uuid);
    if (flags.format !== undefined) {
      outJson(podJson(pod), flags.format);
      return 0;
    }
    const lines = [`state=${pod.state}`];
    if (pod.createdMs !== undefined) lines.push(`created=${new Date(pod.createdMs).toISOString()}`);
    if (pod.startedMs !== undefined) lines.push(`started=${new Date(pod.startedMs).toISOString()}`);
    if (pod.networks.length > 0) lines.push(`networks=${networksText(pod)}`);
    if (pod.ports.length > 0) lines.push(`ports=${portsText(pod)}`);
    if (pod.name !== undefined) lines.push(`name=${pod.name}`);
    if (pod.state === 'running' && pod.pid !== undefined) lines.push(`pid=${pod.pid}`);
    lines.push(`exited=${pod.state.startsWith('exited')}`);
    if (pod.state !== 'running') for (const [app, code] of pod.exitCodes) lines.push(`app-${app}=${code}`);
    out(`${lines.join('\n')}\n`);
    return 0;
  },
});

/** rkt's forms: `true` and negative wait for ever, `false` not at all, else a duration. */
function waitMs(text: string): number {
  if (text === 'true' || text.startsWith('-')) return Infinity;
  return text === 'false' ? 0 : parseDurationMs(text);
}
