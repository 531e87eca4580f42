/** A way to break the runtime or a plugin. */
export interface Mutant {
  readonly file: string;
  /** occurs once in the file */
  readonly find: string;
  readonly replace: string;
  /** each of these must have a failing test */
  readonly numbers: readonly string[];
  /** plugins to be built and held to the numbers; absent: the runtime's own tests notice */
  readonly types?: readonly string[];
}
