/** Commands that act on one image. */
import { RuntimeError } from '../model/errors.ts';

/** @throws ERR_CLI_USAGE when there is not exactly one */
export function imageArgument(operands: readonly string[]): string {
  const [image = '', ...more] = operands;
  if (image === '' || more.length > 0)
    throw new RuntimeError('ERR_CLI_USAGE', image === '' ? 'which image?' : `one image at a time, got ${operands.length}`, {
      hint: 'give a name or an ID (a unique beginning will do); rkt image list shows them',
    });
  return image;
}

/** An image (or a pod) and where it goes. @throws ERR_CLI_USAGE */
export function imageAndTarget(operands: readonly string[], target: string, what: 'image' | 'pod' = 'image'): [image: string, target: string] {
  const [image = '', to = ''] = operands;
  if (image === '' || to === '') throw new RuntimeError('ERR_CLI_USAGE', image === '' ? `which ${what}?` : `where to? give ${target}`);
  return [image, to];
}
