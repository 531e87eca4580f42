/** Policies and namespaces of folders and files of manifests; whatever else is in there is passed over. */
import { dirname, resolve } from 'node:path';
import { statSync } from 'node:fs';
import { openFolder } from '../lab/folder.ts';
import { RuntimeError } from '../model/errors.ts';
import { readExperiment } from '../policy/manifests/experiment.ts';
import type { PolicySet } from '../policy/model/json.ts';

/** @throws ERR_LAB_INPUT with every fault, and when there is no policy at all: a wrong path must not pass for no rules */
export function readPolicies(path: string): PolicySet {
  const folder = openFolder(path);
  const root = path === '-' ? '' : statSync(path).isDirectory() ? path : dirname(path);
  const absolute = (file: string): string => (root === '' ? file : resolve(root, file));
  // An experiment's pods and steps are not for the host: its manifests are.
  const { world } = readExperiment({ name: folder.name, files: folder.files.map(absolute), expand: () => [], read: (file) => folder.read(file) });
  if (world.policies.length === 0)
    throw new RuntimeError('ERR_LAB_INPUT', `there is no network policy in ${path}`, {
      hint: 'give a folder or file of Kubernetes manifests (*.yaml, *.yml, *.json), or - for standard input',
      exitCode: 2,
    });
  return { policies: world.policies, namespaces: world.namespaces.filter(({ source }) => source !== undefined) };
}
