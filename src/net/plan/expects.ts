/** What a configuration says will exist on the host, read from the plugins rkt knows. Pure. @see cni.md 3.1, 3.2, 3.16 */
import { cidrText, ipFromValue, networkOf, parseCidr, parseIp, type Cidr } from '../../model/cidr.ts';
import type { PluginConf } from '../../model/cni/types.ts';
import type { PlannedNetwork } from '../../model/plan.ts';

type Fields = Readonly<Record<string, unknown>>;
type Expects = PlannedNetwork['expects'];

/** Plugins read keys in any case (X10); of several spellings the last one counts, as in Go. */
function field(conf: Fields, key: string): unknown {
  return conf[Object.keys(conf).findLast((name) => name.toLowerCase() === key.toLowerCase()) ?? key];
}
const isSet = (conf: Fields, key: string): boolean => field(conf, key) === true;
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);

/** Expectations of a list; of unknown plugins nothing is known. */
export function expectationsOf(plugins: readonly PluginConf[]): Expects {
  const bridge = plugins.find(({ type }) => type === 'bridge');
  const routed = plugins.filter(({ type }) => type === 'bridge' || type === 'ptp');
  const ranges = plugins.flatMap(({ ipam }) => (ipam === undefined ? [] : rangesOf(ipam)));
  const gateway = routed.some((plugin) => plugin.type === 'ptp' || isSet(plugin, 'isGateway') || isSet(plugin, 'isDefaultGateway'));
  const subnets = [...new Set(ranges.map(({ subnet }) => cidrText(subnet)))];
  const gateways = [...new Set(ranges.map((range) => range.gateway))];
  return {
    ...(bridge === undefined ? {} : { bridge: textOf(field(bridge, 'bridge')) || 'cni0' }),
    subnets,
    ...(gateways.length === 0 ? {} : { gateways }),
    gateway,
    masquerade: routed.some((plugin) => isSet(plugin, 'ipMasq')),
  };
}

/** Subnets of host-local and of static's addresses, with the gateway the main plugin will use: the configured one, else the first host. */
function rangesOf(ipam: { readonly type: string } & Fields): { subnet: Cidr; gateway: string }[] {
  const single = textOf(field(ipam, 'subnet')) === '' ? [] : [ipam];
  const sets = listOf(field(ipam, 'ranges')).flatMap((set) => listOf(set).filter(isFields));
  const entries = ipam.type === 'static' ? listOf(field(ipam, 'addresses')).filter(isFields) : ipam.type === 'host-local' ? [...single, ...sets] : [];
  return entries.flatMap((entry) => {
    const cidr = parseCidr(textOf(field(entry, ipam.type === 'static' ? 'address' : 'subnet')));
    if (cidr === undefined) return [];
    const subnet = networkOf(cidr);
    const gateway = parseIp(textOf(field(entry, 'gateway'))) ?? ipFromValue(subnet.ip.family, subnet.ip.value + 1n);
    return [{ subnet, gateway: gateway.text }];
  });
}
