/** The flavors that are built in, which of them a new pod gets, and which a pod has. The one place that knows them all. */
import { existsSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { RuntimeError, isErrno } from '../model/errors.ts';
import type { RunOptions, Stage1Choice } from '../model/options.ts';
import type { Settings } from '../model/settings.ts';
import { defaultFlavor, flavorName } from '../stage1/choice.ts';
import type { Stage1 } from '../stage1/contract.ts';
import { fitOf } from '../stage1/fit.ts';
import { flyFlavor } from '../stage1/flavors/fly/flavor.ts';
import { ociFlavor } from '../stage1/flavors/oci/flavor.ts';
import { podFiles } from '../state/pod/layout.ts';

const flavors: readonly Stage1[] = [ociFlavor, flyFlavor];

function flavorNamed(name: string): Stage1 {
  const found = flavors.find((flavor) => flavor.name === name);
  if (found !== undefined) return found;
  throw new RuntimeError('ERR_STAGE1_UNKNOWN', `flavor ${JSON.stringify(name)} is not built in`, {
    hint: `this rkt has ${flavors.map((flavor) => flavor.name).join(', ')}`,
  });
}

/** What a new pod gets. The configuration is read only where it can say something of it. @throws ERR_STAGE1_UNKNOWN, ERR_CONFIG_INVALID */
export async function chosenFlavor(settings: Settings, choice: Stage1Choice | undefined): Promise<Stage1> {
  const directories = [settings.systemConfig, settings.localConfig, ...(settings.userConfig === undefined ? [] : [settings.userConfig])];
  const isConfigured = choice === undefined && directories.some((directory) => existsSync(join(directory, 'stage1.d')));
  const configured = isConfigured ? (await import('../state/config/load.ts')).loadConfiguration(settings).stage1 : undefined;
  return flavorNamed(flavorName(choice, configured, { exists: existsSync }));
}

/** What the pod in `podDir` was made for, by the record in it. @throws ERR_STAGE1_UNKNOWN for a record of another rkt */
export function flavorOf(podDir: string): Stage1 {
  let name: string = defaultFlavor;
  try {
    name = readlinkSync(podFiles(podDir).flavor);
  } catch (error) {
    // A run that was cut short made no record, and nothing that is more than a directory.
    if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'EINVAL')) throw error;
  }
  return flavorNamed(name);
}

/** The options as the flavor takes them. @throws ERR_STAGE1_LACKS */
export const fitOptions = <O extends Pick<RunOptions, 'net' | 'ports'>>(flavor: Stage1, options: O): O => ({
  ...options,
  net: fitOf(flavor).networks(options.net, options.ports),
});
