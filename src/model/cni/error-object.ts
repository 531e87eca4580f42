/** CNI error objects, read and written. @see cni.md P22-P24, X8 */
import { isObject, knownKey } from './known-key.ts';
import { CniError, cniCode } from './types.ts';

/** The error object a plugin printed; undefined when `text` is something else. A missing code counts as 999. */
export function parseErrorObject(text: string): CniError | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // not an error object: what it is instead, the caller shows
  }
  if (!isObject(value)) return undefined;
  const [code, msg, details] = [knownKey(value, 'code'), knownKey(value, 'msg'), knownKey(value, 'details')];
  if (typeof code !== 'number' && typeof msg !== 'string') return undefined;
  return new CniError(
    typeof code === 'number' ? code : cniCode.internal,
    typeof msg === 'string' ? msg : '',
    typeof details === 'string' ? details : '',
  );
}

/** What a plugin prints when it fails. `cniVersion` is the configuration's; left out when that could not be read. */
export function formatErrorObject(error: CniError, cniVersion?: string): Record<string, unknown> {
  return {
    ...(cniVersion === undefined ? {} : { cniVersion }),
    code: error.cniCode,
    msg: error.message,
    ...(error.details === '' ? {} : { details: error.details }),
  };
}

/** Anything thrown, as a CNI error: what is not typed is internal (X8). */
export function asCniError(error: unknown): CniError {
  if (error instanceof CniError) return error;
  const wrapped = new CniError(cniCode.internal, error instanceof Error ? error.message : String(error));
  wrapped.cause = error;
  return wrapped;
}
