/** sbr's configuration: keys and messages of the reference (3.14). */
import { type Ip, parseIp } from '../../src/model/cidr.ts';
import type { PluginRequestConf } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import { ConfReader, knownKey } from '../skel/conf.ts';

export interface SbrConf {
  /** routes there are somebody else's business: only rules are made */
  readonly table: number | undefined;
  /** win over the gateways of the result */
  readonly gateways: readonly Ip[];
  readonly addSourceHints: boolean;
}
const bad = (message: string): CniError => new CniError(cniCode.config, message);

/** @throws CniError 7 */
export function readConf(fields: PluginRequestConf): SbrConf {
  const conf = new ConfReader(fields);
  const texts = conf.texts('gateways') ?? [];
  if (texts.length > 2) throw bad('gateways list cannot contain more than 2 entries (one IPv4, one IPv6)');
  const gateways = texts.map((text) => {
    const ip = parseIp(text);
    if (ip === undefined) throw bad(`invalid static gateway IP address: ${text}`);
    return ip;
  });
  const [first, second] = gateways;
  if (first !== undefined && first.family === second?.family)
    throw bad(`gateways list contains multiple IPv${first.family} addresses: ${first.text} and ${second.text}`);
  return { table: conf.integer('table', 1, 0xffff_ffff), gateways, addSourceHints: conf.flag('addSourceHints') ?? false };
}

/** The table of the configuration, for DEL: never fails. */
export function tableOf(fields: PluginRequestConf): number | undefined {
  const table = knownKey(fields, 'table');
  return typeof table === 'number' ? table : undefined;
}
