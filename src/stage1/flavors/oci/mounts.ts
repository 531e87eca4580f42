/** The mount namespace of a pod: made by stage0, inherited by the supervisor, gone with it. */
import { accessSync, closeSync, constants, openSync } from 'node:fs';
import { dirname, basename } from 'node:path';
import { CLONE, MS, isErrno, mount, setns, unshare } from '../../../host/linux.ts';
import { RuntimeError, diskHint, messageOf } from '../../../model/errors.ts';

/** What mount(2) takes: one page, with its NUL. */
const maxOptionBytes = 4095;

/** The namespace this thread left, as long as it is not back. */
let left: { readonly fd: number; readonly cwd: string } | undefined;

/** Moves this thread into a mount namespace of its own. Mounts of the host still arrive in it; nothing gets out. */
export function enterPrivateMounts(): void {
  if (left !== undefined) return;
  const fd = openSync('/proc/thread-self/ns/mnt', 'r');
  const cwd = process.cwd();
  unshare(CLONE.NEWNS);
  left = { fd, cwd };
  mount(null, '/', null, MS.REC | MS.SLAVE, null);
}

/** Goes back to where {@link enterPrivateMounts} came from: an undo in here would not reach the host's mounts. */
export function leavePrivateMounts(): void {
  if (left === undefined) return;
  setns(left.fd, CLONE.NEWNS);
  closeSync(left.fd);
  process.chdir(left.cwd);
  left = undefined;
}

/** The mount namespace {@link enterPrivateMounts} came from, as long as this thread is not back. */
export const hostMountsFd = (): number | undefined => left?.fd;

/** An overlay mount of `layers` (absolute, top first) with writable `upper`, at `target`. @throws ERR_STAGE1_LAUNCH */
export function mountOverlay(layers: readonly string[], upper: string, work: string, target: string): void {
  const { directory, options } = overlayOptions(layers, upper, work);
  const before = process.cwd();
  // The kernel takes relative layers from the current directory: 127 of them fit a page of options only that way.
  process.chdir(directory);
  try {
    mount('overlay', target, 'overlay', 0, options);
    requireWritable(target, upper);
  } catch (error) {
    if (error instanceof RuntimeError) throw error;
    throw new RuntimeError('ERR_STAGE1_LAUNCH', `cannot mount the image at ${target}: ${messageOf(error)}`, {
      cause: error,
      ...diskHint(error),
      ...(isErrno(error, 'EINVAL', 'ENODEV', 'EOPNOTSUPP', 'EPERM')
        ? { hint: '--no-overlay copies the image instead; overlay needs a file system with d_type and extended attributes' }
        : {}),
    });
  } finally {
    process.chdir(before);
  }
}

/** An overlay of at least two `layers` (absolute, top first) that nothing can be written to, at `target`. @throws ERR_STAGE1_LAUNCH */
export function overlayReadOnly(layers: readonly string[], target: string): void {
  const { directory, options } = overlayOptions(layers);
  const before = process.cwd();
  process.chdir(directory);
  try {
    mount('overlay', target, 'overlay', MS.RDONLY | MS.NODEV | MS.NOSUID, options);
  } catch (error) {
    throw new RuntimeError('ERR_STAGE1_LAUNCH', `cannot mount the image at ${target}: ${messageOf(error)}`, { cause: error });
  } finally {
    process.chdir(before);
  }
}

/** The kernel mounts an overlay read-only, and succeeds, when it cannot make what it needs in the work directory. */
function requireWritable(target: string, upper: string): void {
  try {
    accessSync(target, constants.W_OK);
  } catch (cause) {
    throw new RuntimeError('ERR_STAGE1_LAUNCH', `the kernel could only mount ${target} read-only`, {
      cause,
      hint: `the disk of ${upper} is full (space, inodes or a quota) or read-only: rkt gc --grace-period=0 removes exited pods`,
    });
  }
}

/** Pure: the directory to mount from, and mount(2)'s options. @throws ERR_STAGE1_LAUNCH for more layers than a mount can name */
export function overlayOptions(layers: readonly string[], upper?: string, work?: string): { directory: string; options: string } {
  const [first] = layers;
  if (first === undefined) throw new RuntimeError('ERR_STAGE1_LAUNCH', 'an image without layers has no root');
  const directory = dirname(first);
  const names = layers.map((layer) => (dirname(layer) === directory ? basename(layer) : layer));
  // A name that begins with a dash or colon is fine here; backslash, colon and comma are the separators of overlay's parser.
  const writable = upper === undefined || work === undefined ? '' : `,upperdir=${escaped(upper)},workdir=${escaped(work)}`;
  const options = `lowerdir=${names.map(escaped).join(':')}${writable}`;
  if (Buffer.byteLength(options) > maxOptionBytes) {
    throw new RuntimeError('ERR_STAGE1_LAUNCH', `${layers.length} layers are more than one mount can name`, {
      hint: '--no-overlay copies the image instead',
    });
  }
  return { directory, options };
}

const escaped = (path: string): string => path.replace(/[\\:,]/g, '\\$&');

/** Covers the cgroup2 mount at `path` by an empty directory: a mount rather than an unmount, for crun makes directories in what it finds there. */
export const coverCgroup = (path: string): void => mount('rkt', path, 'tmpfs', MS.NOSUID | MS.NODEV | MS.NOEXEC, 'mode=755,size=1m');

/** The /dev of an app, in which the runtime makes the standard devices. `fd`: the directory it goes over. */
export const mountDev = (fd: number): void => mount('tmpfs', `/proc/self/fd/${fd}`, 'tmpfs', MS.NOSUID | MS.STRICTATIME, 'mode=755,size=65536k');

/** The pod's /dev/shm. */
export const mountShm = (path: string): void => mount('shm', path, 'tmpfs', MS.NOSUID | MS.NODEV | MS.NOEXEC, 'mode=1777,size=65536k');
