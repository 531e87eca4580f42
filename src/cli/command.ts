/**
 * What a command is: one file that declares its flags once. Types, parsing, help and completion all come
 * from the declaration.
 */

/** One flag. `list` may be repeated; `bare` is the value of the flag written without one (`--net` = `--net=default`). */
export interface Flag {
  readonly type: 'boolean' | 'string' | 'list';
  readonly help: string;
  /** one letter that stands for it: `-o FILE` */
  readonly short?: string;
  /** placeholder in help: `NAME`, `K=V` */
  readonly value?: string;
  readonly bare?: string;
  readonly choices?: readonly string[];
  /** shown in help; applied by the command */
  readonly default?: string;
}
export type Flags = Readonly<Record<string, Flag>>;
export type FlagValues<F extends Flags> = {
  readonly [K in keyof F]: F[K]['type'] extends 'boolean' ? boolean : F[K]['type'] extends 'list' ? readonly string[] : string | undefined;
};

/** Flags every command takes, anywhere before the apps' arguments. @see rkt.md 1.1 */
export const globalFlags = {
  debug: { type: 'boolean', help: 'print what is done, and stacks of errors' },
  dir: { type: 'string', value: 'DIR', default: '/var/lib/rkt', help: 'data directory' },
  'system-config': { type: 'string', value: 'DIR', default: '/usr/lib/rkt', help: 'vendor configuration directory' },
  'local-config': { type: 'string', value: 'DIR', default: '/etc/rkt', help: 'administrator configuration directory, net.d is below it' },
  'user-config': { type: 'string', value: 'DIR', help: 'configuration directory of your own, read last' },
  'insecure-options': {
    type: 'list',
    value: 'OPTIONS',
    default: 'none',
    help: 'leave out checks: image, tls, http, pubkey (all-fetch); capabilities, paths, seccomp (all-run); all; comma-separated',
  },
  'trust-keys-from-https': { type: 'boolean', help: 'trust keys that discovery finds over https without asking' },
  help: { type: 'boolean', help: 'show help' },
} as const satisfies Flags;

/** One image of the command line with the flags and arguments that follow it. @see rkt.md 1.3 */
export interface ImageArgument<A extends Flags> {
  readonly reference: string;
  readonly flags: FlagValues<A>;
  readonly args: readonly string[];
}

export interface Invocation<F extends Flags, A extends Flags> {
  readonly flags: FlagValues<F>;
  readonly global: FlagValues<typeof globalFlags>;
  /** arguments of a command without image grammar, those behind `--` included */
  readonly operands: readonly string[];
  readonly images: readonly ImageArgument<A>[];
}

export interface Command<F extends Flags, A extends Flags> {
  readonly name: string;
  /** one line, lower-case */
  readonly summary: string;
  /** after `rkt NAME`, e.g. `[flags] UUID…` */
  readonly usage: string;
  /** [command line, what it does] */
  readonly examples: readonly (readonly [string, string])[];
  readonly flags: F;
  /** present: the command takes images, each with these flags */
  readonly imageFlags?: A;
  readonly needsRoot?: boolean;
  /** how many operands it takes at most; absent: none. Commands with images count their own. */
  readonly maxOperands?: number;
  /** what follows the first operand is somebody else's command line */
  readonly flagsEndAtOperand?: boolean;
  /** @returns the exit status */
  run(invocation: Invocation<F, A>): Promise<number> | number;
}

/** Keeps the literal types of a declaration. */
export const defineCommand = <const F extends Flags, const A extends Flags = Flags>(command: Command<F, A>): Command<F, A> => command;

/** A command whose flags are not known to the type system: what the registry hands out. */
export type AnyCommand = Command<Flags, Flags>;
