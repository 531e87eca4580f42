/**
 * firewall: forwarding to and from a pod, and which other pods reach it. Elements of table `inet rkt`.
 * @see cni.md 3.11; complaints 16, 21
 */
import { claim, missingOf, release, removeTableIfUnused } from '../../src/host/nftables/table.ts';
import { readText } from '../../src/host/files.ts';
import { parseCidr } from '../../src/model/cidr.ts';
import type { Plugin, PluginNote, PluginRequest, PluginRequestConf } from '../../src/model/cni/plugin.ts';
import { CniError, type CniResult, cniCode, cniVersions } from '../../src/model/cni/types.ts';
import { type Element, type IngressPolicy, type SetName, attachmentText, firewallElements } from '../../src/model/ruleset.ts';
import { expectedOf, keyOf, ofAttachment, ofStale } from '../skel/attachment.ts';
import { ConfReader } from '../skel/conf.ts';
import { requireNftables, withRuleset } from '../skel/ruleset.ts';

const sets: readonly SetName[] = ['pods4', 'pods6', 'closed4', 'closed6', 'same4', 'same6'];

interface FirewallConf {
  readonly ingressPolicy: IngressPolicy;
  readonly notes: readonly PluginNote[];
}

function readConf(fields: PluginRequestConf): FirewallConf {
  const conf = new ConfReader(fields);
  const notes: PluginNote[] = [];
  const backend = conf.text('backend') ?? '';
  if (!['', 'nftables', 'iptables', 'firewalld'].includes(backend))
    throw new CniError(cniCode.config, `unrecognized firewall backend type: ${JSON.stringify(backend)}`);
  if (backend === 'iptables' || backend === 'firewalld')
    notes.push({ what: 'backend', detail: `${backend} was asked for; forwarding is handled by nftables table inet rkt` });
  for (const key of ['iptablesAdminChainName', 'firewalldZone']) {
    const value = conf.text(key) ?? '';
    if (value !== '') notes.push({ what: key, detail: `not used (${JSON.stringify(value)})` });
  }
  const policy = conf.text('ingressPolicy') ?? '';
  if (policy !== '' && policy !== 'open' && policy !== 'same-bridge' && policy !== 'isolated')
    throw new CniError(cniCode.config, `unknown ingress policy: ${JSON.stringify(policy)}`);
  return { ingressPolicy: policy === '' ? 'open' : policy, notes };
}

function elementsFor(req: PluginRequest, conf: FirewallConf, result: CniResult): Element[] {
  const addresses = (result.ips ?? []).flatMap((ip) => parseCidr(ip.address)?.ip ?? []);
  const bridge = result.interfaces?.[0];
  if (conf.ingressPolicy === 'same-bridge' && addresses.length > 0 && (bridge === undefined || bridge.name === '' || (bridge.sandbox ?? '') !== '')) {
    throw new CniError(cniCode.config, 'ingressPolicy same-bridge needs the host device of the network as first interface of prevResult');
  }
  return firewallElements(keyOf(req), addresses, conf.ingressPolicy, bridge?.name ?? '');
}

/** Frames between ports of one bridge pass the forward chain only with br_netfilter. */
const bridgedPacketsAreSeen = (): boolean => readText('/proc/sys/net/bridge/bridge-nf-call-iptables')?.trim() === '1';

export const plugin: Plugin = {
  type: 'firewall',
  versions: cniVersions,
  validate: (req) => void readConf(req.conf),

  add(req, ctx) {
    const conf = readConf(req.conf);
    if (req.prevResult === undefined) throw new CniError(cniCode.config, 'missing prevResult from earlier plugin');
    const { prevResult } = req;
    conf.notes.forEach((note) => ctx.note(note));
    const elements = elementsFor(req, conf, prevResult);
    withRuleset('open the firewall', () => claim(elements));
    if (conf.ingressPolicy === 'isolated' && !bridgedPacketsAreSeen()) {
      ctx.note({
        what: 'isolated',
        detail:
          'pods on the same bridge are not kept apart: load br_netfilter with bridge-nf-call-iptables=1, or set portIsolation in the bridge plugin',
      });
    }
    return prevResult;
  },

  check(req) {
    const conf = readConf(req.conf);
    if (req.prevResult === undefined) throw new CniError(cniCode.config, 'missing prevResult from earlier plugin');
    const elements = elementsFor(req, conf, req.prevResult);
    const [missing] = withRuleset('look up the firewall', () => missingOf(elements));
    if (missing !== undefined) throw new CniError(cniCode.internal, `${attachmentText(keyOf(req))} is missing from ${missing.set} of table inet rkt`);
  },

  del(req) {
    withRuleset('close the firewall', () =>
      release(
        ofAttachment(
          keyOf(req),
          sets,
          expectedOf(req, (result) => elementsFor(req, readConf(req.conf), result)),
        ),
      ),
    );
  },

  gc(req) {
    withRuleset('close the firewall', () => {
      release(ofStale(req.conf.name, sets, req.validAttachments));
      removeTableIfUnused();
    });
  },

  status: requireNftables,
};
