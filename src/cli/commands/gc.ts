import { collectGarbage } from '../../pipeline.ts';
import { defineCommand } from '../command.ts';
import { parseDurationMs } from '../duration.ts';
import { err, out } from '../output.ts';
import { givenUp, keptText } from '../render/sweep.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'gc',
  summary: 'remove exited pods and all they left',
  usage: '[flags]',
  needsRoot: true,
  examples: [
    ['rkt gc', 'mark exited pods; remove those marked 30 minutes ago'],
    ['rkt gc --grace-period=0', 'remove every exited pod now'],
  ],
  flags: {
    'grace-period': { type: 'string', value: 'DURATION', default: '30m', help: 'keep exited pods this long after they were marked' },
    'expire-prepared': { type: 'string', value: 'DURATION', default: '24h', help: 'keep prepared pods that nobody ran this long' },
    'mark-only': { type: 'boolean', help: 'mark, remove nothing' },
  },
  run({ flags, global }) {
    let failed = false;
    const graceMs = parseDurationMs(flags['grace-period'] ?? '30m');
    const policy = { graceMs, expirePreparedMs: parseDurationMs(flags['expire-prepared'] ?? '24h'), markOnly: flags['mark-only'] };
    collectGarbage(settingsFrom(global), policy, (event) => {
      switch (event.kind) {
        case 'marked':
          return err(`gc: moving pod "${event.id}" to garbage\n`);
        case 'deleted':
          return out(`Garbage collecting pod "${event.id}"\n`);
        case 'waiting':
          return err(`gc: pod "${event.id}" not removed: still within grace period (${flags['grace-period'] ?? '30m0s'})\n`);
        case 'abandoned':
          return err(givenUp(event));
        case 'failed': {
          failed = true;
          return err(keptText(event));
        }
      }
    });
    return failed ? 254 : 0;
  },
});
