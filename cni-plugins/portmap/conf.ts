/** portmap's configuration: keys, defaults and messages of the reference (3.10). */
import { type Ip, parseIp } from '../../src/model/cidr.ts';
import { CniError, type PortMapping, cniCode } from '../../src/model/cni/types.ts';
import type { PluginNote, PluginRequestConf } from '../../src/model/cni/plugin.ts';
import { knownKey } from '../../src/model/cni/known-key.ts';
import { ConfReader } from '../skel/conf.ts';

/** `host` undefined: every address of the host. */
export type Mapping = PortMapping & { readonly host: Ip | undefined };
export interface PortmapConf {
  readonly snat: boolean;
  readonly masqAll: boolean;
  readonly mappings: readonly Mapping[];
  /** what was accepted and has no effect */
  readonly notes: readonly PluginNote[];
}

const bad = (message: string): CniError => new CniError(cniCode.config, message);
const unsupported = (key: string, value: unknown): CniError =>
  new CniError(cniCode.unsupportedField, `unsupported field: ${key}: ${JSON.stringify(value)}`);

/** Reads the whole configuration. Throws {@link CniError} 7 (wrong) or 2 (known, but not offered). */
export function readConf(conf: PluginRequestConf): PortmapConf {
  const reader = new ConfReader(conf);
  const notes: PluginNote[] = [];
  const backend = knownKey(conf, 'backend') ?? '';
  if (backend !== '' && backend !== 'nftables' && backend !== 'iptables') throw bad(`unrecognized backend: ${JSON.stringify(backend)}`);
  if (backend === 'iptables') notes.push({ what: 'backend', detail: 'iptables was asked for; ports are published by nftables table inet rkt' });
  for (const key of ['conditionsV4', 'conditionsV6']) {
    const value = knownKey(conf, key);
    if (value !== undefined && !(Array.isArray(value) && value.length === 0)) throw unsupported(key, value);
  }
  const bit = knownKey(conf, 'markMasqBit');
  const chain = knownKey(conf, 'externalSetMarkChain');
  if (bit !== undefined) {
    if (typeof bit !== 'number' || !Number.isInteger(bit) || bit < 0 || bit > 31) throw bad('MasqMarkBit must be between 0 and 31');
    if (chain !== undefined) throw bad('Cannot specify externalSetMarkChain and markMasqBit');
    notes.push({ what: 'markMasqBit', detail: 'not used: no packet is marked' });
  }
  if (chain !== undefined) notes.push({ what: 'externalSetMarkChain', detail: `not used: no packet is marked (${JSON.stringify(chain)})` });
  const runtimeConfig = conf.runtimeConfig === undefined ? undefined : knownKey(conf.runtimeConfig, 'portMappings');
  return { snat: reader.flag('snat') ?? true, masqAll: reader.flag('masqAll') ?? false, mappings: readMappings(runtimeConfig), notes };
}

function readMappings(value: unknown): Mapping[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw bad('runtimeConfig.portMappings must be a list');
  return value.map((item: unknown): Mapping => {
    if (typeof item !== 'object' || item === null) throw bad(`port mapping must be an object, not ${JSON.stringify(item)}`);
    const entry = item as Record<string, unknown>;
    const hostPort = portOf(knownKey(entry, 'hostPort'), 'host');
    const containerPort = portOf(knownKey(entry, 'containerPort'), 'container');
    const given = knownKey(entry, 'protocol') ?? '';
    const protocol = typeof given === 'string' ? given.toLowerCase() : given;
    if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp')
      throw bad(`Invalid protocol ${JSON.stringify(protocol)} of host port ${hostPort}: tcp, udp or sctp`);
    const hostIP = knownKey(entry, 'hostIP') ?? '';
    if (hostIP === '') return { hostPort, containerPort, protocol, host: undefined };
    const host = typeof hostIP === 'string' ? parseIp(hostIP) : undefined;
    if (host === undefined) throw bad(`Invalid host IP ${JSON.stringify(hostIP)} of host port ${hostPort}`);
    return { hostPort, containerPort, protocol, hostIP: host.text, host };
  });
}

function portOf(value: unknown, side: 'host' | 'container'): number {
  if (typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= 65535) return value;
  throw bad(`Invalid ${side} port number: ${JSON.stringify(value ?? 0)}`);
}
