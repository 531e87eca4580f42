/**
 * firewall: forwarding to and from a pod, and which other pods reach it. Elements of table `inet rkt`.
 * @see cni.md 3.11; complaints 16, 21
 */
import { closeForward, isForwardClosed, isForwardOpened, openForward } from '../../src/host/nftables/forward.ts';
import { claim, missingOf, release, removeTableIfUnused } from '../../src/host/nftables/table.ts';
import { releaseElements } from '../../src/host/nftables/release.ts';
import { readText } from '../../src/host/files.ts';
import { type Ip, parseCidr } from '../../src/model/cidr.ts';
import type { Plugin, PluginContext, PluginNote, PluginRequest, PluginRequestConf } from '../../src/model/cni/plugin.ts';
import { CniError, type CniResult, cniCode, cniVersions } from '../../src/model/cni/types.ts';
import { type Element, type IngressPolicy, type SetName, attachmentText, firewallElements } from '../../src/model/ruleset.ts';
import { expectedOf, keyOf, ofAttachment, ofStale } from '../skel/attachment.ts';
import { deletionOf } from '../skel/deletion.ts';
import { ConfReader } from '../skel/conf.ts';
import { Repairs, repairElements } from '../skel/repair.ts';
import { requireNftables, tidyRuleset, withRuleset } from '../skel/ruleset.ts';
import { allOf } from '../skel/interface.ts';

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
  const addresses = addressesOf(result);
  const bridge = result.interfaces?.[0];
  if (conf.ingressPolicy === 'same-bridge' && addresses.length > 0 && (bridge === undefined || bridge.name === '' || (bridge.sandbox ?? '') !== '')) {
    throw new CniError(cniCode.config, 'ingressPolicy same-bridge needs the host device of the network as first interface of prevResult');
  }
  return firewallElements(keyOf(req), addresses, conf.ingressPolicy, bridge?.name ?? '');
}

const addressesOf = (result: CniResult): Ip[] => (result.ips ?? []).flatMap((ip) => parseCidr(ip.address)?.ip ?? []);

/** Docker and some admins let FORWARD of iptables drop by default; there the pod needs rules of its own. Nothing stays when it fails. */
function openElsewhere(req: PluginRequest, addresses: readonly Ip[], elements: readonly Element[], ctx: PluginContext): void {
  const key = keyOf(req);
  try {
    const changed = withRuleset('open FORWARD', () => openForward(attachmentText(key), addresses));
    for (const where of changed)
      ctx.note({ what: 'iptables', detail: `table ${where}: chain FORWARD drops by default, rules for this pod were appended` });
  } catch (error) {
    withRuleset('close the firewall', () => release(ofAttachment(key, sets, elements)));
    throw error;
  }
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
    openElsewhere(req, addressesOf(prevResult), elements, ctx);
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
    // Not FORWARD: whose chain it is may let the pod through by a rule of their own.
    if (missing !== undefined) throw new CniError(cniCode.internal, `${attachmentText(keyOf(req))} is missing from ${missing.set} of table inet rkt`);
  },

  del(req) {
    const name = attachmentText(keyOf(req));
    const expected = expectedOf(req, (result) => elementsFor(req, readConf(req.conf), result));
    allOf([
      () => withRuleset('close the firewall', () => release(ofAttachment(keyOf(req), sets, expected))),
      () => withRuleset('close FORWARD', () => closeForward(name, (comment) => comment === name)),
    ]);
  },

  release(req) {
    const elements = releaseElements(expectedOf(req, (result) => elementsFor(req, readConf(req.conf), result)));
    // Rules have no names: only the plugin finds its own in somebody else's chain.
    const isOpened = withRuleset('look up FORWARD', () => isForwardOpened(attachmentText(keyOf(req))));
    return [...elements, ...(isOpened ? [deletionOf('firewall', req)] : [])];
  },

  gc(req) {
    const stale = ofStale(req.conf.name, sets, req.validAttachments);
    allOf([
      () =>
        withRuleset('close the firewall', () => {
          release(stale);
          removeTableIfUnused();
        }),
      () => withRuleset('close FORWARD', () => closeForward(stale.hint, stale.selects)),
    ]);
  },

  tidy: tidyRuleset,
  status: requireNftables,

  rules: (req) => expectedOf(req, (result) => elementsFor(req, readConf(req.conf), result)),

  repair(req, _ctx, apply) {
    const repairs = new Repairs(apply);
    const { prevResult } = req;
    if (prevResult === undefined) return repairs.found;
    repairElements(repairs, elementsFor(req, readConf(req.conf), prevResult));
    const name = attachmentText(keyOf(req));
    withRuleset('open FORWARD', () => {
      if (isForwardClosed(name, addressesOf(prevResult)))
        repairs.add('rules in chain FORWARD of iptables, which drops by default', () => void openForward(name, addressesOf(prevResult)));
    });
    return repairs.found;
  },
};
