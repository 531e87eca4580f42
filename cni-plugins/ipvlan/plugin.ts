/** ipvlan: the pod gets a link with the hardware address of a link of the host. @see cni.md 3.4 */
import { ipvlanModeOf } from '../../src/host/netlink/link-kinds.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import { createInPod, findMaster, requireLinks, verifyMaster } from '../skel/master.ts';
import { podLinkPlugin } from '../skel/pod-link.ts';
import { masterOfAdd, readConf } from './conf.ts';

export const plugin = podLinkPlugin({
  type: 'ipvlan',
  sort: { name: 'ipvlan', is: ({ kind }) => kind === 'ipvlan' },
  readConf,

  make(req, conf) {
    const { mode, mtu, inContainer } = conf;
    return createInPod(req, { kind: 'ipvlan', mode }, { link: findMaster(req, masterOfAdd(req, conf)), inContainer }, { mtu });
  },
  given: (req) => req.prevResult,

  verify(req, conf, link) {
    // In a chain prevResult, which named the master at ADD, is that of the whole list by now.
    if (conf.master !== '') verifyMaster(req, conf, link);
    const mode = ipvlanModeOf(link);
    if (mode !== conf.mode) throw new CniError(cniCode.internal, `ipvlan ${req.ifName} has mode ${mode ?? 'unknown'}, not ${conf.mode}`);
  },

  require: (conf) => requireLinks('ipvlan', conf),
});
