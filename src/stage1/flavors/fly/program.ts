/** A program in an app's root, as execvp would find it. */
import { isAbsolute, join } from 'node:path';
import { RuntimeError } from '../../../model/errors.ts';
import type { Rootfs } from '../oci/rootfs.ts';

/** Its path in the root. @throws ERR_STAGE1_LAUNCH in rkt's words */
export function programIn(root: Rootfs, app: string, wanted: string, path: string, workingDirectory: string): string {
  if (wanted.includes('/')) {
    const found = isAbsolute(wanted) ? wanted : join(workingDirectory, wanted);
    if (root.has(found)) return found;
  } else {
    for (const directory of path.split(':')) if (directory !== '' && root.has(join(directory, wanted))) return join(directory, wanted);
  }
  throw new RuntimeError('ERR_STAGE1_LAUNCH', `Unable to open "${wanted}": No such file or directory`, {
    hint: wanted.includes('/') ? `the image of app ${app} has no such file` : `no directory of the PATH of app ${app} (${path}) has it`,
  });
}
