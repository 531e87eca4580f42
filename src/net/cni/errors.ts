/** What a plugin did wrong, for people and for callers that branch on its CNI code. @see cni.md L24, L25, P22-P24 */
import { type CniError, cniCode } from '../../model/cni/types.ts';
import { RuntimeError, type ErrorCode, type ErrorContext } from '../../model/errors.ts';

export class CniPluginError extends RuntimeError {
  /** the plugin's own code; undefined when it gave none (crash, deadline, garbage) */
  readonly cniCode: number | undefined;
  constructor(code: ErrorCode, message: string, context: ErrorContext & { readonly cniCode?: number }) {
    super(code, message, context);
    this.cniCode = context.cniCode;
  }
}

const hints: Readonly<Record<number, string>> = {
  [cniCode.version]: 'the plugin does not speak the CNI version of the configuration: list another one in cniVersions',
  [cniCode.unsupportedField]: 'remove the field it names from the configuration',
  [cniCode.config]: 'correct the configuration',
  [cniCode.tryAgain]: 'try again later',
  [cniCode.notAvailable]:
    'what the plugin needs is not there (a feature of the kernel, a daemon), or it has run out of something; rkt gc frees what exited pods hold',
};

/** The texts of host-local and host-device (the reference's as well) and of our portmap; none has a code of its own for it. */
const isHeld = /already published by|no IP addresses available|requested IP address .* is not available|failed to find host device/;
const heldHint =
  'a pod that was killed, or run with --net-release=gc, keeps its addresses, ports and devices until it is removed: rkt list shows it, rkt rm UUID or rkt gc --grace-period=0 frees them';

/** `who`: `plugin bridge of network "web"`. */
export function pluginFailed(who: string, verb: string, error: CniError): CniPluginError {
  const hint = isHeld.test(error.message) ? heldHint : hints[error.cniCode];
  return new CniPluginError(
    'ERR_PLUGIN_FAILED',
    `${who} failed (${verb}): ${error.message}${error.details === '' ? '' : `; ${error.details}`} (CNI code ${error.cniCode})`,
    {
      cause: error,
      cniCode: error.cniCode,
      ...(hint === undefined ? {} : { hint }),
    },
  );
}
