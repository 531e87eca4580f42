/**
 * Reservations on disk, in the very layout of the reference's host-local, so that both may serve one network in turn:
 * `<dataDir>/<network>/<ip>` holding `id\r\nifname`, `last_reserved_ip.<set>`, and `lock` (flock).
 *
 * The reference reads every file for every verb. Here an index beside the store (`<dataDir>/.rkt-index/<network>/<id>:<ifname>`,
 * lines of addresses) makes the work independent of how many reservations there are. It is only a hint: what it names is
 * compared with the lease file. That it names everything is known by the *seal*: after each change of ours the store's
 * modification time is set to a value of the past, made of inode and boot id. Whoever else creates or removes a file there
 * (the reference, an administrator), or a crash of ours half way, breaks the seal, and so does a reboot, after which files may be
 * empty: then the store is walked once, empty files (half-made leases: the lock is ours, so nobody is writing them) are
 * removed, and the index is made anew.
 *
 * What the index of another boot (`.boot` in it says which) lists is free: no namespace outlives a boot (row 8). Each address is listed
 * with the identity of its lease file, so that a lease that was made since, by somebody who does not know the index, is kept.
 *
 * Nothing is fsynced: a reservation protects an address of a pod of this boot, and after a power loss there is none (0.3 ms
 * saved of 0.45).
 * @see cni.md 3.16
 */
import { linkSync, mkdirSync, readdirSync, rmSync, rmdirSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bootId, now } from '../../src/host/clock.ts';
import { readText } from '../../src/host/files.ts';
import { type Lock, isAwaited, tryLockNamed } from '../../src/host/flock.ts';
import { AT_FDCWD, utimensat } from '../../src/host/linux.ts';
import { type Ip, parseIp } from '../../src/model/cidr.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import { isErrno } from '../../src/model/errors.ts';
import type { ReleaseOp } from '../../src/model/release.ts';

/** Whose a reservation is; `ifName` undefined in files of versions that did not write it. */
export interface Owner {
  readonly id: string;
  readonly ifName: string | undefined;
}
export interface Lease {
  readonly ip: Ip;
  readonly owner: Owner;
}

const lockTimeoutMs = 20_000;
/** So many taken addresses in a row are tried one by one before the directory is listed instead. */
const triesBeforeListing = 16;
const nameMax = 255;
const emptyFileGraceMs = 5_000;
/** Not names an owner's entry can have: a container id begins with a letter or digit. */
const draftName = '.new';
const bootName = '.boot';

/** An open store: locked until disposed of. */
export class LeaseStore implements Disposable {
  readonly #dir: string;
  readonly #index: string;
  readonly #lock: Lock;
  #changed = false;
  #sealable = true;
  #misses = 0;
  #names: Set<string> | undefined;
  #drafted: string | undefined;

  private constructor(dir: string, index: string, lock: Lock) {
    this.#dir = dir;
    this.#index = index;
    this.#lock = lock;
  }

  /** Opens and locks the network's store. Without `create`, undefined when there is none. Throws {@link CniError} 11 when somebody holds the lock for too long. */
  static open(dataDir: string, network: string, options: { readonly create: boolean }): LeaseStore | undefined {
    const dir = join(dataDir, network);
    const index = join(dataDir, '.rkt-index', network);
    const lock = lockStore(dir, options.create);
    if (lock === undefined) {
      // A removal that was killed before its last step.
      removeDirectoryIfEmpty(join(index, '..'));
      return undefined;
    }
    const store = new LeaseStore(dir, index, lock);
    try {
      const fresh = mkdirSync(index, { recursive: true, mode: 0o700 }) !== undefined;
      if (fresh || statSync(dir, { bigint: true }).mtimeNs !== store.#seal()) store.#rebuild();
    } catch (error) {
      store.#lock.release();
      throw error;
    }
    return store;
  }

  [Symbol.dispose](): void {
    try {
      this.#dropDraft();
      if (this.#changed && this.#sealable) utimensat(AT_FDCWD, this.#dir, this.#seal());
    } finally {
      this.#lock.release();
    }
  }

  /** Addresses reserved for exactly this container and interface. */
  leasesOf(id: string, ifName: string): Ip[] {
    return this.#listed({ id, ifName });
  }
  /** Addresses reserved for the container by a version that did not write the interface. */
  unnamedLeasesOf(id: string): Ip[] {
    return this.#listed({ id, ifName: undefined });
  }

  /** Every reservation; reads every file. */
  all(): Lease[] {
    return readdirSync(this.#dir).flatMap((name) => {
      const ip = parseIp(name);
      const owner = ip === undefined ? undefined : this.#ownerOf(name);
      return ip === undefined || owner === undefined ? [] : [{ ip, owner }];
    });
  }
  /** Every reserved address; reads no file. */
  addresses(): Ip[] {
    return readdirSync(this.#dir).flatMap((name) => parseIp(name) ?? []);
  }

  /** Reserves `ip`; false when it is taken. `set`: number of the range set, for the round robin. */
  reserve(ip: Ip, id: string, ifName: string, set: number): boolean {
    if (this.#names?.has(ip.text)) return false;
    const draft = this.#draft(contentOf({ id, ifName }));
    try {
      linkSync(draft, join(this.#dir, ip.text));
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
      if (++this.#misses >= triesBeforeListing) this.#names ??= new Set(readdirSync(this.#dir));
      return false;
    }
    this.#changed = true;
    const entry = entryOf(ip.text, draft);
    this.#dropDraft();
    this.#addToIndex({ id, ifName }, entry);
    writeFileSync(join(this.#dir, `last_reserved_ip.${set}`), ip.text, { mode: 0o600 });
    return true;
  }

  /**
   * A lease before it has an address: link(2) is exclusive as O_EXCL is, and the file appears with its owner in it. One that a
   * killed process left may be the lease it was linked to: it is never written to again.
   */
  #draft(content: string): string {
    const path = join(this.#index, draftName);
    if (this.#drafted === content) return path;
    unlinkIfThere(path);
    this.#drafted = content;
    writeFileSync(path, content, { mode: 0o600, flag: 'wx' });
    return path;
  }
  #dropDraft(): void {
    if (this.#drafted !== undefined) unlinkIfThere(join(this.#index, draftName));
    this.#drafted = undefined;
  }

  /** Frees addresses of `owner`; those that are free already are no error. */
  release(owner: Owner, ips: readonly Ip[]): void {
    for (const ip of ips) {
      this.#changed = true;
      unlinkIfThere(join(this.#dir, ip.text));
      this.#dropFromIndex(owner, ip.text);
    }
  }

  /**
   * Removes the store when nothing is reserved and nobody waits for its lock: files of other kinds stay, and with them the directory.
   * The lock is held and goes last. Who opens it meanwhile notices that it has gone ({@link lockStore}); the reference does not,
   * and then O_EXCL still keeps addresses apart.
   */
  removeIfEmpty(): void {
    const names = readdirSync(this.#dir);
    if (names.some((name) => parseIp(name) !== undefined) || isAwaited(this.#lock)) return;
    for (const name of names) if (name.startsWith('last_reserved_ip.')) unlinkIfThere(join(this.#dir, name));
    rmSync(this.#index, { recursive: true, force: true });
    unlinkIfThere(join(this.#dir, 'lock'));
    this.#changed = false;
    for (const directory of [this.#dir, join(this.#index, '..')]) removeDirectoryIfEmpty(directory);
  }

  /** The address given last from the set, by anybody. */
  last(set: number): Ip | undefined {
    return parseIp(readText(join(this.#dir, `last_reserved_ip.${set}`))?.trim() ?? '');
  }

  #ownerOf(name: string): Owner | undefined {
    const text = readText(join(this.#dir, name))?.trim();
    if (text === undefined || text === '') return undefined;
    const [id = '', ifName] = text.split('\r\n');
    return { id, ifName };
  }

  #listed(owner: Owner): Ip[] {
    return this.#indexLines(indexName(owner)).flatMap((line) => {
      const name = addressIn(line);
      const ip = parseIp(name);
      const found = ip === undefined ? undefined : this.#ownerOf(name);
      return ip !== undefined && found?.id === owner.id && found.ifName === owner.ifName ? [ip] : [];
    });
  }

  #seal(): bigint {
    const { ino } = statSync(this.#dir, { bigint: true });
    const boot = Number.parseInt(bootId().slice(0, 6), 16);
    // Whole seconds, because that is all some file systems keep; in September 2001 nobody else made a file.
    return (1_000_000_000n + BigInt(boot ^ Number(ino & 0xffffffn))) * 1_000_000_000n;
  }

  #rebuild(): void {
    this.#changed = true;
    this.#freeOtherBoots();
    const settled = now().getTime() - emptyFileGraceMs;
    const wanted = new Map<string, string[]>([[bootName, []]]);
    for (const name of readdirSync(this.#dir)) {
      if (parseIp(name) === undefined) continue;
      const path = join(this.#dir, name);
      const owner = this.#ownerOf(name);
      if (owner === undefined) this.#dropIfOlder(path, settled);
      else wanted.set(indexName(owner), [...(wanted.get(indexName(owner)) ?? []), entryOf(name, path)]);
    }
    for (const name of readdirSync(this.#index)) if (!wanted.has(name)) unlinkIfThere(join(this.#index, name));
    for (const [name, lines] of wanted) if (name !== bootName) this.#writeIndex(name, lines);
  }

  /** Frees what the index lists, if that was made in another boot. This boot's id is written before anything of it can be listed. */
  #freeOtherBoots(): void {
    const path = join(this.#index, bootName);
    const [listed, current] = [readText(path), bootId()];
    if (listed === current) return;
    // Without an id (made by an interrupted writer, or none at all) nothing is known about when.
    for (const owner of (listed ?? '') === '' ? [] : readdirSync(this.#index).filter((name) => !name.startsWith('.'))) {
      for (const line of this.#indexLines(owner)) {
        const lease = join(this.#dir, addressIn(line));
        if (parseIp(addressIn(line)) !== undefined && entryOf(addressIn(line), lease) === line) unlinkIfThere(lease);
      }
    }
    writeFileSync(path, current, { mode: 0o600 });
  }

  /** An empty file. One that is young may be in the making after all, by a reference plugin with a lock file that gc has removed: it is looked at again next time. */
  #dropIfOlder(path: string, thanMs: number): void {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return;
    if (stat.mtimeMs < thanMs) unlinkSync(path);
    else this.#sealable = false;
  }

  #indexLines(name: string): string[] {
    return (
      readText(join(this.#index, name))
        ?.split('\n')
        .filter((line) => line !== '') ?? []
    );
  }
  #writeIndex(name: string, lines: readonly string[]): void {
    const text = `${lines.join('\n')}\n`;
    if (readText(join(this.#index, name)) !== text) writeFileSync(join(this.#index, name), text, { mode: 0o600 });
  }
  #addToIndex(owner: Owner, entry: string): void {
    this.#writeIndex(indexName(owner), [...this.#withoutAddress(owner, addressIn(entry)), entry]);
  }
  #dropFromIndex(owner: Owner, ip: string): void {
    const left = this.#withoutAddress(owner, ip);
    if (left.length === 0) unlinkIfThere(join(this.#index, indexName(owner)));
    else this.#writeIndex(indexName(owner), left);
  }
  #withoutAddress(owner: Owner, ip: string): string[] {
    return this.#indexLines(indexName(owner)).filter((line) => addressIn(line) !== ip);
  }
}

/** A line of the index: the address, and which file its lease is (`path` is that file, or another name of it). */
function entryOf(ip: string, path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? ip : `${ip} ${stat.ino}.${stat.mtimeNs}`;
}
const addressIn = (entry: string): string => entry.split(' ')[0] ?? '';

/**
 * {@link LeaseStore.release} as data. The leases first, because an entry without lease is harmless and the reverse a leak; the
 * seal last, so that who is stopped in between leaves it broken. Pure.
 */
export function releaseLeases(dataDir: string, network: string, owner: Owner, ips: readonly Ip[]): ReleaseOp[] {
  if (ips.length === 0) return [];
  const dir = join(dataDir, network);
  return [
    {
      op: 'unlink',
      lock: join(dir, 'lock'),
      dated: dir,
      files: [
        ...ips.map(({ text }) => ({ path: join(dir, text), content: contentOf(owner) })),
        { path: join(dataDir, '.rkt-index', network, indexName(owner)) },
      ],
    },
  ];
}

const contentOf = ({ id, ifName }: Owner): string => (ifName === undefined ? id : `${id}\r\n${ifName}`);

/** Neither part can hold a colon or a slash. Ids too long for a file name may share an entry: what it lists is compared with the leases anyway. */
function indexName({ id, ifName }: Owner): string {
  const tail = ifName === undefined ? '' : `:${ifName.replaceAll('/', '_')}`;
  return (
    Buffer.from(id.replaceAll('/', '_'))
      .subarray(0, nameMax - Buffer.byteLength(tail))
      .toString('latin1') + tail
  );
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}

function removeDirectoryIfEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if (!isErrno(error, 'ENOTEMPTY', 'EEXIST', 'ENOENT', 'EBUSY')) throw error;
  }
}

/** Makes (if wanted) and locks the store at `dir`. A store that was removed while we waited for its lock is made, or given up, again. */
function lockStore(dir: string, create: boolean): Lock | undefined {
  for (;;) {
    if (create) mkdirSync(dir, { recursive: true, mode: 0o755 });
    else if (statSync(dir, { throwIfNoEntry: false }) === undefined) return undefined;
    // A blocking flock could not be given up: a reference plugin that hangs would hang us for good.
    const path = join(dir, 'lock');
    const lock = tryLockNamed(path, 'exclusive', { create: true, patienceMs: lockTimeoutMs });
    if (lock === 'held') throw new CniError(cniCode.tryAgain, `somebody holds ${path} for more than ${lockTimeoutMs / 1000} s`);
    if (lock !== 'gone') return lock;
  }
}
