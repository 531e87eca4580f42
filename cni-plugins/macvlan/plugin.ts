/** macvlan: the pod gets a link of its own, with a hardware address of its own, on a link of the host. @see cni.md 3.3 */
import { macvlanModeOf } from '../../src/host/netlink/link-kinds.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import { knownKey } from '../skel/conf.ts';
import { createInPod, findMaster, refuseMtu, requireLinks, verifyMaster } from '../skel/master.ts';
import { podLinkPlugin } from '../skel/pod-link.ts';
import { readConf } from './conf.ts';

export const plugin = podLinkPlugin({
  type: 'macvlan',
  sort: { name: 'macvlan', is: ({ kind }) => kind === 'macvlan' },
  readConf,

  make(req, conf) {
    const master = findMaster(req, conf);
    refuseMtu(conf.mtu, master);
    const { inContainer, mode, broadcastQueue, mtu, mac } = conf;
    return createInPod(req, { kind: 'macvlan', mode, broadcastQueue }, { link: master, inContainer }, { mtu, mac });
  },

  verify(req, conf, link) {
    verifyMaster(req, conf, link);
    const mode = macvlanModeOf(link);
    if (mode !== conf.mode) throw new CniError(cniCode.internal, `macvlan ${req.ifName} has mode ${mode ?? 'unknown'}, not ${conf.mode}`);
  },

  require: (conf) => requireLinks('macvlan', conf),
  // A passthru link has its master for itself.
  takesFromHost: (req) => knownKey(req.conf, 'mode') === 'passthru',
});
