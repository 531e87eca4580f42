/**
 * The catalogue of everything that can go wrong for a user, and the one error class that carries it.
 * Codes are stable and never reused; `exit` is rkt's exit status (254 = set-up failure, rkt.md 2.3).
 * Messages: lower-case, no period, what failed on what. Hints: what the user can do about it.
 */
export const catalogue = {
  ERR_CLI_USAGE: 'the command line does not make sense',
  ERR_CLI_UNKNOWN_COMMAND: 'no such command',
  ERR_CLI_NOT_ROOT: 'the command needs root',
  ERR_CONFIG_INVALID: 'a configuration file is not valid',
  ERR_HOST_UNSUPPORTED: 'this machine lacks something the pod needs',
  ERR_HOST_PROGRAM_MISSING: 'a program rkt calls is not installed',
  ERR_INTERRUPTED: 'a signal arrived while an image was fetched or the pod was being set up',
  ERR_IMAGE_REFERENCE: 'the image reference cannot be understood',
  ERR_IMAGE_NOT_FOUND: 'no such image',
  ERR_IMAGE_INVALID: 'the image breaks its own specification',
  ERR_IMAGE_DIGEST: 'content does not have the digest it is named by',
  ERR_IMAGE_PLATFORM: 'the image is for another platform',
  ERR_LAYER_CORRUPT: 'a layer cannot be decompressed or parsed',
  ERR_LAYER_ESCAPE: 'a layer tries to write outside its root',
  ERR_LAYER_LIMIT: 'a layer is larger than the limits allow',
  ERR_HTTP_DNS: 'the name of a server cannot be resolved',
  ERR_HTTP_UNREACHABLE: 'a server does not answer, or the connection broke',
  ERR_HTTP_TLS: 'a secure connection cannot be made or trusted',
  ERR_HTTP_PROXY: 'the proxy does not answer, or refuses',
  ERR_HTTP_INSECURE: 'the connection would not be encrypted',
  ERR_HTTP_REDIRECT: 'a server redirects in a way that cannot be followed',
  ERR_HTTP_STATUS: 'a server answered with an error',
  ERR_HTTP_CHANGED: 'what is downloaded changed on the server meanwhile',
  ERR_REGISTRY_DENIED: 'the registry does not let these credentials have the image',
  ERR_REGISTRY_PROTOCOL: 'the server does not speak the registry protocol as it should',
  ERR_IMAGE_OUTPUT: 'an image cannot be written where it was asked to',
  ERR_SIGNATURE_MISSING: 'an image has no signature',
  ERR_SIGNATURE_REFUSED: 'a signature is wrong, or by nobody who is trusted',
  ERR_TRUST_KEY: 'a public key cannot be trusted as asked',
  ERR_DISCOVERY: 'discovery finds no place for a name',
  ERR_IMAGE_POLICY: 'the image policy does not accept the image',
  ERR_STORE_IO: 'the image store could not be read or written',
  ERR_POD_NOT_FOUND: 'no such pod',
  ERR_POD_AMBIGUOUS: 'the UUID prefix matches several pods',
  ERR_POD_NAME: 'the name of a pod is not valid or taken',
  ERR_POD_STATE: 'the pod is not in a state that allows this',
  ERR_POD_MANIFEST: 'the pod manifest is not valid',
  ERR_POD_IO: 'the pod directory could not be read or written',
  ERR_NETCONF_INVALID: 'a network configuration file is not valid',
  ERR_NETCONF_DUPLICATE: 'two files of one directory define the same network',
  ERR_NET_NOT_FOUND: 'a requested network does not exist',
  ERR_NET_DEFINITION: 'a network cannot be created as asked',
  ERR_NET_IN_USE: 'pods use the network',
  ERR_NET_NOT_OURS: 'rkt did not create the network',
  ERR_NET_ATTACHED: 'the pod is on the network already, or is not',
  ERR_NETCONF_IO: 'the directory of network configurations could not be read or written',
  ERR_NET_ARGS: 'the --net argument cannot be understood',
  ERR_NET_PORTS: 'a published port cannot be mapped',
  ERR_NET_NAMES: 'a host name, resolver or hosts entry cannot be set',
  ERR_NET_SUBNET_CONFLICT: 'a network of rkt overlaps a route that belongs to somebody else',
  ERR_NET_RESULT: 'a plugin returned something that is not a CNI result',
  ERR_PLUGIN_NOT_FOUND: 'a plugin executable was not found on the search path',
  ERR_PLUGIN_FAILED: 'a plugin reported an error',
  ERR_PLUGIN_TIMEOUT: 'a plugin did not finish before its deadline',
  ERR_PLUGIN_OUTPUT: 'a plugin printed something that is not CNI JSON',
  ERR_EFFECT_FAILED: 'a step of the plan failed',
  ERR_UNDO_INCOMPLETE: 'some effects could not be undone; the journal keeps them for the next gc',
  ERR_JOURNAL_CORRUPT: 'the journal of a pod cannot be read',
  ERR_STAGE1_LAUNCH: 'the pod could not be started',
  ERR_STAGE1_UNKNOWN: 'the stage1 is not one of those that are built in',
  ERR_STAGE1_LACKS: 'the flavor of the pod cannot do this',
  ERR_LAB_INPUT: 'an experiment, a policy or a manifest is not valid',
  ERR_APP_USER: 'the user or group of an app does not exist in its image',
  ERR_APP_NOT_FOUND: 'the pod has no such app',
  ERR_LAB_FEATURE: 'the kernel lacks what an experiment needs',
  ERR_POLICY_POD: 'the pod cannot take part in network policies as asked',
  ERR_POLICY_NOT_FOUND: 'no such network policy is in force',
  ERR_LAB_PROBER: 'the prober of an experiment failed',
} as const satisfies Record<string, string>;

export type ErrorCode = keyof typeof catalogue;

export interface ErrorContext {
  readonly hint?: string;
  /** one fault a line when there are several */
  readonly details?: readonly string[];
  readonly cause?: unknown;
  readonly exitCode?: number;
}

/** Every failure a user can cause. */
export class RuntimeError extends Error {
  readonly hint: string | undefined;
  readonly details: readonly string[];
  readonly exitCode: number;

  /** By shape: each bundle that is loaded on demand has a class of its own, and errors go from one to the other. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return this === RuntimeError ? isRuntimeError(value) : Function.prototype[Symbol.hasInstance].call(this, value);
  }

  constructor(
    readonly code: ErrorCode,
    message: string,
    context: ErrorContext = {},
  ) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.name = 'RuntimeError';
    this.hint = context.hint;
    this.details = context.details ?? [];
    this.exitCode = context.exitCode ?? 254;
  }
}

/** True when `error` carries the catalogue code `code` (safe across bundles, unlike instanceof). */
export const isCode = (error: unknown, code: ErrorCode): boolean =>
  typeof error === 'object' && error !== null && 'code' in error && error.code === code;

/** True for a failure (ours or Node's) whose code is one of `codes`. */
export function isErrno(error: unknown, ...codes: string[]): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && codes.includes(String(error.code));
}

/** The cure, as part of an {@link ErrorContext}, when a file system refused for want of space or because it is read-only; else nothing. */
export function diskHint(error: unknown): Pick<ErrorContext, 'hint'> {
  if (isErrno(error, 'ENOSPC', 'EDQUOT'))
    return { hint: 'the disk is full (space, inodes or a quota): free some; rkt gc --grace-period=0 removes exited pods' };
  return isErrno(error, 'EROFS') ? { hint: 'the file system is read-only: remount it, or choose another directory by --dir' } : {};
}

/** As `instanceof RuntimeError`. */
export const isRuntimeError = (error: unknown): error is RuntimeError => error instanceof Error && 'code' in error && 'exitCode' in error;

/** The text of anything thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Makes foreign text (plugins, images, registries) safe for a terminal: control and bidi characters become `\xNN`/`\u{NN}`. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are exactly what is looked for
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, (char) => {
    const point = char.codePointAt(0) ?? 0;
    return point < 256 ? `\\x${point.toString(16).padStart(2, '0')}` : `\\u{${point.toString(16)}}`;
  });
}
