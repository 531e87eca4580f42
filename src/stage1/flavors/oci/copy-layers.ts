/** --no-overlay: the layers of an image, put one over the other in a plain directory. */
import { lstatSync, readdirSync, type Dirent, type Stats } from 'node:fs';
import { join } from 'node:path';
import { isErrno, run } from '../../../host/linux.ts';
import { binaryName, nodePath, rawName } from '../../../host/names.ts';
import { removeTree } from '../../../host/remove-tree.ts';
import { readXattr } from '../../../host/xattr.ts';
import { RuntimeError, printable } from '../../../model/errors.ts';

const copyTimeoutMs = 600_000;

/**
 * Builds in the empty directory `target` what an overlay mount of `layers` (top first) would show: ownership, modes,
 * times, extended attributes, links and devices kept; extents shared where the file system can. @throws ERR_STAGE1_LAUNCH
 */
export function copyLayers(layers: readonly string[], target: string): void {
  for (const layer of [...layers].reverse()) {
    const into = binaryName(target);
    const whiteouts = clearTheWay(binaryName(layer), into, '');
    copyOver(layer, target);
    for (const path of whiteouts) remove(join(into, path));
  }
}

/** Removes from `target` what the layer hides or replaces by something of another kind. Paths are binary strings. @returns those of its whiteouts */
function clearTheWay(layer: string, target: string, below: string): string[] {
  const whiteouts: string[] = [];
  for (const entry of readdirSync(pathOf(join(layer, below)), { withFileTypes: true, encoding: 'latin1' })) {
    const path = join(below, entry.name);
    const there = statOf(join(target, path));
    if (isWhiteout(join(layer, path), entry)) {
      whiteouts.push(path);
      remove(join(target, path));
    } else if (entry.isDirectory() && there?.isDirectory() === true) {
      if (isOpaque(join(layer, path)))
        for (const name of readdirSync(pathOf(join(target, path)), { encoding: 'latin1' })) remove(join(target, path, name));
      whiteouts.push(...clearTheWay(layer, target, path));
    } else {
      if (there !== undefined) remove(join(target, path));
      if (entry.isDirectory()) whiteouts.push(...clearTheWay(layer, target, path));
    }
  }
  return whiteouts;
}

const pathOf = (name: string): string | Buffer => nodePath(rawName(name));
const remove = (name: string): void => removeTree(rawName(name));
const isWhiteout = (name: string, entry: Dirent): boolean => entry.isCharacterDevice() && lstatSync(pathOf(name)).rdev === 0;
const isOpaque = (name: string): boolean => readXattr(rawName(name), 'trusted.overlay.opaque')?.toString() === 'y';

function statOf(name: string): Stats | undefined {
  try {
    return lstatSync(pathOf(name));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

function copyOver(layer: string, target: string): void {
  const result = run(
    '/bin/cp',
    ['cp', '-a', '--reflink=auto', '-T', '--', layer, target],
    { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
    { timeoutMs: copyTimeoutMs, maxBytes: 65_536 },
  );
  if (result.errno === 0 && result.status === 0) return;
  if (result.interrupted) throw new RuntimeError('ERR_INTERRUPTED', 'stopped by a signal while the image was copied');
  throw new RuntimeError('ERR_STAGE1_LAUNCH', `cannot copy layer ${layer}`, {
    details: printable(result.stderr.toString()).trim().split('\n').slice(0, 5),
    hint: result.timedOut ? `it took more than ${copyTimeoutMs / 1000} s` : 'is the disk full?',
  });
}
