/** dummy: an interface that leads nowhere, for addresses that have to be somewhere. @see cni.md 3.8 */
import type { PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import { ConfReader } from '../skel/conf.ts';
import { configuredDns } from '../skel/interface.ts';
import { createInPod, requireLinks } from '../skel/master.ts';
import { podLinkPlugin, type PodLinkConf } from '../skel/pod-link.ts';

function readConf(req: PluginRequest): PodLinkConf {
  const conf = new ConfReader(req.conf);
  const ipamType = conf.object('ipam')?.text('type') ?? '';
  if (ipamType === '') throw new CniError(cniCode.config, 'dummy interface requires an IPAM configuration');
  return { ipamType, dns: configuredDns(conf) };
}

export const plugin = podLinkPlugin({
  type: 'dummy',
  sort: { name: 'dummy', is: ({ kind }) => kind === 'dummy' },
  readConf,
  make: (req) => createInPod(req, { kind: 'dummy' }, undefined, {}),
  verify(req, _conf, link) {
    if (!link.up) throw new CniError(cniCode.internal, `dummy ${req.ifName} is down`);
  },
  require: () => requireLinks('dummy'),
});
