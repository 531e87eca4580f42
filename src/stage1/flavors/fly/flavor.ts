/** The fly flavor: one app in a chroot on the host's namespaces, in the very process that was started; nothing is isolated. @see rkt.md 2.14 */
import { stage1Version, type Stage1 } from '../../contract.ts';
import { leavePrivateMounts } from '../oci/mounts.ts';
import { enter } from './enter.ts';
import { launch } from './launch.ts';
import { mountRootfs, prepareApp } from './rootfs.ts';
import { kill, stop } from './stop.ts';

export const flyFlavor: Stage1 = {
  name: 'fly',
  version: stage1Version,
  capabilities: { maxApps: 1, contained: false, isolators: false },
  prepareApp,
  mountRootfs,
  unmountRootfs: leavePrivateMounts,
  launch,
  kill,
  enter,
  stop,
};
