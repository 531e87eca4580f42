/**
 * The volumes of a pod, mounted where its apps see them: in the pod's private mount namespace, below each app's root, before crun takes it over.
 * Source and target are descriptors from the moment they are looked at, so whoever can change names meanwhile changes nothing.
 * @see rkt.md 2.8; ../../README.md "Volumes"
 */
import { chmodSync, chownSync, closeSync, fstatSync, openSync, renameSync, statSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import { attachTree, cloneTree, makeTreeReadOnly } from '../../../host/detached-mounts.ts';
import { makeDirectory } from '../../../host/files.ts';
import { MS, O, isErrno, mount } from '../../../host/linux.ts';
import { removeTree } from '../../../host/remove-tree.ts';
import { RuntimeError, isRuntimeError, messageOf } from '../../../model/errors.ts';
import type { Stage1Mount } from '../../contract.ts';
import { copyLayers } from './copy-layers.ts';
import { overlayReadOnly } from './mounts.ts';
import type { OciDeviceRule } from './oci-spec.ts';
import type { Rootfs } from './rootfs.ts';

/** Mounts an app's volumes below its mounted root. @returns which devices it may use therefore. @throws ERR_STAGE1_LAUNCH */
export function mountVolumes(root: Rootfs, app: string, mounts: readonly Stage1Mount[]): OciDeviceRule[] {
  return mounts.flatMap((one) => {
    try {
      makeSource(root, one);
      return mountOne(root, one);
    } catch (error) {
      if (isRuntimeError(error) && error.code !== 'ERR_STAGE1_LAUNCH') throw error;
      throw new RuntimeError('ERR_STAGE1_LAUNCH', `app ${app}: cannot mount volume "${one.volume.name}" at ${one.target}: ${messageOf(error)}`, {
        cause: error,
        ...(isErrno(error, 'ENOSYS', 'EOPNOTSUPP') ? { hint: 'volumes need Linux 5.12 or newer (mount_setattr)' } : {}),
      });
    }
  });
}

function mountOne(root: Rootfs, { hostPath, target, volume, readOnly }: Stage1Mount): OciDeviceRule[] {
  // Without opening what is there: a FIFO would wait for a writer, a device might act.
  const source = openSync(hostPath, O.PATH);
  try {
    const facts = fstatSync(source);
    const tree = cloneTree(`/proc/self/fd/${source}`, volume.kind === 'host' && volume.recursive !== false && facts.isDirectory());
    try {
      if (readOnly) makeTreeReadOnly(tree);
      const at = root.openTarget(target, facts.isDirectory());
      try {
        attachTree(tree, at);
      } finally {
        closeSync(at);
      }
    } finally {
      closeSync(tree);
    }
    return deviceRules(facts, readOnly);
  } finally {
    closeSync(source);
  }
}

/** A device may be used as it is mounted; never made anew under another name. */
function deviceRules(facts: Stats, readOnly: boolean): OciDeviceRule[] {
  if (!facts.isCharacterDevice() && !facts.isBlockDevice()) return [];
  const number = BigInt(facts.rdev);
  return [
    {
      allow: true,
      type: facts.isBlockDevice() ? 'b' : 'c',
      major: Number(((number >> 8n) & 0xfffn) | ((number >> 32n) & ~0xfffn)),
      minor: Number((number & 0xffn) | ((number >> 12n) & ~0xffn & 0xffffffffn)),
      access: readOnly ? 'r' : 'rw',
    },
  ];
}

/** Volumes that are not the host's are made when the first app needs them, and stay with the pod's directory. */
function makeSource(root: Rootfs, one: Stage1Mount): void {
  const { volume, hostPath } = one;
  if (volume.kind === 'host') return;
  makeDirectory(dirname(hostPath));
  if (volume.kind === 'empty') {
    if (!isThere(hostPath)) makeEmpty(root, one);
    return;
  }
  makeDirectory(hostPath);
  // Mounted for another app already.
  if (statSync(hostPath).dev !== statSync(dirname(hostPath)).dev) return;
  if (volume.kind === 'image') {
    const nothing = join(dirname(hostPath), '.nothing');
    makeDirectory(nothing, 0o755);
    overlayReadOnly([...(one.layers ?? []), nothing], hostPath);
    return;
  }
  const { mode = '0755', uid = 0, gid = 0, size } = volume;
  const options = [`mode=${mode}`, `uid=${uid}`, `gid=${gid}`, ...(size === undefined ? [] : [`size=${size}`])];
  mount('tmpfs', hostPath, 'tmpfs', MS.NOSUID | MS.NODEV, options.join(','));
}

/** Under another name until it is what it shall be: a start that is cut short leaves no half of it to the next. */
function makeEmpty(root: Rootfs, { hostPath, volume, target, populated }: Stage1Mount): void {
  const unfinished = join(dirname(hostPath), `.${volume.name}.new`);
  removeTree(unfinished);
  makeDirectory(unfinished);
  chownSync(unfinished, volume.uid ?? 0, volume.gid ?? 0);
  chmodSync(unfinished, Number.parseInt(volume.mode ?? '0755', 8));
  if (populated) populate(root, target, unfinished);
  renameSync(unfinished, hostPath);
}

/** What Docker does: content, mode and owner of what the image has there. */
function populate(root: Rootfs, target: string, into: string): void {
  const from = root.openDirectory(target);
  if (from === undefined) return;
  try {
    // The process that copies has none of our descriptors.
    copyLayers([`/proc/${process.pid}/fd/${from}/.`], into);
  } finally {
    closeSync(from);
  }
}

function isThere(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}
