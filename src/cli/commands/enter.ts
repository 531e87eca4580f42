import { enterPod } from '../../pods.ts';
import { defineCommand } from '../command.ts';
import { podArgument } from '../pod-argument.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'enter',
  summary: 'run a command in an app of a running pod',
  usage: '[flags] POD [COMMAND…]',
  maxOperands: Infinity,
  flagsEndAtOperand: true,
  needsRoot: true,
  examples: [
    ['rkt enter 5f3c', 'a shell'],
    ['rkt enter --app=web 5f3c -- ls -l /', 'one command; behind -- its own flags'],
  ],
  flags: { app: { type: 'string', value: 'NAME', help: 'which app, when the pod has several' } },
  run({ flags, global, operands }) {
    const [uuid, ...words] = operands;
    return enterPod(settingsFrom(global), podArgument(uuid === undefined ? [] : [uuid], undefined), {
      app: flags.app,
      command: words,
    });
  },
});
