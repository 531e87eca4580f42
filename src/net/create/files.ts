/** Files of networks that people make with `net create`: the administrator's net.d, read for the definition, written, removed. */
import { chmodSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fsyncDirectory, readText, removeAtomic, writeAtomic } from '../../host/files.ts';
import { lock, type Lock } from '../../host/flock.ts';
import { findProgram } from '../../host/run-program.ts';
import { newGlobalId } from '../../host/uuid.ts';
import { RuntimeError, diskHint, isErrno, messageOf } from '../../model/errors.ts';
import { didYouMean } from '../../model/ids.ts';
import type { Settings } from '../../model/settings.ts';
import { isCreatedByRkt } from '../conf/created.ts';
import type { NetworkConf } from '../conf/types.ts';
import { readFactsFor } from '../facts/facts.ts';
import { configurations, searchPath } from '../plan-pod.ts';
import { defineNetwork, type DefinedNetwork } from './define.ts';
import type { NetworkRequest } from './request.ts';

const directoryOf = (settings: Settings): string => join(settings.localConfig, 'net.d');
/** Types a definition may name. */
const definedTypes = ['bridge', 'ptp', 'macvlan', 'host-local', 'dhcp', 'portmap', 'firewall', 'dnsname'];

/** Defines the network as the machine is now; nothing is written. @throws ERR_NET_DEFINITION */
export function previewNetwork(settings: Settings, request: NetworkRequest, builtinTypes: readonly string[]): DefinedNetwork {
  const directory = directoryOf(settings);
  const configs = configurations(settings);
  return defineNetwork(request, {
    ...readFactsFor(definedTypes, searchPath(settings)),
    configs,
    builtinTypes,
    links: linkNames(),
    files: namesIn(directory),
    directory,
    hasDnsmasq: builtinTypes.includes('dnsname') && findProgram('dnsmasq') !== undefined,
    globalId: newGlobalId(),
  });
}

/** Links of the host, as the kernel lists them to anybody. */
const linkNames = (): string[] =>
  (readText('/proc/thread-self/net/dev') ?? '')
    .split('\n')
    .slice(2)
    .flatMap((line) => /^\s*([^\s:]+):/.exec(line)?.[1] ?? []);

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw ioError(`cannot read ${directory}`, error);
  }
}

/** Writes the file of a network. Of two who create at once the second sees the first one's file: the directory is locked. @throws ERR_NET_DEFINITION, ERR_NETCONF_IO */
export function createNetworkFile(settings: Settings, request: NetworkRequest, builtinTypes: readonly string[]): DefinedNetwork {
  // What is refused makes no directory either.
  previewNetwork(settings, request, builtinTypes);
  using held = lockDirectory(directoryOf(settings));
  void held;
  const defined = previewNetwork(settings, request, builtinTypes);
  try {
    writeAtomic(defined.path, defined.text, { mode: 0o644, durable: true, soleWriter: true });
    // Whatever the umask: `net list` and `net plan` need no root.
    chmodSync(defined.path, 0o644);
  } catch (cause) {
    throw ioError(`cannot write ${defined.path}`, cause);
  }
  return defined;
}

function lockDirectory(path: string): Lock {
  try {
    mkdirSync(path, { recursive: true, mode: 0o755 });
    return lock(path, 'exclusive');
  } catch (cause) {
    throw ioError(`cannot use ${path}`, cause);
  }
}

const ioError = (what: string, cause: unknown): RuntimeError =>
  new RuntimeError('ERR_NETCONF_IO', `${what}: ${messageOf(cause)}`, {
    cause,
    ...(isErrno(cause, 'EACCES', 'EPERM') ? { hint: 'configurations belong to root: use sudo' } : diskHint(cause)),
  });

/** A network that `net rm` may delete. */
export interface RemovableNetwork {
  readonly conf: NetworkConf;
  /** deletes its file, and syncs the directory */
  removeFile(): void;
}

/**
 * Finds the administrator's files of `names`.
 * @param force - also files that somebody wrote by hand
 * @throws ERR_NET_NOT_FOUND, ERR_NET_NOT_OURS naming every one
 */
export function removableNetworks(settings: Settings, names: readonly string[], force: boolean): RemovableNetwork[] {
  const { networks, faulty } = configurations(settings);
  const unknown = names.filter((name) => !networks.some((conf) => conf.name === name));
  if (unknown.length > 0) {
    const broken = faulty.filter(({ name }) => name !== undefined && unknown.includes(name));
    throw new RuntimeError('ERR_NET_NOT_FOUND', `no such network: ${unknown.join(', ')}`, {
      details: [
        ...broken.map(({ name, path }) => `${path} would define "${name ?? ''}", but is not valid: correct it or delete it`),
        ...unknown
          .flatMap(
            (name) =>
              didYouMean(
                name,
                networks.map((conf) => conf.name),
              ) ?? [],
          )
          .map((near) => `did you mean "${near}"?`),
      ],
      hint: 'rkt net list shows the networks there are',
    });
  }
  const found = [...new Set(names)].flatMap((name) => networks.filter((conf) => conf.name === name && conf.source.owner === 'admin').slice(0, 1));
  const shipped = names.filter((name) => !found.some((conf) => conf.name === name));
  const foreign = force ? [] : found.filter((conf) => !isCreatedByRkt(conf.text));
  const faults = [
    ...shipped.map(
      (name) =>
        `network "${name}" comes with ${networks.find((conf) => conf.name === name)?.source.owner === 'system' ? 'the system' : 'rkt'} and stays`,
    ),
    ...foreign.map(({ name, source }) => `network "${name}" (${source.path}) was not made by rkt net create`),
  ];
  if (faults.length > 0)
    throw new RuntimeError('ERR_NET_NOT_OURS', faults.length === 1 ? (faults[0] ?? '') : `${faults.length} networks are not rkt's to remove`, {
      details: faults.length === 1 ? [] : faults,
      ...(foreign.length > 0 ? { hint: '--force deletes the file all the same' } : {}),
    });
  return found.map((conf) => ({
    conf,
    removeFile() {
      try {
        removeAtomic(conf.source.path);
        fsyncDirectory(directoryOf(settings));
      } catch (cause) {
        throw ioError(`cannot delete ${conf.source.path}`, cause);
      }
    },
  }));
}
