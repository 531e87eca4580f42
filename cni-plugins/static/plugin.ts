/** static: the addresses that the configuration, or the runtime, says. @see cni.md 3.17 */
import { cidrText, contains, parseCidr, parseIp, type Cidr, type Ip } from '../../src/model/cidr.ts';
import type { Plugin, PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode, cniVersions } from '../../src/model/cni/types.ts';
import { ConfReader } from '../skel/conf.ts';
import { configuredIpamDns, configuredRoutes, ipamOf, refuseSecondOfFamily } from '../skel/ipam.ts';

interface Address {
  readonly address: Cidr;
  readonly gateway: Ip | undefined;
}
const badConf = (message: string): CniError => new CniError(cniCode.config, message);

function addressIn(text: string, complaint: string): Cidr {
  const address = parseCidr(text);
  if (address === undefined) throw badConf(`${complaint} in CIDR notation, got: '${text}'`);
  return address;
}

/** What counts: runtimeConfig's, else args', else the configuration's and after them CNI_ARGS'. What is replaced is not looked at, CNI_ARGS always are. */
function addressesOf(req: PluginRequest): readonly Address[] {
  const ipam = ipamOf(req);
  const added = fromCniArgs(req);
  const replacing = [
    new ConfReader(req.conf.runtimeConfig ?? {}, 'runtimeConfig').texts('ips') ?? [],
    new ConfReader(req.conf.args?.cni ?? {}, 'args.cni').texts('ips') ?? [],
  ].find((texts) => texts.length > 0);
  const addresses: Address[] =
    replacing === undefined
      ? [...(ipam.objects('addresses') ?? []).map(configuredAddress), ...added]
      : replacing.map((text) => ({ address: addressIn(text, "an entry in the 'ips' field is NOT"), gateway: undefined }));
  refuseSecondOfFamily(
    addresses.map(({ address }) => address.ip.family),
    req.conf.cniVersion,
  );
  return addresses;
}
const configuredAddress = (entry: ConfReader): Address => ({
  address: addressIn(entry.text('address') ?? '', "the 'address' field is expected to be"),
  gateway: entry.ip('gateway'),
});

/** `IP=10.1.0.5/24,…;GATEWAY=10.1.0.1,…`: a gateway is for the addresses of CNI_ARGS whose subnet it is in; of several the last. */
function fromCniArgs({ args }: PluginRequest): Address[] {
  const items = (key: string): string[] => {
    const text = args.get(key) ?? '';
    return text === '' ? [] : text.split(',').map((item) => item.trim());
  };
  const gateways = items('GATEWAY').map((text) => {
    const gateway = parseIp(text);
    if (gateway === undefined) throw badConf(`invalid gateway address: ${text}`);
    return gateway;
  });
  return items('IP').map((text) => {
    const address = addressIn(text, "the 'ip' field is expected to be");
    return { address, gateway: gateways.findLast((gateway) => contains(address, gateway)) };
  });
}

export const plugin: Plugin = {
  type: 'static',
  versions: cniVersions,

  validate(req) {
    const ipam = ipamOf(req);
    addressesOf(req);
    configuredRoutes(ipam);
    configuredIpamDns(ipam);
  },

  add(req) {
    const ips = addressesOf(req).map(({ address, gateway }) => ({
      address: cidrText(address),
      ...(gateway === undefined ? {} : { gateway: gateway.text }),
    }));
    const ipam = ipamOf(req);
    const [routes, dns] = [configuredRoutes(ipam), configuredIpamDns(ipam)];
    return {
      cniVersion: '1.1.0',
      ...(ips.length === 0 ? {} : { ips }),
      ...(routes.length === 0 ? {} : { routes: [...routes] }),
      ...(dns === undefined ? {} : { dns }),
    };
  },

  /** Only gateways, as in the reference: whether an address is there is for the main plugin to say, and a later plugin may have replaced it (P10). */
  check(req) {
    const { prevResult } = req;
    if (prevResult === undefined) throw badConf('Required prevResult missing');
    for (const { address, gateway } of addressesOf(req)) {
      const given = prevResult.ips?.find((ip) => parseCidr(ip.address)?.ip.text === address.ip.text);
      if (given === undefined || gateway === undefined) continue;
      if (parseIp(given.gateway ?? '')?.text !== gateway.text)
        throw new CniError(cniCode.internal, `static: Failed to match addr ${address.ip.text} on interface ${req.ifName}`);
    }
  },

  /** Nothing is reserved, so nothing is freed; what ADD would refuse, DEL does not (P8). */
  del() {},
  gc() {},

  status(req) {
    addressesOf(req);
  },
};
