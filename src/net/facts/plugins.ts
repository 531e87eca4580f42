/** Which plugin executables exist. @see rkt.md 2.10, cni.md L17, R36 */
import { statSync } from 'node:fs';
import { join } from 'node:path';

/** Directories every installation has (rkt's own, upstream's, Debian's), in search order. */
const standardDirectories = ['/usr/lib/rkt/plugins/net', '/opt/cni/bin', '/usr/lib/cni'];

/** CNI_PATH: the admin's net.d first (an executable there replaces even a built-in plugin), then configured directories. */
export const pluginSearchPath = (localConfig: string, configured: readonly string[] = []): string[] => [
  ...new Set([join(localConfig, 'net.d'), ...configured, ...standardDirectories]),
];

/** The path of each type's executable: the first regular file of that name, links followed, executability not asked (L17). Types without one are absent. */
export function findExecutables(types: readonly string[], searchPath: readonly string[]): Record<string, string> {
  const found: [string, string][] = [];
  const directories = searchPath.map((directory) => join(directory, '/'));
  for (const type of new Set(types)) {
    const directory = directories.find((candidate) => isFile(`${candidate}${type}`));
    if (directory !== undefined) found.push([type, `${directory}${type}`]);
  }
  return Object.fromEntries(found);
}

function isFile(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
  } catch {
    return false; // not a directory, not permitted, a loop of links: not a plugin we could run
  }
}
