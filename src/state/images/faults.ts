/** What the store's file system refused, said in the store's own terms. */
import { RuntimeError, diskHint, isErrno, messageOf } from '../../model/errors.ts';

/** `error` as ERR_STORE_IO when a system call failed; anything else as it is, for faults of images have their own codes. `what`: "cannot store image web" */
export function storeFault(error: unknown, what: string, dataDir: string): unknown {
  if (error instanceof RuntimeError || !(error instanceof Error) || !('syscall' in error || 'errno' in error)) return error;
  return new RuntimeError('ERR_STORE_IO', `${what}: ${messageOf(error)}`, {
    cause: error,
    ...diskHint(error),
    ...(isErrno(error, 'EACCES', 'EPERM') ? { hint: `may you read and write ${dataDir}? The store is root's` } : {}),
  });
}

/** Does `work`, with the faults of its system calls told by {@link storeFault}. */
export function inStore<T>(dataDir: string, what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw storeFault(error, what, dataDir);
  }
}
