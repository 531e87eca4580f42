import { RuntimeError } from '../../model/errors.ts';
import { copyFiles, parseCopyEnd } from '../../images.ts';
import { defineCommand } from '../command.ts';
import { warn } from '../output.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'cp',
  summary: 'copy files between the host and an app of a running or exited pod',
  usage: '[flags] SRC DST',
  maxOperands: 2,
  needsRoot: true,
  examples: [
    ['rkt cp 5f3c:/etc/hosts .', 'out of the only app of a pod'],
    ['rkt cp site/. 5f3c:web:/var/www', 'what is in a directory, into a directory of app web'],
    ['rkt cp --owner=33:33 page.html 5f3c:/var/www/', 'with another owner'],
  ],
  flags: { owner: { type: 'string', value: 'UID[:GID]', help: 'owner of the copies', default: 'as the originals' } },
  run({ flags, global, operands }) {
    const [from, to] = operands;
    if (from === undefined || to === undefined)
      throw new RuntimeError('ERR_CLI_USAGE', from === undefined ? 'what is to be copied?' : 'where to?', {
        hint: 'rkt cp SRC DST, one of them POD:PATH',
      });
    const owner = flags.owner === undefined ? {} : { owner: ownerOf(flags.owner) };
    const skipped = (name: string): void => warn(`socket ${JSON.stringify(name)} is left out`);
    copyFiles(settingsFrom(global).dataDir, parseCopyEnd(from), parseCopyEnd(to), { ...owner, skipped });
    return 0;
  },
});

function ownerOf(text: string): { uid: number; gid: number } {
  const [, uid, gid = uid] = /^(\d{1,10})(?::(\d{1,10}))?$/.exec(text) ?? [];
  if (uid === undefined) throw new RuntimeError('ERR_CLI_USAGE', `flag --owner: ${JSON.stringify(text)} is not UID[:GID], both numbers`);
  return { uid: Number(uid), gid: Number(gid) };
}
