/** Flags that say what is mounted into apps. @see rkt.md 2.8 */
import type { Flag, Flags } from './command.ts';

/** Behind an image for its app, before the first for all of them. */
export const mountFlag = {
  type: 'list',
  value: 'MOUNT',
  help: 'mount a volume: volume=NAME,target=PATH (repeat); before the first image for every app',
} as const satisfies Flag;

export const volumeFlags = {
  volume: {
    type: 'list',
    value: 'VOLUME',
    help:
      'a volume: NAME,kind=host,source=/PATH[,readOnly=BOOL][,recursive=BOOL], NAME,kind=empty[,mode=0755][,uid=0][,gid=0], ' +
      'NAME,kind=tmpfs[,size=64m][,mode=…], NAME,kind=image,image=IMAGE (repeat)',
  },
  mount: mountFlag,
} as const satisfies Flags;
