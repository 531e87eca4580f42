/** What an experiment is read from. */

/** What a folder offers; the reading of files is somebody else's. Paths are as the user would write them below the folder. */
export interface Folder {
  /** what the experiment is called unless it says so itself */
  readonly name: string;
  readonly experiment?: { readonly file: string; readonly text: string };
  /** every manifest below, sorted, without experiment.yaml */
  readonly files: readonly string[];
  /** files that a pattern of experiment.yaml means, sorted; a path without wildcard is itself, a folder all below it */
  readonly expand: (pattern: string) => readonly string[];
  /** @returns the text, or why there is none */
  readonly read: (file: string) => { readonly text: string } | { readonly fault: string };
}
