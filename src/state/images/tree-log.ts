/**
 * What a layer's tree is like, written down while it is unpacked and read again when it is verified. A log, not a listing:
 * records stand in the order of what was done, and the last one about a name counts. So it costs a line a member, no memory, and
 * no second look at the tree. Names are binary strings.
 */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';

/** `[name, value in hexadecimal]`, sorted by name. */
export type LoggedXattrs = readonly (readonly [string, string])[];
/** Offset and length of what is no hole. */
export type LoggedRegion = readonly [offset: number, bytes: number];

/** Times are in nanoseconds since the epoch, `''`: nobody set it. Modes are permission bits. */
export type TreeRecord =
  | readonly ['directory', path: string, mode: number, uid: number, gid: number, mtimeNs: string, xattrs: LoggedXattrs]
  | readonly [
      'file',
      path: string,
      mode: number,
      uid: number,
      gid: number,
      mtimeNs: string,
      xattrs: LoggedXattrs,
      bytes: number,
      /** of what its regions hold */
      sha256: string,
      /** absent: one, all of it */
      regions?: readonly LoggedRegion[],
    ]
  | readonly ['symlink', path: string, uid: number, gid: number, mtimeNs: string, xattrs: LoggedXattrs, target: string]
  /** devices and fifos; `type`: S_IFMT bits */
  | readonly ['node', path: string, mode: number, uid: number, gid: number, mtimeNs: string, xattrs: LoggedXattrs, type: number, rdev: number]
  /** the same file as `target` */
  | readonly ['link', path: string, target: string]
  | readonly ['whiteout', path: string]
  /** layers below are hidden in this directory */
  | readonly ['opaque', path: string]
  /** a directory's time, when nothing is put into it any more */
  | readonly ['time', path: string, mtimeNs: string]
  /** gone, with everything below */
  | readonly ['gone', path: string];

/** Takes the records of one tree. */
export interface TreeLog {
  add(record: TreeRecord): void;
}

/** What a log came to. */
export interface LogSeal {
  /** of the log's bytes, in hexadecimal */
  readonly sha256: string;
  readonly records: number;
}

const bufferedChars = 65_536;

/** A log that is written to a new file at `path`. */
export class TreeLogFile implements TreeLog, Disposable {
  readonly #fd: number;
  readonly #hash: Hash = createHash('sha256');
  #lines: string[] = [];
  #chars = 0;
  #written = 0;
  #open = true;
  records = 0;

  constructor(readonly path: string) {
    this.#fd = openSync(path, 'wx', 0o640);
  }

  add(record: TreeRecord): void {
    const line = JSON.stringify(record);
    this.#lines.push(line);
    this.#chars += line.length;
    this.records++;
    if (this.#chars >= bufferedChars) this.#flush();
  }

  #flush(): void {
    if (this.#lines.length === 0) return;
    const bytes = Buffer.from(`${this.#lines.join('\n')}\n`);
    this.#lines = [];
    this.#chars = 0;
    this.#hash.update(bytes);
    for (let at = 0; at < bytes.length;) {
      const count = writeSync(this.#fd, bytes, at, bytes.length - at, this.#written);
      at += count;
      this.#written += count;
    }
  }

  /** Everything is in the file. */
  seal(): LogSeal {
    this.#flush();
    this[Symbol.dispose]();
    return { sha256: this.#hash.digest('hex'), records: this.records };
  }

  [Symbol.dispose](): void {
    if (this.#open) closeSync(this.#fd);
    this.#open = false;
  }
}
