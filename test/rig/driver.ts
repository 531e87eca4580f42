/** Programs for tests, bundled from a driver beside them: they run as a process of their own on the machine's Node. */
import { join } from 'node:path';
import { buildSync } from 'esbuild';

/** Bundles `source` into `directory`. `dist`: the build it works with. @returns the program's path */
export function buildDriver(source: string, directory: string, dist: string): string {
  const outfile = join(directory, 'driver.cjs');
  buildSync({
    entryPoints: [source],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    logLevel: 'error',
    define: { __DIST__: JSON.stringify(dist), 'import.meta.url': 'undefined' },
  });
  return outfile;
}
