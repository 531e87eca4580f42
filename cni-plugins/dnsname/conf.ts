/** The dnsname plugin's configuration. @see cni.md A9, A11, A12; README.md */
import type { PluginNote, PluginRequest } from '../../src/model/cni/plugin.ts';
import { isObject, knownKey } from '../../src/model/cni/known-key.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import { parseIp } from '../../src/model/cidr.ts';
import { ConfReader } from '../skel/conf.ts';

export interface DnsnameConf {
  /** behind every name; also what pods search */
  readonly domain: string;
  /** whether other names are asked for elsewhere */
  readonly forward: boolean;
  /** where; empty: at the host's resolvers */
  readonly remoteServers: readonly string[];
  /** what the attachment is called, lower-case, distinct */
  readonly names: readonly string[];
  readonly notes: readonly PluginNote[];
}

const label = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;
/** Host names, of one label or several; what is none must not get into a file of dnsmasq. */
const isName = (text: string): boolean => text.length <= 253 && text.split('.').every((part) => label.test(part));

/** @throws CniError 7 */
export function readConf(req: PluginRequest): DnsnameConf {
  const conf = new ConfReader(req.conf);
  const domain = (conf.text('domainName') ?? '') === '' ? 'rkt.internal' : (conf.text('domainName') ?? '').toLowerCase();
  if (!isName(domain)) throw new CniError(cniCode.config, `domainName ${JSON.stringify(domain)} is not a domain`);
  const remoteServers = conf.texts('remoteServers') ?? [];
  for (const server of remoteServers)
    if (parseIp(server) === undefined) throw new CniError(cniCode.config, `remoteServers: ${JSON.stringify(server)} is not an IP address`);
  const asked = namesOf(req, conf).map((name) => name.toLowerCase());
  const names = asked.filter(isName);
  return {
    domain,
    remoteServers,
    forward: conf.flag('forward') ?? true,
    names: [...new Set(names)],
    notes: asked.filter((name) => !isName(name)).map((name) => ({ what: 'name', detail: `${JSON.stringify(name)} is no host name and is left out` })),
  };
}

/** Kubernetes' pod name in CNI_ARGS, the runtime's `args.cni.names`, and aliases: a list, or (podman) an object of lists by network. */
function namesOf(req: PluginRequest, conf: ConfReader): string[] {
  const podName = req.args.get('K8S_POD_NAME');
  const aliases = conf.object('runtimeConfig')?.value('aliases');
  const own = isObject(aliases) ? knownKey(aliases, req.conf.name) : aliases;
  return [
    ...(podName === undefined || podName === '' ? [] : [podName]),
    ...listOf('args.cni.names', conf.object('args')?.object('cni')?.value('names')),
    ...listOf('runtimeConfig.aliases', own),
  ];
}

function listOf(where: string, value: unknown): readonly string[] {
  if (value === undefined) return [];
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  throw new CniError(cniCode.config, `${where} must be a list of names, not ${JSON.stringify(value)}`);
}
