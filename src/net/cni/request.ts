/** Configuration list + attachment → what each plugin gets on stdin and in its environment. Pure. @see cni.md R29-R35, 1.8 */
import { injectConf, injectNames, pluginTexts } from '../../model/cni/inject.ts';
import { formatResult } from '../../model/cni/result.ts';
import { atLeast } from '../../model/cni/version.ts';
import type { AttachmentId, CniCommand, CniResult } from '../../model/cni/types.ts';
import type { PlannedNetwork } from '../../model/plan.ts';
import type { Attachment } from './services.ts';

export interface PluginInput {
  readonly stdin: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Versions from which a verb exists, or takes prevResult (V12). */
const since = { CHECK: '0.4.0', GC: '1.1.0', STATUS: '1.1.0' } as const;
const prevResultSince: Partial<Record<CniCommand, string>> = { ADD: '0.3.0', DEL: '0.4.0', CHECK: '0.4.0' };

export const speaks = (network: PlannedNetwork, verb: keyof typeof since): boolean => atLeast(network.cniVersion, since[verb]);

/** stdin of plugin `index`. `prev`: the result before it (ADD), or the final one (DEL, CHECK). `names`: what the pod is called. */
export function stdinFor(
  network: PlannedNetwork,
  index: number,
  verb: CniCommand,
  prev: CniResult | undefined,
  valid: readonly AttachmentId[],
  names: readonly string[] = [],
): string {
  if (usesOldContract(network)) return network.rawConf ?? '';
  const own = pluginTexts(network.confList)[index] ?? '{}';
  // Whoever takes aliases (A9) is told what the pod is called anyway.
  const text = names.length > 0 && declaresAliases(own) ? injectNames(own, names) : own;
  const from = prevResultSince[verb];
  const runtimeConfig = network.plugins[index]?.runtimeConfig;
  const fields: Record<string, unknown> = { name: network.name, cniVersion: network.cniVersion };
  if (from !== undefined && runtimeConfig !== undefined) fields['runtimeConfig'] = runtimeConfig;
  if (from !== undefined && prev !== undefined && atLeast(network.cniVersion, from)) fields['prevResult'] = formatResult(prev, network.cniVersion);
  if (verb === 'GC') {
    fields['cni.dev/valid-attachments'] = valid;
    fields['cni.dev/attachments'] = valid;
  }
  return injectConf(text, fields, isReserved);
}

const declaresAliases = (confText: string): boolean => {
  const { capabilities } = JSON.parse(confText) as { capabilities?: { aliases?: unknown } };
  return capabilities?.aliases === true;
};

/** Reserved keys of a configuration are ours to set (R32, R33, C12; Z5). */
const isReserved = (key: string): boolean => key === 'capabilities' || key === 'runtimeConfig' || key === 'prevResult' || key.startsWith('cni.dev/');

/** rkt gave plugins of its time the file's own bytes (rkt 2.10). */
const usesOldContract = (network: PlannedNetwork): boolean =>
  network.rawConf !== undefined && network.cniVersion === '0.1.0' && network.plugins.length === 1 && Object.keys(network.capabilityArgs).length === 0;

/** The CNI_ variables of a call; a verb without attachment has none of them but command and path (1.8; D8). */
export function environmentFor(network: PlannedNetwork, verb: CniCommand, attachment: Attachment | undefined): Record<string, string> {
  return {
    CNI_COMMAND: verb,
    CNI_PATH: network.pluginPath.join(':'),
    ...(usesOldContract(network) ? { CNI_VERSION: '0.1.0' } : {}),
    ...(attachment === undefined
      ? {}
      : {
          CNI_CONTAINERID: attachment.containerId,
          CNI_NETNS: attachment.netns,
          CNI_IFNAME: network.ifName,
          CNI_ARGS: argsText(network),
        }),
  };
}

/** Every plugin of a list sees all pairs, and the reference's refuse keys they do not know unless told to ignore them (X9). */
function argsText(network: PlannedNetwork): string {
  const pairs = network.args.map(([key, value]) => `${key}=${value}`);
  const told = usesOldContract(network) || network.args.some(([key]) => key === 'IgnoreUnknown');
  return [...(pairs.length === 0 || told ? [] : ['IgnoreUnknown=1']), ...pairs].join(';');
}
