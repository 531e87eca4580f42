/** dnsname: pods of a network find each other by name. Chained after bridge. @see README.md; cni.md A9 */
import { parseCidr } from '../../src/model/cidr.ts';
import type { Plugin, PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode, cniVersions, type AttachmentId, type CniResult } from '../../src/model/cni/types.ts';
import { readConf, type DnsnameConf } from './conf.ts';
import { faultsOf, keepOnly, publishNames, requireDnsmasq, withdrawNames, type ServerSettings } from './server.ts';

const attachmentOf = ({ containerId, ifName }: PluginRequest): AttachmentId => ({ containerID: containerId, ifname: ifName });

/** What dnsmasq reads, and what it is started with. @throws CniError when the network has no gateway of the host's */
function derive(req: PluginRequest, conf: DnsnameConf, result: CniResult): { text: string; settings: ServerSettings } {
  const own = (result.ips ?? []).filter(({ interface: index }) => index === undefined || result.interfaces?.[index]?.name === req.ifName);
  const gateways = [...new Set(own.flatMap(({ gateway }) => gateway ?? []))];
  if (gateways.length === 0) throw new CniError(cniCode.config, 'dnsname needs a gateway on the host: set isGateway in the bridge plugin before it');
  const addresses = own.flatMap(({ address }) => parseCidr(address)?.ip.text ?? []);
  const { domain, forward, remoteServers, names } = conf;
  return {
    text: names.length === 0 ? '' : addresses.map((address) => `${address} ${names.join(' ')}\n`).join(''),
    settings: { addresses: gateways, domain, forward, remoteServers },
  };
}

export const plugin: Plugin = {
  type: 'dnsname',
  versions: cniVersions,
  validate: (req) => void readConf(req),

  add(req, ctx) {
    const conf = readConf(req);
    const { prevResult } = req;
    if (prevResult === undefined) throw new CniError(cniCode.config, 'must be called as chained plugin');
    conf.notes.forEach((note) => ctx.note(note));
    const { text, settings } = derive(req, conf, prevResult);
    publishNames(req.conf.name, attachmentOf(req), text, settings);
    const { dns } = prevResult;
    const search = [conf.domain, ...(dns?.search ?? []).filter((domain) => domain !== conf.domain)];
    return { ...prevResult, dns: { ...dns, nameservers: [...settings.addresses], search } };
  },

  check(req) {
    if (req.prevResult === undefined) throw new CniError(cniCode.config, 'Required prevResult missing');
    const { text, settings } = derive(req, readConf(req), req.prevResult);
    const [fault] = faultsOf(req.conf.name, attachmentOf(req), text, settings);
    if (fault !== undefined) throw new CniError(cniCode.internal, `missing: ${fault}`);
  },

  /** Reads nothing of the configuration but the network's name: it also follows an ADD that refused the rest. */
  del(req) {
    withdrawNames(req.conf.name, attachmentOf(req));
  },

  gc(req) {
    keepOnly(req.conf.name, req.validAttachments);
  },

  status() {
    requireDnsmasq();
  },

  repair(req, _ctx, apply) {
    if (req.prevResult === undefined) return [];
    const { text, settings } = derive(req, readConf(req), req.prevResult);
    const missing = faultsOf(req.conf.name, attachmentOf(req), text, settings);
    if (apply && missing.length > 0) publishNames(req.conf.name, attachmentOf(req), text, settings);
    return missing;
  },
};
