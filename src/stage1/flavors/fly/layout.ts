/** Where the fly flavor keeps things in a pod directory; layers, copies and roots are where every flavor has them. */
import { join } from 'node:path';

export const flyFiles = (dir: string) => ({
  /** environment of the app, for what enters it: a JSON list of `K=V` */
  environment: (app: string): string => join(dir, 'bundles', app, 'environment.json'),
  /** files that go over the image's */
  etc: join(dir, 'etc'),
  /** `pid starttime` of the app */
  appPid: (app: string): string => join(dir, 'stage1/rootfs/rkt/pid', app),
  /** symbolic link to `ready`: the app is about to begin */
  ready: join(dir, 'stage1/rootfs/rkt/supervisor-status'),
});
