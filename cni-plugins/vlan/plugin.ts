/** vlan: the pod gets one VLAN of a link of the host. @see cni.md 3.5 */
import { vlanIdOf } from '../../src/host/netlink/link-kinds.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import { createInPod, findMaster, refuseMtu, requireLinks, verifyMaster } from '../skel/master.ts';
import { podLinkPlugin } from '../skel/pod-link.ts';
import { readConf } from './conf.ts';

export const plugin = podLinkPlugin({
  type: 'vlan',
  sort: { name: 'vlan', is: ({ kind }) => kind === 'vlan' },
  readConf,

  make(req, conf) {
    const master = findMaster(req, conf);
    refuseMtu(conf.mtu, master);
    const mtu = conf.mtu === 0 ? master.mtu : conf.mtu;
    return createInPod(req, { kind: 'vlan', id: conf.vlanId }, { link: master, inContainer: conf.inContainer }, { mtu });
  },

  verify(req, conf, link) {
    verifyMaster(req, conf, link);
    const id = vlanIdOf(link);
    if (id !== conf.vlanId) throw new CniError(cniCode.internal, `vlan ${req.ifName} has id ${id ?? 'unknown'}, not ${conf.vlanId}`);
    if (conf.mtu !== 0 && link.mtu !== conf.mtu) throw new CniError(cniCode.internal, `vlan ${req.ifName} has mtu ${link.mtu}, not ${conf.mtu}`);
  },

  require: (conf) => requireLinks('vlan', conf),
  // A VLAN id is there once per master: the next pod must find it free.
  takesFromHost: () => true,
});
