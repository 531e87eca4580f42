/**
 * From environment and stdin to a plugin's verb and back: what the reference's front end does (skel, X1-X9), for our
 * plugins in process and as executables alike. Pure.
 */
import { isContainerId, isIfName, isNetworkName } from '../ids.ts';
import { isObject, knownKey } from './known-key.ts';
import type { Plugin, PluginContext, PluginRequest, PluginRequestConf } from './plugin.ts';
import { parseResult } from './result.ts';
import { type AttachmentId, type CniCommand, CniError, type CniResult, cniCode, type CniVersion } from './types.ts';
import { atLeast, parseVersion } from './version.ts';

/** Environment of a request, in the order in which the reference checks it; `requiredBy` as skel demands it (1.8). */
const variables: readonly { readonly name: string; readonly requiredBy: readonly CniCommand[] }[] = [
  { name: 'CNI_CONTAINERID', requiredBy: ['ADD', 'DEL', 'CHECK'] },
  { name: 'CNI_NETNS', requiredBy: ['ADD', 'CHECK'] },
  { name: 'CNI_IFNAME', requiredBy: ['ADD', 'DEL', 'CHECK'] },
  { name: 'CNI_PATH', requiredBy: ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS'] },
];
const commands: readonly string[] = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION'] satisfies CniCommand[];

type Environment = Readonly<Record<string, string | undefined>>;

/** CNI_COMMAND. Throws {@link CniError} 4. */
export function commandOf(env: Environment): CniCommand {
  const command = env['CNI_COMMAND'] ?? '';
  if (command === '') throw new CniError(cniCode.environment, 'required env variables [CNI_COMMAND] missing');
  if (!commands.includes(command)) throw new CniError(cniCode.environment, `unknown CNI_COMMAND: ${command}`);
  return command as CniCommand;
}

/** The request in `env` and `stdin`. Throws {@link CniError} 4 (environment), 6 (not JSON), 7 (name, attachments). */
export function parseRequest(env: Environment, stdin: string): PluginRequest {
  const command = commandOf(env);
  const missing = variables.filter(({ name, requiredBy }) => requiredBy.includes(command) && (env[name] ?? '') === '');
  if (missing.length > 0) throw new CniError(cniCode.environment, `required env variables [${missing.map(({ name }) => name).join(',')}] missing`);
  const attached = command !== 'GC' && command !== 'STATUS';
  const containerId = attached ? (env['CNI_CONTAINERID'] ?? '') : '';
  const ifName = attached ? (env['CNI_IFNAME'] ?? '') : '';
  if (attached && !isContainerId(containerId))
    throw new CniError(cniCode.environment, 'invalid characters in CNI_CONTAINERID', JSON.stringify(containerId));
  if (attached && !isIfName(ifName)) throw new CniError(cniCode.environment, 'invalid interface name in CNI_IFNAME', JSON.stringify(ifName));

  const conf = parseConf(stdin);
  const prevResult = knownKey(conf, 'prevResult');
  return {
    command,
    containerId,
    ifName,
    conf,
    confText: stdin,
    netns: attached ? (env['CNI_NETNS'] ?? '') : '',
    args: parseArgs(env['CNI_ARGS'] ?? ''),
    path: (env['CNI_PATH'] ?? '').split(':').filter((directory) => directory !== ''),
    prevResult: prevResult === undefined ? undefined : parseResult(prevResult, conf.cniVersion),
    validAttachments: command === 'GC' ? parseAttachments(conf) : [],
  };
}

function parseConf(stdin: string): PluginRequestConf {
  let conf: unknown;
  try {
    conf = JSON.parse(stdin);
  } catch (error) {
    throw new CniError(cniCode.decode, 'failed to decode the network configuration', error instanceof Error ? error.message : '');
  }
  if (!isObject(conf)) throw new CniError(cniCode.decode, 'the network configuration must be a JSON object');
  const version = knownKey(conf, 'cniVersion') ?? '';
  if (typeof version !== 'string' || parseVersion(version) === undefined)
    throw new CniError(cniCode.decode, `cannot understand cniVersion ${JSON.stringify(version)}`);
  const name = knownKey(conf, 'name') ?? '';
  if (name === '') throw new CniError(cniCode.config, 'missing network name');
  if (typeof name !== 'string' || !isNetworkName(name))
    throw new CniError(cniCode.config, 'invalid characters found in network name', JSON.stringify(name));
  const type = knownKey(conf, 'type') ?? '';
  const runtimeConfig = knownKey(conf, 'runtimeConfig');
  const args = knownKey(conf, 'args');
  const cni = isObject(args) ? knownKey(args, 'cni') : undefined;
  return {
    ...conf,
    name,
    // V5: an absent version means 0.1.0.
    cniVersion: version === '' ? '0.1.0' : version,
    type: typeof type === 'string' ? type : '',
    ...(isObject(runtimeConfig) ? { runtimeConfig } : {}),
    ...(isObject(args) ? { args: isObject(cni) ? { ...args, cni } : args } : {}),
  };
}

/** `K=V;K2=V2`; a pair that is none is error 4 (X9). */
export function parseArgs(text: string): Map<string, string> {
  const args = new Map<string, string>();
  for (const pair of text === '' ? [] : text.split(';')) {
    const [key = '', value, ...more] = pair.split('=');
    if (key === '' || value === undefined || more.length > 0)
      throw new CniError(cniCode.environment, `CNI_ARGS: invalid pair ${JSON.stringify(pair)}`);
    args.set(key, value);
  }
  return args;
}

/** R26, Z6. Without the list nothing may be collected: taking its absence for "none is valid" would remove what is in use (D7). */
function parseAttachments(conf: PluginRequestConf): AttachmentId[] {
  const list = conf['cni.dev/valid-attachments'] ?? conf['cni.dev/attachments'];
  if (!Array.isArray(list)) throw new CniError(cniCode.config, `GC needs the list cni.dev/valid-attachments, not ${JSON.stringify(list ?? null)}`);
  return list.map((item: unknown) => {
    const [containerID, ifname] = isObject(item) ? [knownKey(item, 'containerID'), knownKey(item, 'ifname')] : [];
    if (typeof containerID !== 'string' || typeof ifname !== 'string')
      throw new CniError(cniCode.config, `cni.dev/valid-attachments holds ${JSON.stringify(item)}`);
    return { containerID, ifname };
  });
}

/** Verbs that came with a later version of CNI (X4, V12). */
const sinceVersion: Readonly<Partial<Record<CniCommand, CniVersion>>> = { CHECK: '0.4.0', GC: '1.1.0', STATUS: '1.1.0' };

/** Does the verb `req` asks for; a result only for ADD. Throws {@link CniError} 1 on versions, and what the plugin throws. */
export function perform(plugin: Plugin, req: PluginRequest, ctx: PluginContext): CniResult | undefined {
  const { command, conf } = req;
  const since = sinceVersion[command];
  if (since !== undefined && !atLeast(conf.cniVersion, since)) throw new CniError(cniCode.version, `config version does not allow ${command}`);
  if (!(plugin.versions as readonly string[]).includes(conf.cniVersion)) {
    throw new CniError(
      cniCode.version,
      'incompatible CNI versions',
      `config is ${JSON.stringify(conf.cniVersion)}, plugin supports ${JSON.stringify(plugin.versions)}`,
    );
  }
  switch (command) {
    case 'ADD':
      return plugin.add(req, ctx);
    case 'DEL':
      plugin.del(req, ctx);
      break;
    case 'CHECK':
      plugin.check(req, ctx);
      break;
    case 'GC':
      plugin.gc(req, ctx);
      break;
    case 'STATUS':
      plugin.status(req, ctx);
      break;
    case 'VERSION':
      break;
  }
  return undefined;
}
