/** User and group of an app → numbers, looked up in the app's own root and nowhere else. @see rkt.md 2.11 */
import { closeSync, fstatSync, readFileSync } from 'node:fs';
import { O, RESOLVE, isErrno, openat2 } from '../../../host/linux.ts';
import { RuntimeError } from '../../../model/errors.ts';
import type { AppSpec } from '../../../model/pod.ts';
import type { OciUser } from './oci-spec.ts';

/** A passwd or group file that is larger is not one. */
const maxFileBytes = 4 << 20;
const maxId = 0xfffffffe;

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}
interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/**
 * Numbers for `spec.user` and `spec.group`: a number, a name in the image's /etc/passwd or /etc/group, or an absolute
 * path whose owner is meant. Without a group: the user's primary one and those that list it as a member (as Docker
 * does), 0 when the image does not know the user.
 * @param rootFd - directory descriptor of the app's root
 * @throws ERR_APP_USER
 */
export function resolveUser(app: string, spec: Pick<AppSpec, 'user' | 'group' | 'supplementaryGIDs'>, rootFd: number): OciUser {
  const files = accountFiles(app, rootFd);
  const user = userOf(app, spec.user, files, rootFd);
  const extra = spec.supplementaryGIDs ?? [];
  if (spec.group !== '') return { uid: user.uid, gid: groupOf(app, spec.group, files, rootFd), additionalGids: extra };
  const memberOf =
    user.name === undefined
      ? []
      : files
          .groups()
          .filter(({ members }) => members.includes(user.name ?? ''))
          .map(({ gid }) => gid);
  return { uid: user.uid, gid: user.gid, additionalGids: [...new Set([...extra, ...memberOf])].filter((gid) => gid !== user.gid) };
}

interface AccountFiles {
  users(): readonly PasswdEntry[];
  groups(): readonly GroupEntry[];
}
/** Read when first needed: most apps say 0, and many images have no such files. */
function accountFiles(app: string, rootFd: number): AccountFiles {
  let users: PasswdEntry[] | undefined;
  let groups: GroupEntry[] | undefined;
  return {
    users: () => (users ??= parsePasswd(readInRoot(app, rootFd, 'etc/passwd'))),
    groups: () => (groups ??= parseGroup(readInRoot(app, rootFd, 'etc/group'))),
  };
}

function userOf(app: string, wanted: string, files: AccountFiles, rootFd: number): { uid: number; gid: number; name: string | undefined } {
  const number = idOf(app, 'user', wanted);
  if (number !== undefined) {
    const entry = files.users().find(({ uid }) => uid === number);
    return { uid: number, gid: entry?.gid ?? 0, name: entry?.name };
  }
  if (wanted.startsWith('/')) return { ...ownerOf(app, 'user', wanted, rootFd), name: undefined };
  const entry = files.users().find(({ name }) => name === wanted);
  if (entry !== undefined) return entry;
  if (wanted === 'root') return { uid: 0, gid: 0, name: 'root' };
  throw notFound(
    app,
    'user',
    wanted,
    files.users().map(({ name }) => name),
  );
}

function groupOf(app: string, wanted: string, files: AccountFiles, rootFd: number): number {
  const number = idOf(app, 'group', wanted);
  if (number !== undefined) return number;
  if (wanted.startsWith('/')) return ownerOf(app, 'group', wanted, rootFd).gid;
  const entry = files.groups().find(({ name }) => name === wanted);
  if (entry !== undefined) return entry.gid;
  if (wanted === 'root') return 0;
  throw notFound(
    app,
    'group',
    wanted,
    files.groups().map(({ name }) => name),
  );
}

function notFound(app: string, what: 'user' | 'group', wanted: string, known: readonly string[]): RuntimeError {
  const file = what === 'user' ? '/etc/passwd' : '/etc/group';
  return new RuntimeError('ERR_APP_USER', `"${wanted}" ${what} not found in app ${app}`, {
    hint:
      known.length === 0
        ? `the image has no ${file}: give a number`
        : `${file} of the image knows ${known.slice(0, 10).join(', ')}${known.length > 10 ? ', …' : ''}`,
  });
}

function idOf(app: string, what: string, text: string): number | undefined {
  if (!/^\d+$/.test(text)) return undefined;
  const number = Number(text);
  // (uid_t)-1 means "leave as it is" to every system call that takes one.
  if (number > maxId) throw new RuntimeError('ERR_APP_USER', `${what} ${text} of app ${app} is out of range`, { hint: `numbers go up to ${maxId}` });
  return number;
}

function ownerOf(app: string, what: string, path: string, rootFd: number): { uid: number; gid: number } {
  let fd: number;
  try {
    fd = openat2(rootFd, path, O.PATH, 0, RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS);
  } catch (cause) {
    throw new RuntimeError('ERR_APP_USER', `no ${what} for app ${app}: ${path} cannot be looked at in its image`, { cause });
  }
  try {
    const { uid, gid } = fstatSync(fd);
    return { uid, gid };
  } finally {
    closeSync(fd);
  }
}

/** Text of a file in the app's root; '' when there is none. Links are followed inside the root. */
function readInRoot(app: string, rootFd: number, path: string): string {
  let fd: number;
  try {
    fd = openat2(rootFd, path, O.RDONLY | O.NONBLOCK, 0, RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return '';
    throw new RuntimeError('ERR_APP_USER', `cannot read /${path} of app ${app}`, { cause: error });
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || stat.size > maxFileBytes) throw new RuntimeError('ERR_APP_USER', `/${path} of app ${app} is not an account file`);
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}

/** Lines that are not entries (comments, NIS markers, damage) are passed over, as the C library does. */
export function parsePasswd(text: string): PasswdEntry[] {
  return text.split('\n').flatMap((line) => {
    const [name = '', , uid = '', gid = ''] = line.trim().split(':');
    return name !== '' && isId(uid) && isId(gid) ? [{ name, uid: Number(uid), gid: Number(gid) }] : [];
  });
}

export function parseGroup(text: string): GroupEntry[] {
  return text.split('\n').flatMap((line) => {
    const [name = '', , gid = '', members = ''] = line.trim().split(':');
    return name !== '' && isId(gid) ? [{ name, gid: Number(gid), members: members.split(',').filter((member) => member !== '') }] : [];
  });
}

const isId = (text: string): boolean => /^\d{1,10}$/.test(text) && Number(text) <= maxId;
