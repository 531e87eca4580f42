import { stopPod } from '../../pods.ts';
import { defineCommand } from '../command.ts';
import { eachPod } from '../each-pod.ts';
import { podArguments, uuidFileFlag } from '../pod-argument.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'stop',
  summary: 'stop running pod(s)',
  usage: '[flags] POD…',
  maxOperands: Infinity,
  examples: [
    ['rkt stop 5f3c', 'in order: stop signal, then the apps’ own end'],
    ['rkt stop --force 5f3c', 'SIGKILL to everything in the pod'],
  ],
  flags: { force: { type: 'boolean', help: 'kill at once' }, 'uuid-file': uuidFileFlag },
  run({ flags, global, operands }) {
    const settings = settingsFrom(global);
    return eachPod('stop', podArguments(operands, flags['uuid-file']), (uuid) => stopPod(settings, uuid, flags.force));
  },
});
