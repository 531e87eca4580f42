/**
 * Which room does which step: the one place where effects meet stages. Every kind of step has its line here;
 * what a room offers for it is at most one call up and one call down.
 */
import { createNetns, removeNetns, withNetns } from '../host/netns.ts';
import { bringUpLoopback } from '../host/netlink/loopback.ts';
import { allowLowPorts } from '../host/sysctl.ts';
import type { Actions } from '../effects/steps.ts';
import { RuntimeError } from '../model/errors.ts';
import { encodeRelease, type ReleaseOp } from '../model/release.ts';
import { type LiveAttachment } from '../effects/attachments.ts';
import { removeCache } from '../net/cni/cache.ts';
import { addList, delList } from '../net/cni/list.ts';
import { releaseList } from '../net/cni/release.ts';
import type { CniServices } from '../net/cni/services.ts';
import { createPodCgroup, releasePodCgroup, removePodCgroup } from '../stage1/flavors/oci/cgroup.ts';
import type { Stage1, Stage1App, Stage1Pod } from '../stage1/contract.ts';
import { lockNetwork, recordNetwork } from '../state/network/record.ts';
import { namingHolders } from './holders.ts';
import { joinPolicies, leaveNetworkOfPolicies, leavePolicies, policyRelease } from './policy.ts';

/** What the run of a pod knows and its undo does not need. */
export interface Launching {
  pod(): Stage1Pod;
  readonly lockFd: number;
  /** what the pod is on by now */
  attached(): readonly LiveAttachment[];
  /** what the pod's end frees by itself; undefined: nothing, gc does */
  release(): readonly ReleaseOp[] | undefined;
}

/** What the steps of one pod act on. `launching` is absent when a pod is only undone. */
export interface StepContext {
  readonly dataDir: string;
  /** the pod's directory */
  readonly podDir: string;
  readonly cni: CniServices;
  readonly flavor: Stage1;
  readonly launching?: Launching;
  /** the pod runs and goes on: its namespace is not destroyed after an undo */
  readonly podStays?: boolean;
}

export function actionsFor(context: StepContext): Actions {
  const { dataDir, podDir, cni, flavor } = context;
  const detaching: CniServices = context.podStays === true ? { ...cni, netnsStays: true } : cni;
  const launching = (): Launching => {
    if (context.launching === undefined) throw new Error('this pod can only be undone');
    return context.launching;
  };
  const appOf = (pod: Stage1Pod, name: string): Stage1App => {
    const app = pod.apps.find(({ spec }) => spec.name === name);
    if (app === undefined) throw new RuntimeError('ERR_APP_NOT_FOUND', `pod ${pod.id} has no app ${name}`);
    return app;
  };
  return {
    'cgroup.create': {
      durable: false,
      run: ({ path }) => ({ hierarchies: createPodCgroup(path) }),
      undo: ({ path }, output, sameBoot) => {
        if (sameBoot) removePodCgroup(path, output?.hierarchies);
      },
      release: ({ path }, { hierarchies }) => releasePodCgroup(path, hierarchies, launching().pod()),
    },
    'netns.create': {
      durable: false,
      run: ({ path }) => {
        createNetns(path);
        withNetns(path, () => {
          bringUpLoopback();
          allowLowPorts();
        });
        return null;
      },
      undo: ({ path }) => removeNetns(path),
      release: ({ path }) => [{ op: 'unmount', path }],
    },
    'network.attach': {
      durable: true,
      run: ({ network, ...attachment }) => {
        using held = lockNetwork(dataDir, network.name);
        void held;
        recordNetwork(dataDir, network);
        try {
          return { result: addList(network, attachment, cni) };
        } catch (error) {
          throw namingHolders(error, dataDir, network, attachment.containerId);
        }
      },
      undo: ({ network, ...attachment }, output, sameBoot) => {
        using held = lockNetwork(dataDir, network.name);
        void held;
        // Before the address is free for others, who must not inherit its rules (R42).
        if (context.podStays === true) leaveNetworkOfPolicies(dataDir, attachment.containerId, network.ifName);
        delList(network, { ...attachment, netns: sameBoot ? attachment.netns : '' }, detaching, output?.result);
      },
      abandon: ({ network, ...attachment }) => removeCache(cni.cacheDir, network, attachment),
      release: ({ network, ...attachment }, { result }) => releaseList(network, attachment, cni, result),
    },
    'policy.attach': {
      durable: false,
      run: ({ containerId, member }) => {
        joinPolicies(dataDir, containerId, member, launching().attached());
        return null;
      },
      undo: ({ containerId }) => leavePolicies(dataDir, containerId),
      release: ({ containerId }) => [policyRelease(dataDir, containerId)],
    },
    'app.prepare': {
      durable: false,
      run: ({ app }) => {
        const pod = launching().pod();
        flavor.prepareApp(pod, appOf(pod, app));
        return null;
      },
      // All of it is below the pod directory and goes with it.
      undo: () => undefined,
    },
    'rootfs.mount': {
      durable: false,
      run: () => {
        flavor.mountRootfs(launching().pod());
        return null;
      },
      undo: () => flavor.unmountRootfs(),
    },
    'pod.launch': {
      durable: false,
      run: () => {
        const self = launching();
        const ops = self.release();
        return flavor.launch(self.pod(), self.lockFd, ops === undefined ? undefined : encodeRelease(ops));
      },
      undo: ({ pid, startTime }, _output, sameBoot) => {
        if (sameBoot) flavor.kill(podDir, pid, startTime);
      },
    },
  };
}
