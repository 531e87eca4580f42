/** Which definitions count, and which of them were asked for. Pure. @see rkt.md 2.10 */
import { RuntimeError } from '../../model/errors.ts';
import { didYouMean } from '../../model/ids.ts';
import type { NetRequest } from '../args.ts';
import { byteOrder } from '../conf/order.ts';
import { faultText, type ConfOwner, type FaultyFile, type LoadedConf, type NetworkConf } from '../conf/types.ts';

const precedence: readonly ConfOwner[] = ['admin', 'system', 'builtin'];

/** What a name stands for: the definitions of the strongest directory that has one. */
interface Definition {
  readonly name: string;
  readonly valid: readonly NetworkConf[];
  readonly faulty: readonly FaultyFile[];
  /** definitions of weaker directories, which do not count */
  readonly overridden: readonly { readonly path: string; readonly owner: ConfOwner }[];
}

function definitions(conf: LoadedConf): Map<string, Definition> {
  const names = new Set([...conf.networks.map(({ name }) => name), ...conf.faulty.flatMap(({ name }) => name ?? [])]);
  return new Map(
    [...names].sort(byteOrder).map((name): [string, Definition] => {
      const valid = conf.networks.filter((network) => network.name === name);
      const faulty = conf.faulty.filter((file) => file.name === name);
      const files = [...valid.map(({ source }) => source), ...faulty];
      const owner = precedence.find((candidate) => files.some((file) => file.owner === candidate));
      return [
        name,
        {
          name,
          valid: valid.filter(({ source }) => source.owner === owner),
          faulty: faulty.filter((file) => file.owner === owner),
          overridden: files.filter((file) => file.owner !== owner),
        },
      ];
    }),
  );
}

const isDuplicate = (definition: Definition): boolean => definition.valid.length + definition.faulty.length > 1;
const pathsOf = (definition: Definition): string[] =>
  [...definition.valid.map(({ source }) => source.path), ...definition.faulty.map(({ path }) => path)].sort(byteOrder);
const directoryOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/';
const baseOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** Joining order: by file name whatever the directory (rkt 2.10); equal names: admin before system before built-in. */
const joinOrder = (a: NetworkConf, b: NetworkConf): number =>
  byteOrder(baseOf(a.source.path), baseOf(b.source.path)) ||
  precedence.indexOf(a.source.owner) - precedence.indexOf(b.source.owner) ||
  byteOrder(a.name, b.name);

const overriding = (definition: Definition): string[] =>
  definition.overridden.length === 0 ? [] : [`overriding "${definition.name}" network with one from ${directoryOf(pathsOf(definition)[0] ?? '')}`];
const duplicate = (definition: Definition): string =>
  `network "${definition.name}" is defined twice in one directory: ${pathsOf(definition).join(', ')}`;
const ignored = (file: FaultyFile): string[] => file.faults.map((fault) => `ignored ${faultText(fault)}`);

/** Every network that can be joined, in joining order, and a warning for each definition that cannot. */
export function joinableNetworks(conf: LoadedConf): { networks: NetworkConf[]; warnings: string[] } {
  const all = [...definitions(conf).values()];
  const usable = all.filter((definition) => definition.valid.length === 1 && definition.faulty.length === 0);
  const warnings = [...conf.notices, ...conf.faulty.flatMap(ignored), ...all.filter(isDuplicate).map(duplicate), ...all.flatMap(overriding)];
  return { networks: usable.flatMap(({ valid }) => valid).sort(joinOrder), warnings: [...new Set(warnings)].sort(byteOrder) };
}

/**
 * The networks of a contained request in joining order.
 *
 * A file that is not valid matters only if it could define a requested network: one whose name can be read
 * defines that network; one whose name cannot be read could define any network that no other file defines. `all` asks for
 * every network, so every file matters unless a stronger directory defines its name.
 * @throws RuntimeError ERR_NET_NOT_FOUND (every unknown name), ERR_NETCONF_INVALID (every fault), ERR_NETCONF_DUPLICATE
 */
export function selectNetworks(request: NetRequest, conf: LoadedConf): { networks: NetworkConf[]; warnings: string[] } {
  const known = definitions(conf);
  const nameless = conf.faulty.filter(({ name }) => name === undefined);
  const asked = request.networks.map(({ name }) => name);
  const unknown = [...new Set(asked)].filter((name) => !known.has(name));
  if (unknown.length > 0) refuseUnknown(unknown, [...known.keys()], nameless);

  const wanted = request.all
    ? [...known.values()]
    : [...new Set(asked)].map((name) => known.get(name)).filter((definition) => definition !== undefined);
  const duplicates = wanted.filter(isDuplicate);
  const invalid = [...wanted.filter((definition) => !isDuplicate(definition)).flatMap(({ faulty }) => faulty), ...(request.all ? nameless : [])];
  if (invalid.length > 0) {
    const faults = invalid.flatMap((file) => file.faults.map(faultText)).sort(byteOrder);
    const names = [...new Set(invalid.flatMap(({ name }) => (name === undefined ? [] : [`"${name}"`])))].sort(byteOrder);
    const subject = names.length === 0 ? 'a file that could define a network' : `the configuration of network ${names.join(', ')}`;
    throw new RuntimeError('ERR_NETCONF_INVALID', `${subject} is not valid: ${faults.length === 1 ? (faults[0] ?? '') : `${faults.length} faults`}`, {
      details: [...(faults.length === 1 ? [] : faults), ...duplicates.map(duplicate)],
      hint: 'correct the file, or move it out of the directory',
    });
  }
  if (duplicates.length > 0) {
    throw new RuntimeError(
      'ERR_NETCONF_DUPLICATE',
      duplicates.length === 1 ? duplicates.map(duplicate).join('') : `${duplicates.length} networks are defined twice in one directory`,
      {
        details: duplicates.length === 1 ? [] : duplicates.map(duplicate),
        hint: 'keep one of the files, or give the other network another name',
      },
    );
  }
  const unused = conf.faulty.filter((file) => !wanted.some(({ faulty }) => faulty.includes(file)));
  const others = [...known.values()].filter((definition) => isDuplicate(definition) && !wanted.includes(definition));
  return {
    networks: wanted.flatMap(({ valid }) => valid).sort(joinOrder),
    warnings: [...conf.notices, ...unused.flatMap(ignored), ...others.map(duplicate), ...wanted.flatMap(overriding)],
  };
}

function refuseUnknown(unknown: readonly string[], known: readonly string[], nameless: readonly FaultyFile[]): never {
  const names = unknown.join(', ');
  const near = unknown.map((name) => {
    const meant = didYouMean(name, [...known, 'default', 'host', 'none', 'all']);
    return `no network "${name}"${meant === undefined ? '' : `; did you mean "${meant}"?`}`;
  });
  if (nameless.length > 0) {
    throw new RuntimeError(
      'ERR_NETCONF_INVALID',
      `networks not found: ${names}; ${nameless.length === 1 ? 'a file that could define them is' : 'files that could define them are'} not valid`,
      {
        details: [...nameless.flatMap((file) => file.faults.map(faultText)).sort(byteOrder), ...near],
        hint: 'correct the file, or move it out of the directory',
      },
    );
  }
  throw new RuntimeError('ERR_NET_NOT_FOUND', `networks not found: ${names}`, {
    details: near,
    hint: known.length === 0 ? 'no network is configured at all; is the installation complete?' : `there are: ${known.join(', ')}`,
  });
}
