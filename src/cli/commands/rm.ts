import { removePodNow } from '../../pipeline.ts';
import { defineCommand } from '../command.ts';
import { eachPod } from '../each-pod.ts';
import { podArguments, uuidFileFlag } from '../pod-argument.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'rm',
  summary: 'remove pod(s) that do not run',
  usage: '[flags] POD…',
  maxOperands: Infinity,
  needsRoot: true,
  examples: [
    ['rkt rm 5f3c', 'undo its network, delete its files'],
    ['rkt rm --uuid-file=/run/web.uuid', 'the pod of a unit'],
  ],
  flags: { 'uuid-file': uuidFileFlag },
  run({ flags, global, operands }) {
    const settings = settingsFrom(global);
    return eachPod('remove', podArguments(operands, flags['uuid-file']), (uuid) => removePodNow(settings, uuid));
  },
});
