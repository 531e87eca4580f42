/** The mark of a file that `net create` wrote: only such a file is `net rm`'s to delete. Other runtimes pass over keys they do not know (C11). */
import { isObject } from '../../model/cni/known-key.ts';

export const createdKey = 'rkt.created';
export interface CreatedMark {
  readonly by: string;
  readonly driver: string;
}

/** Whether the configuration list in `text` carries the mark; `text` is valid JSON. */
export function isCreatedByRkt(text: string): boolean {
  const list: unknown = JSON.parse(text);
  return isObject(list) && isObject(list[createdKey]);
}
