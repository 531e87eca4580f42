/**
 * Which flavor runs a pod: what a user, or the configuration, says of a stage1 image → the name of a flavor that is built in. Pure.
 * @see rkt.md 1.2 (STAGE1 group), 2.14, 2.15 (kind stage1)
 */
import type { Stage1Conf } from '../model/configuration.ts';
import { RuntimeError } from '../model/errors.ts';
import type { Stage1Choice } from '../model/options.ts';

/** rkt's stage1 images and what stands for them here. */
const builtIn: Readonly<Record<string, string>> = {
  // rkt differs: apps of its default stage1 are units of a systemd in the pod; ours are containers of the OCI runtime, seen the same from outside.
  coreos: 'oci',
  oci: 'oci',
  fly: 'fly',
};
/** When nothing is said. */
export const defaultFlavor = 'oci';

const knownNames = Object.keys(builtIn).map((name) => `coreos.com/rkt/stage1-${name}`);

/** What the file system says of a choice. */
export interface ChoiceFacts {
  /** whether there is a file at that path */
  exists(path: string): boolean;
}

/**
 * rkt differs: versions are not compared, since a flavor that is built in has rkt's own.
 * @throws ERR_STAGE1_UNKNOWN for a stage1 that is not built in
 */
export function flavorName(choice: Stage1Choice | undefined, configured: Stage1Conf | undefined, facts: ChoiceFacts): string {
  if (choice !== undefined) return ofChoice(choice, facts);
  if (configured?.name !== undefined) return byName(configured.name) ?? refuse(`stage1 "${configured.name}", which the configuration names,`);
  if (configured?.location !== undefined) {
    const { location } = configured;
    return ofChoice({ kind: /^(https?|docker):/.test(location) ? 'url' : 'path', value: location.replace(/^file:\/\//, '') }, facts);
  }
  return defaultFlavor;
}

function ofChoice({ kind, value }: Stage1Choice, facts: ChoiceFacts): string {
  switch (kind) {
    case 'name':
      return byName(value) ?? refuse(`stage1 "${value}"`);
    case 'path':
      // A file that is there is somebody's image, whatever its name; else rkt looks beside itself, where ours are.
      if (facts.exists(value)) return refuse(`the stage1 image ${value}`);
      return byFile(value) ?? refuse(`there is no file ${value}, and a stage1 of this name`);
    case 'from-dir':
      // rkt differs: the directory of stage1 images is not looked at; what rkt ships is built in.
      if (value.includes('/')) return refuse(`"${value}" is a path, not the name of a file of the stage1 directory; it`);
      return byFile(value) ?? refuse(`stage1 "${value}"`);
    case 'url': {
      // rkt's own releases are known by where they are; nothing is fetched.
      const released = /^https:\/\/github\.com\/(?:rkt|coreos)\/rkt\/releases\/download\/[^/]+\/([^/?#]+)$/.exec(value)?.[1];
      return (released === undefined ? undefined : byFile(released)) ?? refuse(`the stage1 image at ${value}`);
    }
    case 'hash':
      return refuse(`the stage1 image ${value}`);
  }
}

/** `coreos.com/rkt/stage1-fly[:VERSION][,label=value]`, also under rkt.io or bare. */
const byName = (name: string): string | undefined =>
  ofWord(/^(?:coreos\.com\/rkt\/|rkt\.io\/(?:rkt\/)?)?stage1-([a-z]+)(?:[:,].*)?$/.exec(name)?.[1]);

/** `stage1-fly.aci`, `stage1-fly-1.30.0-linux-amd64.aci` */
const byFile = (path: string): string | undefined => ofWord(/(?:^|\/)stage1-([a-z]+)(?:-[\w.-]+)?\.aci$/.exec(path)?.[1]);

const ofWord = (word: string | undefined): string | undefined => (word !== undefined && Object.hasOwn(builtIn, word) ? builtIn[word] : undefined);

function refuse(what: string): never {
  throw new RuntimeError('ERR_STAGE1_UNKNOWN', `${what} is not built in`, { hint: `--stage1-name takes ${knownNames.join(', ')}` });
}
