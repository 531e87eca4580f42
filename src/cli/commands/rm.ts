import type { SweepEvent } from '../../gc/sweep.ts';
import { removePodNow } from '../../pipeline.ts';
import { defineCommand } from '../command.ts';
import { eachPod } from '../each-pod.ts';
import { err } from '../output.ts';
import { podArguments, uuidFileFlag } from '../pod-argument.ts';
import { givenUp } from '../render/sweep.ts';
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
    ['rkt rm --force 5f3c', 'also when a plugin it needs is gone for good'],
  ],
  flags: {
    'uuid-file': uuidFileFlag,
    force: { type: 'boolean', help: 'give up what cannot be undone (a plugin is gone, the journal is damaged), and say what it leaves' },
  },
  run({ flags, global, operands }) {
    const settings = settingsFrom(global);
    const report = (event: SweepEvent): void => {
      if (event.kind === 'abandoned') err(givenUp(event));
    };
    return eachPod('remove', podArguments(operands, flags['uuid-file']), (uuid) => removePodNow(settings, uuid, flags.force, report));
  },
});
