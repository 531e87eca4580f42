import { defineCommand, type Flags } from '../command.ts';
import { appFlags, appRequestFlags } from '../app-flags.ts';
import { note, warn } from '../output.ts';
import { progressPrinter } from '../progress.ts';
import { settingsFrom } from '../settings.ts';
import { netFlags, netOptions } from '../net-flags.ts';
import { runPod } from '../../pipeline.ts';

const flags = {
  ...netFlags,
  'pod-name': { type: 'string', value: 'NAME', help: "the pod's name, taken wherever a UUID is; unique until gc marks the pod" },
  'no-overlay': { type: 'boolean', help: 'copy the image instead of mounting an overlay' },
  'net-release': {
    type: 'string',
    value: 'WHEN',
    choices: ['exit', 'gc'],
    default: 'exit',
    help: "free the pod's addresses, ports and rules when it exits, or keep them until gc",
  },
  'uuid-file-save': { type: 'string', value: 'FILE', help: "write the pod's UUID to FILE before anything else is done" },
  interactive: { type: 'boolean', help: 'connect standard input to the app (one app only)' },
} as const satisfies Flags;

export const command = defineCommand({
  name: 'run',
  summary: 'run image(s) in a pod, in the foreground',
  usage: '[flags] IMAGE [app flags] [-- ARGS… [---]] [IMAGE2 …]',
  needsRoot: true,
  examples: [
    ['rkt run --net=bridge busybox --exec /bin/sh -- -c "ip addr"', 'the embedded image on a bridge'],
    ['rkt run --net=bridge --port=8080:80 oci:./web', 'publish port 80 of the pod as 8080'],
    ['rkt run --net=none --interactive busybox', 'a shell without network'],
    ['rkt run busybox --name=a -- sleep 9 --- busybox --name=b -- ps', 'two apps in one pod'],
  ],
  flags,
  imageFlags: appFlags,
  run({ flags: chosen, global, images }) {
    return runPod(settingsFrom(global), {
      apps: images.map(appRequestFlags),
      ...netOptions(chosen),
      podName: chosen['pod-name'],
      overlay: !chosen['no-overlay'],
      releaseAtExit: chosen['net-release'] !== 'gc',
      uuidFile: chosen['uuid-file-save'],
      interactive: chosen.interactive,
      progress: progressPrinter(),
      note,
      warn,
    });
  },
});
