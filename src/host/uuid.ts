/** Random identity, from the kernel (importing node:crypto costs 4 ms). */
import { readFileSync } from 'node:fs';
import type { PodId } from '../model/ids.ts';

export const newPodId = (): PodId => readFileSync('/proc/sys/kernel/random/uuid', 'utf8').trim() as PodId;
/** The 10 hexadecimal digits of an RFC 4193 global ID. The end of a version 4 UUID is all random. */
export const newGlobalId = (): string => newPodId().slice(-10);
