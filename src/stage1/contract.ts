/**
 * What a stage1 flavor is: the part of rkt that turns a prepared pod into running processes.
 * Stage0 hands over values only; everything a flavor makes is below the pod directory, in its own namespaces,
 * or named by a journaled step. Built-in flavors are called in process.
 * @see DESIGN 5; rkt.md 2.14; README.md beside this file (files and argv of the oci supervisor)
 */
import type { PodId } from '../model/ids.ts';
import type { StoredImage } from '../model/oci.ts';
import type { AppMount } from '../model/mounts.ts';
import type { PodApp } from '../model/pod.ts';

/** Version of this interface. rkt's own (exec'd entry points) ended at 6. */
export const stage1Version = 7;

/** Defences a user can switch off one by one (rkt.md 1.1 --insecure-options). */
export type Insecure = 'capabilities' | 'paths' | 'seccomp';

/** A volume at its place in an app. */
export interface Stage1Mount extends AppMount {
  /** of an image volume: as of {@link Stage1App} */
  readonly layers?: readonly string[];
  /** an empty volume that begins as what the image has at the target, when it is made */
  readonly populated: boolean;
}

/** One app, with where its root comes from. */
export interface Stage1App {
  readonly spec: PodApp;
  readonly image: StoredImage;
  /** unpacked layers as overlay lower directories (whiteouts 0:0, opaque xattr), absolute, top first; at least one */
  readonly layers: readonly string[];
  /** parents before what is mounted below them */
  readonly mounts: readonly Stage1Mount[];
}

/** A file over the image's: its text (the app may change its copy), or a file of the host as it is, read-only. */
export type EtcFile = string | { readonly hostPath: string };

/** A pod as stage0 hands it over. Same value for every call of one run. */
export interface Stage1Pod {
  readonly id: PodId;
  /** absolute path of the pod directory. It may differ between prepareApp and launch (the pod moves from prepare/ to run/). */
  readonly dir: string;
  /** pid of this process, which becomes the supervisor's */
  readonly pid: number;
  /** 1-64 bytes */
  readonly hostname: string;
  /** path of the pod's network namespace; undefined: the host's */
  readonly netns: string | undefined;
  readonly apps: readonly Stage1App[];
  /** false: image trees are copied instead of mounted */
  readonly overlay: boolean;
  /** the (only) app gets this process's standard input, and a terminal of its own when that is one */
  readonly interactive: boolean;
  /** /etc/hosts of every app, in place of the image's; undefined: the image's, or a generated one if it has none (rkt.md 2.6) */
  readonly hosts: EtcFile | undefined;
  /** /etc/resolv.conf of every app; undefined: the image's */
  readonly resolvConf: EtcFile | undefined;
  /** /etc/resolv.conf of apps whose image names no resolver, when `resolvConf` is undefined */
  readonly fallbackResolvConf: string | undefined;
  readonly insecure: ReadonlySet<Insecure>;
  /** what an app gets between its stop signal and SIGKILL */
  readonly graceMs: number;
}

export interface Stage1Capabilities {
  /** most apps a pod can have */
  readonly maxApps: number;
  /** apps have a network namespace of their own (false: host only) */
  readonly contained: boolean;
  /** pods have control groups of their own, and isolators of apps are enforced */
  readonly isolators: boolean;
}

/** How a pod was told to end, and whether it has. */
export type StopOutcome = 'stopped' | 'killed' | 'was not running';

/**
 * A flavor. Calls are synchronous. Order in a run: prepareApp for each app, mountRootfs, launch; a failure is
 * undone in reverse. stop, kill and enter come from other processes.
 */
export interface Stage1 {
  readonly name: string;
  readonly version: number;
  readonly capabilities: Stage1Capabilities;
  /** Step 'app.prepare': directories and files of one app below the pod directory. Goes with the pod directory. @throws ERR_STAGE1_LAUNCH */
  prepareApp(pod: Stage1Pod, app: Stage1App): void;
  /**
   * Step 'rootfs.mount': moves this thread into a mount namespace of its own and mounts there what the apps see; users
   * and groups are looked up and bundles written. Nothing of it reaches the host, all of it dies with the process.
   * @throws ERR_STAGE1_LAUNCH, ERR_APP_USER
   */
  mountRootfs(pod: Stage1Pod): void;
  /** Goes back to the mount namespace mountRootfs left, so that later undos see the host's mounts. Nothing to do in any other process. */
  unmountRootfs(): void;
  /**
   * Step 'pod.launch': this process becomes the supervisor and keeps the lock `lockFd`. `release` (model/release.ts) is what is done when
   * the pod has ended and its lock is free; it may go on for a moment then. Returns only by throwing. @throws ERR_STAGE1_LAUNCH, ERR_HOST_PROGRAM_MISSING
   */
  launch(pod: Stage1Pod, lockFd: number, release: Uint8Array | undefined): never;
  /**
   * Undo of 'pod.launch': ends the process `pid` if it still is the one that started at `startTime` (clock ticks since boot), and waits
   * for it; waits for the release of an exited pod, and ends it when it does not end. @throws ERR_EFFECT_FAILED
   */
  kill(podDir: string, pid: number, startTime: string): void;
  /**
   * Other text for the /etc/resolv.conf that the apps of a running pod were given by {@link Stage1Pod}: seen at once. Nothing is done when they
   * were given none, or the file does not begin with `beginning` any more. Absent: the flavor's pods are on the host's network. @throws ERR_POD_IO
   */
  replaceResolvConf?(podDir: string, text: string, beginning: string): void;
  /** This process becomes `command` in an app of a running pod; absent: the flavor cannot. @throws ERR_POD_STATE, ERR_APP_NOT_FOUND */
  enter?(podDir: string, podId: PodId, app: string, command: readonly string[]): never;
  /** Ends a running pod, in order or (`force`) at once, and waits until it has. */
  stop(podDir: string, options: { readonly force: boolean; readonly graceMs: number }): StopOutcome;
}
