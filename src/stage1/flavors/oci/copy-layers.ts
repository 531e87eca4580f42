/** --no-overlay: the layers of an image, put one over the other in a plain directory. */
import { lstatSync, readdirSync, rmSync, type Dirent, type Stats } from 'node:fs';
import { join } from 'node:path';
import { isErrno, raw, run } from '../../../host/linux.ts';
import { RuntimeError, printable } from '../../../model/errors.ts';

const copyTimeoutMs = 600_000;

/**
 * Builds in the empty directory `target` what an overlay mount of `layers` (top first) would show: ownership, modes,
 * times, extended attributes, links and devices kept; extents shared where the file system can. @throws ERR_STAGE1_LAUNCH
 */
export function copyLayers(layers: readonly string[], target: string): void {
  for (const layer of [...layers].reverse()) {
    const whiteouts = clearTheWay(layer, target, '');
    copyOver(layer, target);
    for (const path of whiteouts) rmSync(join(target, path), { force: true });
  }
}

/** Removes from `target` what the layer hides or replaces by something of another kind. @returns paths of its whiteouts */
function clearTheWay(layer: string, target: string, below: string): string[] {
  const whiteouts: string[] = [];
  for (const entry of readdirSync(join(layer, below), { withFileTypes: true })) {
    const path = join(below, entry.name);
    const there = statOf(join(target, path));
    if (isWhiteout(join(layer, path), entry)) {
      whiteouts.push(path);
      if (there !== undefined) rmSync(join(target, path), { recursive: true, force: true });
    } else if (entry.isDirectory() && there?.isDirectory() === true) {
      if (isOpaque(join(layer, path)))
        for (const name of readdirSync(join(target, path))) rmSync(join(target, path, name), { recursive: true, force: true });
      whiteouts.push(...clearTheWay(layer, target, path));
    } else {
      if (there !== undefined) rmSync(join(target, path), { recursive: true, force: true });
      if (entry.isDirectory()) whiteouts.push(...clearTheWay(layer, target, path));
    }
  }
  return whiteouts;
}

const isWhiteout = (path: string, entry: Dirent): boolean => entry.isCharacterDevice() && lstatSync(path).rdev === 0;

function isOpaque(path: string): boolean {
  const value = Buffer.alloc(2);
  return raw('lgetxattr', path, 'trusted.overlay.opaque', value, value.length) === 1 && value[0] === 0x79;
}

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path);
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
