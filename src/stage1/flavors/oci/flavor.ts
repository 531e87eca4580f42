/** The default flavor: OCI containers made by crun, held together by a small supervisor. @see DESIGN 5 */
import { stage1Version, type Stage1 } from '../../contract.ts';
import { enter } from './enter.ts';
import { kill, launch } from './launch.ts';
import { maxApps } from './layout.ts';
import { leavePrivateMounts } from './mounts.ts';
import { mountRootfs, prepareApp } from './prepare.ts';
import { replaceResolvConf } from './resolv-conf.ts';
import { stop } from './stop.ts';

export const ociFlavor: Stage1 = {
  name: 'oci',
  version: stage1Version,
  capabilities: { maxApps, contained: true, isolators: true },
  prepareApp,
  mountRootfs,
  unmountRootfs: leavePrivateMounts,
  launch,
  kill,
  replaceResolvConf,
  enter,
  stop,
};
