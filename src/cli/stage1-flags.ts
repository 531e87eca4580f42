/** Which stage1 runs the pod. @see rkt.md 1.2 */
import { RuntimeError } from '../model/errors.ts';
import { stage1Kinds, type Stage1Choice } from '../model/options.ts';
import type { Flags, FlagValues } from './command.ts';

/** Lists, so that a second one is seen. */
export const stage1Flags = {
  'stage1-name': { type: 'list', value: 'NAME', help: 'stage1 image by name: coreos.com/rkt/stage1-coreos (oci, the default) or …/stage1-fly' },
  'stage1-path': { type: 'list', value: 'PATH', help: 'stage1 image by path, or by the name it has beside rkt' },
  'stage1-url': { type: 'list', value: 'URL', help: 'stage1 image by URL' },
  'stage1-hash': { type: 'list', value: 'HASH', help: 'stage1 image by its ID in the store' },
  'stage1-from-dir': { type: 'list', value: 'FILE', help: 'stage1 image by its name in the directory of stage1 images' },
} as const satisfies Flags;

/** @throws ERR_CLI_USAGE for more than one */
export function stage1Choice(flags: FlagValues<typeof stage1Flags>): Stage1Choice | undefined {
  const given = stage1Kinds.flatMap((kind) => flags[`stage1-${kind}`].map((value): Stage1Choice => ({ kind, value })));
  if (given.length > 1) {
    const names = [...new Set(given.map(({ kind }) => `--stage1-${kind}`))];
    throw new RuntimeError('ERR_CLI_USAGE', names.length > 1 ? `${names.join(' and ')} exclude each other` : `${names.join('')} is given twice`, {
      hint: 'a pod has one stage1',
    });
  }
  return given[0];
}
