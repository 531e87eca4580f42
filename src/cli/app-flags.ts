/** Flags behind an image, for the app made of it. @see rkt.md 1.2 */
import type { AppOptions } from '../model/options.ts';
import type { Flags, ImageArgument } from './command.ts';
import { mountFlag } from './volume-flags.ts';

/** The flag behind an image that may have to be fetched. */
export const signatureFlags = {
  signature: { type: 'string', value: 'FILE', help: 'signature of the ACI', default: 'IMAGE.asc' },
} as const satisfies Flags;

export const appFlags = {
  ...signatureFlags,
  exec: { type: 'string', value: 'PATH', help: "run PATH instead of the image's entrypoint" },
  name: { type: 'string', value: 'NAME', help: "the app's name", default: 'from the image' },
  user: { type: 'string', value: 'USER', help: 'user: number, name in the image, or /path whose owner it is' },
  group: { type: 'string', value: 'GROUP', help: 'group: number, name in the image, or /path' },
  'working-dir': { type: 'string', value: 'DIR', help: 'working directory' },
  environment: { type: 'list', value: 'K=V', help: 'environment variable, on top of the image (repeat)' },
  'readonly-rootfs': { type: 'string', value: 'BOOL', choices: ['true', 'false'], help: 'mount the root file system read-only' },
  mount: mountFlag,
} as const satisfies Flags;

export const appRequestFlags = ({ reference, flags, args }: ImageArgument<typeof appFlags>): AppOptions => ({
  reference,
  signature: flags.signature,
  args,
  exec: flags.exec,
  name: flags.name,
  user: flags.user,
  group: flags.group,
  workingDir: flags['working-dir'],
  environment: flags.environment,
  readonlyRootfs: flags['readonly-rootfs'] === 'true',
  mounts: flags.mount,
});
