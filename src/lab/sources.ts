/** What an experiment was read from, kept: reports show its lines, and a record is read again. Pure. */
import type { Folder } from '../policy/manifests/folder.ts';

export interface SourceFile {
  readonly file: string;
  readonly text: string;
}
/** All that was asked of a {@link Folder}, as a value. Lists, for a file may have any name. */
export interface Sources {
  readonly name: string;
  readonly experiment?: SourceFile;
  readonly files: readonly string[];
  readonly patterns: readonly { readonly pattern: string; readonly files: readonly string[] }[];
  readonly texts: readonly SourceFile[];
}

/** The folder, and what was read from it until `sources` is called. */
export function keepSources(folder: Folder): { readonly folder: Folder; readonly sources: () => Sources } {
  const texts = new Map<string, string>();
  const patterns = new Map<string, readonly string[]>();
  return {
    folder: {
      ...folder,
      expand: (pattern) => {
        const files = folder.expand(pattern);
        patterns.set(pattern, files);
        return files;
      },
      read: (file) => {
        const found = folder.read(file);
        if ('text' in found) texts.set(file, found.text);
        return found;
      },
    },
    sources: () => ({
      name: folder.name,
      ...(folder.experiment === undefined ? {} : { experiment: folder.experiment }),
      files: folder.files,
      patterns: [...patterns].map(([pattern, files]) => ({ pattern, files })),
      texts: [...texts].map(([file, text]) => ({ file, text })),
    }),
  };
}
