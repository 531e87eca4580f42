/** `--volume`, `--mount` and `--mnt-volume` as the user writes them. Pure. @see rkt.md 2.8, 1.2; appc 0.8.11 pod schema "volumes" */
import { isAppName } from '../../model/ids.ts';
import type { PodMount, PodVolume } from '../../model/pod.ts';

type Kind = PodVolume['kind'];

/** Which options a volume of each kind has besides `readOnly`. */
const optionsOf: Readonly<Record<Kind, readonly string[]>> = {
  host: ['source', 'recursive'],
  empty: ['mode', 'uid', 'gid'],
  tmpfs: ['mode', 'uid', 'gid', 'size'],
  image: ['image'],
};
const kinds = Object.keys(optionsOf) as Kind[];
const isKind = (text: string): text is Kind => Object.hasOwn(optionsOf, text);
const optionNames = [...new Set(['readOnly', ...Object.values(optionsOf).flat()])];

type Fault = (text: string) => void;

/** `a=1,b=2` → pairs. What an option says twice is a fault. */
function optionsIn(parts: readonly string[], fault: Fault): Map<string, string> {
  const found = new Map<string, string>();
  for (const part of parts) {
    const equals = part.indexOf('=');
    const key = equals < 0 ? part : part.slice(0, equals);
    if (equals < 0) fault(`${JSON.stringify(part)} is not OPTION=VALUE`);
    else if (found.has(key)) fault(`says ${key} twice`);
    else found.set(key, part.slice(equals + 1));
  }
  return found;
}

const booleans: Readonly<Record<string, boolean>> = { true: true, false: false, '1': true, '0': false };

/** The volume that `options` describe; what makes no sense is told to `fault` and left out. */
function volumeOf(name: string, options: ReadonlyMap<string, string>, fault: Fault): PodVolume | undefined {
  const kind = options.get('kind') ?? '';
  if (!isAppName(name)) fault('the name of a volume has only lower-case letters, digits and single dashes between them');
  if (!isKind(kind)) {
    fault(kind === '' ? `kind is missing: one of ${kinds.join(', ')}` : `kind ${JSON.stringify(kind)} is not one of ${kinds.join(', ')}`);
    return undefined;
  }
  const volume: PodVolume = { name, kind };
  for (const [key, value] of options) {
    if (key === 'kind') continue;
    if (!optionNames.includes(key)) fault(`unknown option ${JSON.stringify(key)}`);
    else if (key !== 'readOnly' && !optionsOf[kind].includes(key)) fault(`${key} is not an option of volumes of kind ${kind}`);
    else setOption(volume, key, value, fault);
  }
  if (kind === 'host' && volume.source === undefined && !options.has('source')) fault('a volume of kind host needs source=/PATH');
  if (kind === 'image' && volume.image === undefined) fault('a volume of kind image needs image=IMAGE');
  if (kind === 'image' && volume.readOnly === false) fault('an image is always mounted read-only');
  return volume;
}

function setOption(volume: PodVolume, key: string, value: string, fault: Fault): void {
  switch (key) {
    case 'readOnly':
    case 'recursive': {
      const flag = booleans[value.toLowerCase()];
      if (flag === undefined) fault(`${key} is true or false, not ${JSON.stringify(value)}`);
      else volume[key] = flag;
      return;
    }
    case 'source':
      // An empty component list or a NUL would mean another file than the one that is looked at.
      if (!value.startsWith('/') || value.includes('\0')) fault(`source ${JSON.stringify(value)} is not an absolute path`);
      else volume.source = value;
      return;
    case 'mode':
      if (/^[0-7]{1,5}$/.test(value)) volume.mode = value;
      else fault(`mode is octal, like 0755, not ${JSON.stringify(value)}`);
      return;
    case 'uid':
    case 'gid':
      if (/^\d{1,10}$/.test(value) && Number(value) < 2 ** 32 - 1) volume[key] = Number(value);
      else fault(`${key} is a number, not ${JSON.stringify(value)}`);
      return;
    case 'size':
      if (/^[1-9]\d{0,15}[kmg]?$/i.test(value) || /^([1-9]\d?|100)%$/.test(value)) volume.size = value;
      else fault(`size is a number of bytes, like 64m, or a part of the memory, like 10%, not ${JSON.stringify(value)}`);
      return;
    default:
      if (value === '') fault(`${key} is empty`);
      else volume.image = value;
  }
}

/** Told to `faults` with the flag they are in. */
const told = (flag: string, text: string, faults: string[]): Fault => {
  return (fault) => void faults.push(`--${flag}=${text}: ${fault}`);
};

/** `NAME,kind=…[,…]`. Faults are added to `faults`; undefined: nothing could be made of it. */
export function parseVolume(text: string, faults: string[]): PodVolume | undefined {
  const fault = told('volume', text, faults);
  const [name = '', ...parts] = text.split(',');
  return volumeOf(name, optionsIn(parts, fault), fault);
}

/** `volume=NAME,target=PATH`. A target may be relative: it is taken from `/`. */
export function parseMount(text: string, faults: string[]): PodMount | undefined {
  const fault = told('mount', text, faults);
  const options = optionsIn(text.split(','), fault);
  for (const key of options.keys()) if (key !== 'volume' && key !== 'target') fault(`unknown option ${JSON.stringify(key)}`);
  return mountOf(options.get('volume') ?? '', options.get('target') ?? '', fault);
}

function mountOf(volume: string, path: string, fault: Fault): PodMount | undefined {
  if (volume === '') fault('volume=NAME is missing');
  else if (!isAppName(volume)) fault(`${JSON.stringify(volume)} is not the name of a volume`);
  if (path === '') fault('target=PATH is missing');
  else if (path.includes('\0')) fault('target has a NUL byte');
  return volume === '' || path === '' ? undefined : { volume, path };
}

/** `name=NAME,kind=…,target=PATH[,…]`: a volume of one app and where it goes, in one flag (`app add`). */
export function parseMountVolume(text: string, faults: string[]): PodMount | undefined {
  const fault = told('mnt-volume', text, faults);
  const options = optionsIn(text.split(','), fault);
  const name = options.get('name') ?? '';
  const path = options.get('target') ?? '';
  options.delete('name');
  options.delete('target');
  const appVolume = volumeOf(name, options, fault);
  if (path === '') fault('target=PATH is missing');
  return appVolume === undefined || path === '' ? undefined : { volume: name, path, appVolume };
}
