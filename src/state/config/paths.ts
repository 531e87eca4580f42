/** The `paths` kind: read by every command that is not told `--dir`, so without a schema library. @see rkt.md 2.15 */
import { isAbsolute } from 'node:path';
import { RuntimeError } from '../../model/errors.ts';
import type { PathsConf } from '../../model/configuration.ts';
import type { Settings } from '../../model/settings.ts';
import { configDirectories, readDirectory, shown } from './files.ts';

type Directories = Pick<Settings, 'systemConfig' | 'localConfig' | 'userConfig'>;

/** The failure of a configuration, every fault listed. */
export const invalidConfiguration = (faults: readonly string[]): RuntimeError =>
  new RuntimeError('ERR_CONFIG_INVALID', faults.length === 1 ? (faults[0] ?? '') : `the configuration has ${faults.length} faults`, {
    details: faults.length === 1 ? [] : faults,
    hint: 'rkt config shows what is read, once it is right',
  });

/** Reads all `paths.d`; what a later directory says wins, key by key. */
export function readPaths(settings: Directories, faults: string[]): PathsConf {
  let merged: PathsConf = { data: undefined, stage1Images: undefined };
  for (const base of configDirectories(settings)) {
    const said = new Map<string, { readonly value: string; readonly path: string }>();
    for (const { path, value, faultText } of readDirectory(base, 'paths.d', faults)) {
      for (const key of ['data', 'stage1-images'] as const) {
        const given = value[key];
        // rkt takes the empty string for "not said".
        if (given === undefined || given === '') continue;
        const earlier = said.get(key);
        if (typeof given !== 'string' || !isAbsolute(given))
          faults.push(faultText({ path: [key], message: `must be an absolute path, not ${shown(given)}` }));
        else if (earlier !== undefined)
          faults.push(faultText({ path: [key], message: `is said a second time: ${earlier.path} says ${shown(earlier.value)}` }));
        else said.set(key, { value: given, path });
      }
    }
    merged = { data: said.get('data')?.value ?? merged.data, stage1Images: said.get('stage1-images')?.value ?? merged.stage1Images };
  }
  return merged;
}

/** The data directory the configuration names; undefined: none. @throws ERR_CONFIG_INVALID with every fault of `paths.d` */
export function configuredDataDir(settings: Directories): string | undefined {
  const faults: string[] = [];
  const { data } = readPaths(settings, faults);
  if (faults.length > 0) throw invalidConfiguration(faults);
  return data;
}
