/** Which hardware address a request asks for. */
import type { PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import type { ConfReader } from './conf.ts';

/**
 * Configuration `mac` (of plugins that have it: `configured`) < CNI_ARGS MAC < args.cni.mac < runtimeConfig.mac (A6, A12, P26);
 * an empty one does not count. In lower case.
 * @throws CniError 7 when it is no hardware address
 */
export function requestedMac(req: PluginRequest, conf: ConfReader, configured?: string): string | undefined {
  const sources = [conf.object('runtimeConfig')?.text('mac'), conf.object('args')?.object('cni')?.text('mac'), req.args.get('MAC'), configured];
  const mac = sources.find((source) => source !== undefined && source !== '');
  return mac === undefined ? undefined : checkedMac('mac', mac);
}

/** `mac` in lower case. @throws CniError 7 naming `key` */
export function checkedMac(key: string, mac: string): string {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac)) throw new CniError(cniCode.config, `${key} ${JSON.stringify(mac)} is not a hardware address`);
  return mac.toLowerCase();
}
