/**
 * What is known of the clients of attachments: `/run/cni/dhcp/<network>/<id>:<ifname>/` with `attachment` (what it is for, written
 * before the client starts), `pid` (the client's own), and `lease`, `lost` or `refused` (its script's). On a tmpfs: all of it is about
 * this boot.
 */
import { mkdirSync, rmSync, rmdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { namesIn, readText, writeAtomic } from '../../src/host/files.ts';
import type { AttachmentId } from '../../src/model/cni/types.ts';
import { isErrno } from '../../src/model/errors.ts';
import { digest } from '../skel/naming.ts';

const root = '/run/cni/dhcp';

/** Names end up in paths. None can hold a slash, and an id no colon; ids may be longer than file names. */
const fileName = (text: string): string => {
  const bytes = Buffer.from(text);
  return bytes.length <= 200 ? text : `${bytes.subarray(0, 150).toString('latin1')}~${digest(text)}`;
};

/** The files of one attachment. */
export interface ClientFiles {
  readonly dir: string;
  readonly attachment: string;
  readonly pid: string;
  readonly lease: string;
  readonly lost: string;
  readonly refused: string;
}
const filesIn = (dir: string): ClientFiles => ({
  dir,
  attachment: join(dir, 'attachment'),
  pid: join(dir, 'pid'),
  lease: join(dir, 'lease'),
  lost: join(dir, 'lost'),
  refused: join(dir, 'refused'),
});
const networkDir = (network: string): string => join(root, fileName(network));
export const clientFiles = (network: string, { containerID, ifname }: AttachmentId): ClientFiles =>
  filesIn(join(networkDir(network), fileName(`${containerID}:${ifname}`)));

/** What the client of an attachment is for. `netns`: identity of the namespace it runs in. */
export interface ClientRecord extends AttachmentId {
  readonly netns: string;
}

/** From now on DEL and GC find the client, whatever becomes of this process. */
export function writeRecord(files: ClientFiles, record: ClientRecord): void {
  for (;;) {
    mkdirSync(files.dir, { recursive: true, mode: 0o700 });
    try {
      writeAtomic(files.attachment, `${record.containerID}\n${record.ifname}\n${record.netns}\n`, { mode: 0o600 });
      return;
    } catch (error) {
      // Another attachment's end removed the directories, which were empty.
      if (!isErrno(error, 'ENOENT')) throw error;
    }
  }
}

/** Undefined when there is none: then there never was a client. */
export function readRecord(files: ClientFiles): ClientRecord | undefined {
  const [containerID = '', ifname = '', netns = ''] = (readText(files.attachment) ?? '').split('\n');
  return containerID === '' || ifname === '' || netns === '' ? undefined : { containerID, ifname, netns };
}

/** The files of every attachment of `network`. */
export const filesOfNetwork = (network: string): ClientFiles[] =>
  namesIn(networkDir(network)).map((name) => filesIn(join(networkDir(network), name)));

/** Forgets the attachment; directories go with the last one in them. */
export function forget(files: ClientFiles): void {
  // A script that outlives a killed client may write while we remove.
  rmSync(files.dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 10 });
  removeIfEmpty(dirname(files.dir));
  removeIfEmpty(root);
}

function removeIfEmpty(dir: string): void {
  try {
    rmdirSync(dir);
  } catch (error) {
    if (!isErrno(error, 'ENOTEMPTY', 'EEXIST', 'ENOENT')) throw error;
  }
}
