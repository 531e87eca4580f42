/** What a configuration says will exist on the host, read from the plugins rkt knows. Pure. @see cni.md 3.1, 3.2, 3.16 */
import { cidrText, ipFromValue, networkOf, parseCidr, parseIp, type Cidr } from '../../model/cidr.ts';
import { isObject, knownKey } from '../../model/cni/known-key.ts';
import type { PluginConf } from '../../model/cni/types.ts';
import type { PlannedNetwork } from '../../model/plan.ts';

type Fields = Readonly<Record<string, unknown>>;
type Expects = PlannedNetwork['expects'];

const isSet = (conf: Fields, key: string): boolean => knownKey(conf, key) === true;
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
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
    ...(bridge === undefined ? {} : { bridge: textOf(knownKey(bridge, 'bridge')) || 'cni0' }),
    subnets,
    ...(gateways.length === 0 ? {} : { gateways }),
    gateway,
    masquerade: routed.some((plugin) => isSet(plugin, 'ipMasq')),
  };
}

/** Subnets of host-local and of static's addresses, with the gateway the main plugin will use: the configured one, else the first host. */
function rangesOf(ipam: { readonly type: string } & Fields): { subnet: Cidr; gateway: string }[] {
  const single = textOf(knownKey(ipam, 'subnet')) === '' ? [] : [ipam];
  const sets = listOf(knownKey(ipam, 'ranges')).flatMap((set) => listOf(set).filter(isObject));
  const entries =
    ipam.type === 'static' ? listOf(knownKey(ipam, 'addresses')).filter(isObject) : ipam.type === 'host-local' ? [...single, ...sets] : [];
  return entries.flatMap((entry) => {
    const cidr = parseCidr(textOf(knownKey(entry, ipam.type === 'static' ? 'address' : 'subnet')));
    if (cidr === undefined) return [];
    const subnet = networkOf(cidr);
    const gateway = parseIp(textOf(knownKey(entry, 'gateway'))) ?? ipFromValue(subnet.ip.family, subnet.ip.value + 1n);
    return [{ subnet, gateway: gateway.text }];
  });
}
