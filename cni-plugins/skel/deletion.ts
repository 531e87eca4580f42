/** DEL of one of our own plugins, for the supervisor to run when the pod has ended. */
import type { PluginRequest } from '../../src/model/cni/plugin.ts';
import type { ReleaseOp } from '../../src/model/release.ts';

declare const __DIST__: string;

/** As long as the runtime gives a plugin. */
const timeoutMs = 30_000;

/** For what only the plugin itself can undo, and has to before the namespace ends. Its IPAM is asked by it. */
export const deletionOf = (type: string, req: PluginRequest): ReleaseOp => ({
  op: 'run',
  path: `${__DIST__}/cni/${type}`,
  env: {
    CNI_COMMAND: 'DEL',
    CNI_CONTAINERID: req.containerId,
    CNI_NETNS: req.netns,
    CNI_IFNAME: req.ifName,
    CNI_ARGS: [...req.args].map(([key, value]) => `${key}=${value}`).join(';'),
    CNI_PATH: req.path.join(':'),
  },
  stdin: JSON.stringify(req.conf),
  timeoutMs,
});
