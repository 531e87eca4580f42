/**
 * The environment of cnitool, so that a plugin's test-bed that calls it can call rkt instead. What cnitool reads:
 * NETCONFPATH (one directory, default /etc/cni/net.d), CNI_PATH, CNI_IFNAME (default eth0), CNI_ARGS, CAP_ARGS (JSON).
 * The container is `cnitool-` and the first 10 bytes of the SHA-512 of the namespace's absolute path, in hexadecimal.
 * @see containernetworking/cni, cnitool
 */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { isObject } from '../model/cni/known-key.ts';
import type { CapabilityArgs } from '../model/cni/types.ts';
import { RuntimeError, messageOf } from '../model/errors.ts';
import { toolPrefix } from './cni/cache.ts';
import type { Attachment } from './cni/services.ts';
import { type AttachmentArguments, type ListSource, listNames } from './lists.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const defaultDirectory = '/etc/cni/net.d';

/**
 * Where a tool's lists and plugins come from: NETCONFPATH alone when it is set; else rkt's own networks, and cnitool's
 * directory for names that are none of them. With CNI_PATH its executables are used and nothing that is built in.
 */
export function toolSource(env: Environment, own: ListSource, name: string): ListSource {
  const directory = env['NETCONFPATH'] ?? '';
  const path = (env['CNI_PATH'] ?? '').split(':').filter((part) => part !== '');
  const others = [{ path: resolve(directory === '' ? defaultDirectory : directory), owner: 'admin' as const }];
  // A name that is known nowhere is reported with the names that rkt knows.
  const isOwn = directory === '' && (listNames(own).includes(name) || !listNames({ ...own, directories: others }).includes(name));
  const directories = isOwn ? own.directories : others;
  return {
    directories,
    shared: !isOwn,
    ...(path.length === 0 ? { pluginPath: own.pluginPath, forceExec: false } : { pluginPath: path, forceExec: true }),
  };
}

/** @throws ERR_NET_ARGS naming every fault */
export function toolArguments(env: Environment): AttachmentArguments {
  const faults: string[] = [];
  const args = (env['CNI_ARGS'] ?? '')
    .split(';')
    .filter((pair) => pair !== '')
    .flatMap((pair): [string, string][] => {
      const [key = '', value = '', ...more] = pair.split('=');
      if (key !== '' && value !== '' && more.length === 0) return [[key, value]];
      faults.push(`CNI_ARGS: ${JSON.stringify(pair)} is not key=value`);
      return [];
    });
  const capabilityArgs = readCapabilities(env['CAP_ARGS'] ?? '', faults);
  if (faults.length > 0) {
    throw new RuntimeError('ERR_NET_ARGS', faults.length === 1 ? (faults[0] ?? '') : `${faults.length} faults in the environment`, {
      details: faults.length === 1 ? [] : faults,
      hint: 'CNI_ARGS=K=V;K2=V2, CAP_ARGS={"portMappings":[…]}',
    });
  }
  return { ifName: (env['CNI_IFNAME'] ?? '') === '' ? 'eth0' : (env['CNI_IFNAME'] ?? ''), args, capabilityArgs };
}

function readCapabilities(text: string, faults: string[]): CapabilityArgs {
  if (text === '') return {};
  try {
    const value = JSON.parse(text) as unknown;
    if (isObject(value)) return value;
    faults.push('CAP_ARGS must be a JSON object');
  } catch (error) {
    faults.push(`CAP_ARGS is not JSON: ${messageOf(error)}`);
  }
  return {};
}

export function toolAttachment(netns: string): Attachment {
  const path = resolve(netns);
  return { containerId: `${toolPrefix}${createHash('sha512').update(path).digest().subarray(0, 10).toString('hex')}`, netns: path };
}
