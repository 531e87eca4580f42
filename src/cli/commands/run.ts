import { defineCommand } from '../command.ts';
import { appFlags, appRequestFlags } from '../app-flags.ts';
import { note, warn } from '../output.ts';
import { progressPrinter } from '../progress.ts';
import { settingsFrom } from '../settings.ts';
import { netOptions } from '../net-flags.ts';
import { pullPolicyOf } from '../pull-flags.ts';
import { policyOptions, runFlags } from '../run-flags.ts';
import { stage1Choice } from '../stage1-flags.ts';
import { runPod } from '../../pipeline.ts';

export const command = defineCommand({
  name: 'run',
  summary: 'run image(s) in a pod, in the foreground',
  usage: '[flags] IMAGE [app flags] [-- ARGS… [---]] [IMAGE2 …]',
  needsRoot: true,
  examples: [
    ['rkt run --net=bridge busybox --exec /bin/sh -- -c "ip addr"', 'the embedded image on a bridge'],
    ['rkt run --net=bridge --port=8080:80 oci:./web', 'publish port 80 of the pod as 8080'],
    ['rkt run --net=bridge --port=80-tcp:8080 docker://nginx', 'an image of docker.io, fetched when it is not in the store'],
    ['rkt run --net=bridge --namespace=shop --label=app=db --policy=./k8s busybox -- sleep 99', 'network policies hold from its first instruction'],
    ['rkt run --net=none --interactive busybox', 'a shell without network'],
    ['rkt run busybox --name=a -- sleep 9 --- busybox --name=b -- ps', 'two apps in one pod'],
  ],
  flags: runFlags,
  imageFlags: appFlags,
  run({ flags: chosen, global, images }) {
    return runPod(settingsFrom(global), {
      apps: images.map(appRequestFlags),
      ...netOptions(chosen),
      volumes: chosen.volume,
      mounts: chosen.mount,
      policy: policyOptions(chosen),
      stage1: stage1Choice(chosen),
      podName: chosen['pod-name'],
      overlay: !chosen['no-overlay'],
      releaseAtExit: chosen['net-release'] !== 'gc',
      uuidFile: chosen['uuid-file-save'],
      interactive: chosen.interactive,
      pullPolicy: pullPolicyOf(chosen, 'new'),
      progress: progressPrinter(),
      note,
      warn,
    });
  },
});
