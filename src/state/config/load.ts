/** All configuration directories → one configuration. @see rkt.md 2.15 */
import type { Configuration, Stage1Conf } from '../../model/configuration.ts';
import { defaultLimits, type ImageLimits } from '../../model/image-limits.ts';
import { domainKey, registryKey, type Credential } from '../../model/credentials.ts';
import { defaultRegistries, type RegistryConf } from '../../model/registries.ts';
import type { Settings } from '../../model/settings.ts';
import { configDirectories, readDirectory, type ConfigFile } from './files.ts';
import { checkImageLimits } from './image-limits.ts';
import { checkAuth, checkDockerAuth, checkRegistries, checkStage1 } from './kinds.ts';
import { invalidConfiguration, readPaths } from './paths.ts';

/**
 * Reads everything; a key (domain, registry, path, …) of a later directory replaces an earlier one's.
 * @throws ERR_CONFIG_INVALID with every fault of every file
 */
export function loadConfiguration(settings: Pick<Settings, 'systemConfig' | 'localConfig' | 'userConfig'>): Configuration {
  const faults: string[] = [];
  const auth = new Map<string, Credential>();
  const dockerAuth = new Map<string, Credential & { readonly kind: 'basic' }>();
  let stage1: Stage1Conf = { name: undefined, version: undefined, location: undefined };
  const registries = new Map<string, RegistryConf>();
  let defaultRegistry = defaultRegistries.default;
  const limits: ImageLimits = { ...defaultLimits };
  for (const base of configDirectories(settings)) {
    const once = new Once(faults);
    for (const file of readDirectory(base, 'auth.d', faults)) {
      if (file.kind === 'auth') {
        const given = checkAuth(file, faults);
        for (const [i, key] of (given?.keys ?? []).entries())
          if (given !== undefined && once.says(file, ['domains', i], `domain ${key}`, `auth ${domainKey(key)}`))
            auth.set(domainKey(key), given.credential);
      } else {
        const given = checkDockerAuth(file, faults);
        for (const [i, key] of (given?.keys ?? []).entries())
          if (given !== undefined && once.says(file, ['registries', i], `registry ${key}`, `docker ${registryKey(key)}`))
            dockerAuth.set(registryKey(key), given.credential);
      }
    }
    let name: Pick<Stage1Conf, 'name' | 'version'> = stage1;
    let { location } = stage1;
    for (const file of readDirectory(base, 'stage1.d', faults)) {
      const given = checkStage1(file, faults);
      if (given?.name !== undefined && once.says(file, ['name'], 'name of stage1', 'stage1 name'))
        name = { name: given.name, version: given.version };
      if (given?.location !== undefined && once.says(file, ['location'], 'location of stage1', 'stage1 location')) ({ location } = given);
    }
    stage1 = { name: name.name, version: name.version, location };
    for (const file of readDirectory(base, 'registries.d', faults)) {
      const given = checkRegistries(file, faults);
      if (given?.default !== undefined && once.says(file, ['default'], 'default registry', 'default')) defaultRegistry = given.default;
      for (const [i, entry] of (given?.registries ?? []).entries())
        if (once.says(file, ['registries', i, 'name'], `registry ${entry.name}`, `registry ${registryKey(entry.name)}`))
          registries.set(registryKey(entry.name), entry);
    }
    for (const file of readDirectory(base, 'limits.d', faults)) {
      const given = checkImageLimits(file, faults);
      Object.assign(limits, Object.fromEntries(Object.entries(given).filter(([key]) => once.says(file, [key], 'limit', `limit ${key}`))));
    }
  }
  const paths = readPaths(settings, faults);
  if (faults.length > 0) throw invalidConfiguration(faults);
  return { auth, dockerAuth, paths, stage1, registries: { default: defaultRegistry, registries: [...registries.values()] }, limits };
}

/** Within one directory nothing may be said twice: which of them counts would be up to file names. */
class Once {
  readonly #said = new Map<string, string>();
  constructor(private readonly faults: string[]) {}

  says(file: ConfigFile, path: readonly (string | number)[], what: string, key: string): boolean {
    const earlier = this.#said.get(key);
    if (earlier === undefined) {
      this.#said.set(key, file.path);
      return true;
    }
    this.faults.push(file.faultText({ path, message: `${what} is said a second time, first in ${earlier}` }));
    return false;
  }
}
