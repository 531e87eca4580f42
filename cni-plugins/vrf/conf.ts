/** vrf's configuration (3.15). */
import { isIfName } from '../../src/model/ids.ts';
import type { PluginRequestConf } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import { badValue, ConfReader, knownKey } from '../skel/conf.ts';

export interface VrfConf {
  readonly name: string;
  /** 0: the first one that is free */
  readonly table: number;
}

/** @throws CniError 7 */
export function readConf(fields: PluginRequestConf): VrfConf {
  const conf = new ConfReader(fields);
  const name = conf.text('vrfname') ?? '';
  if (name === '') throw new CniError(cniCode.config, 'configuration is expected to have a valid vrf name');
  if (!isIfName(name)) throw badValue('', 'vrfname', name, 'an interface name');
  return { name, table: conf.integer('table', 0, 0xffff_ffff) ?? 0 };
}

/** The name, for DEL: never fails. Undefined: ADD cannot have made one. */
export function nameOf(fields: PluginRequestConf): string | undefined {
  const name = knownKey(fields, 'vrfname');
  return typeof name === 'string' && isIfName(name) ? name : undefined;
}
