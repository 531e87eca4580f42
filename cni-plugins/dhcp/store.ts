/**
 * What is known of the clients of attachments: `/run/cni/dhcp/<network>/<id>:<ifname>/` with `attachment` (what it is for, written
 * before the client starts), `pid` (the client's own), and `lease`, `lost` or `refused` (its script's). On a tmpfs: all of it is about
 * this boot.
 */
import { mkdirSync, readdirSync, rmSync, rmdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readText, writeAtomic } from '../../src/host/files.ts';
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

/** From now on DEL and GC find the attachment, whatever becomes of this process. */
export function recordAttachment(files: ClientFiles, attachment: AttachmentId): void {
  for (;;) {
    mkdirSync(files.dir, { recursive: true, mode: 0o700 });
    try {
      writeAtomic(files.attachment, `${attachment.containerID}\n${attachment.ifname}\n`, { mode: 0o600 });
      return;
    } catch (error) {
      // Another attachment's end removed the directories, which were empty.
      if (!isErrno(error, 'ENOENT')) throw error;
    }
  }
}

/** Every attachment of `network`. One without a record never had a client: its record is written first. */
export function recordedAttachments(network: string): { readonly files: ClientFiles; readonly attachment: AttachmentId | undefined }[] {
  return namesIn(networkDir(network)).map((name) => {
    const files = filesIn(join(networkDir(network), name));
    const [containerID = '', ifname = ''] = (readText(files.attachment) ?? '').split('\n');
    return { files, attachment: containerID === '' || ifname === '' ? undefined : { containerID, ifname } };
  });
}

/** Forgets the attachment; directories go with the last one in them. */
export function forget(files: ClientFiles): void {
  // A script that outlives a killed client may write while we remove.
  rmSync(files.dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 10 });
  removeIfEmpty(dirname(files.dir));
  removeIfEmpty(root);
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

function removeIfEmpty(dir: string): void {
  try {
    rmdirSync(dir);
  } catch (error) {
    if (!isErrno(error, 'ENOTEMPTY', 'EEXIST', 'ENOENT')) throw error;
  }
}
