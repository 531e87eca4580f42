/** The host-device plugin's configuration. @see cni.md 3.7 */
import type { PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode, type CniDns } from '../../src/model/cni/types.ts';
import { ConfReader } from '../skel/conf.ts';
import { configuredDns } from '../skel/interface.ts';
import { checkedMac } from '../skel/mac.ts';

/** How the device is named; the first that is set counts. */
export type Selector =
  | { readonly by: 'device'; readonly name: string }
  | { readonly by: 'hwaddr'; readonly mac: string }
  | { readonly by: 'kernelpath'; readonly path: string }
  | { readonly by: 'pciBusID'; readonly id: string }
  /** PCI, else auxiliary bus */
  | { readonly by: 'deviceID'; readonly id: string };

export interface HostDeviceConf {
  readonly selector: Selector;
  /** '' = layer 2 only */
  readonly ipamType: string;
  readonly dns: CniDns | undefined;
}

/** @throws CniError 7 */
export function readConf(req: PluginRequest): HostDeviceConf {
  const conf = new ConfReader(req.conf);
  return { selector: selectorOf(conf), ipamType: conf.object('ipam')?.text('type') ?? '', dns: configuredDns(conf) };
}

function selectorOf(conf: ConfReader): Selector {
  // What the runtime says is the device somebody was given; the configuration is for all (A8).
  const deviceId = conf.object('runtimeConfig')?.text('deviceID') ?? '';
  if (deviceId !== '') return { by: 'deviceID', id: busId('runtimeConfig.deviceID', deviceId) };
  const [name, mac, path, id] = ['device', 'hwaddr', 'kernelpath', 'pciBusID'].map((key) => conf.text(key) ?? '') as [string, string, string, string];
  if (name !== '') return { by: 'device', name };
  if (mac !== '') return { by: 'hwaddr', mac: checkedMac('hwaddr', mac) };
  if (path !== '') {
    if (!path.startsWith('/sys/devices/') || path.split('/').includes('..'))
      throw new CniError(cniCode.config, `kernel device path ${JSON.stringify(path)} must be absolute and begin with /sys/devices/`);
    return { by: 'kernelpath', path };
  }
  if (id !== '') return { by: 'pciBusID', id: busId('pciBusID', id) };
  throw new CniError(cniCode.config, 'specify either "device", "hwaddr", "kernelpath" or "pciBusID"');
}

/** It becomes part of a path below /sys/bus. */
function busId(key: string, id: string): string {
  if (id.includes('/') || id === '..') throw new CniError(cniCode.config, `${key} ${JSON.stringify(id)} is not the address of a device`);
  return id;
}
