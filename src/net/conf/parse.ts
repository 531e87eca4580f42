/** Text of a network configuration file → a network, or every fault of the file. Pure. */
import { cniVersions, type CniVersion, type PluginConf } from '../../model/cni/types.ts';
import { JsonSyntaxError, maxDepth, lineColumn, pathText, readSpans, spanAt } from '../../model/json-text.ts';
import { checkList, checkPlugin, checkSingle, subnetFaults, type ListShape, type ShapeFault } from './schema.ts';
import { isObject } from '../../model/cni/known-key.ts';
import type { ConfFault, ConfOwner, NetworkConf } from './types.ts';

/** A file, read. */
export interface ConfText {
  readonly path: string;
  readonly text: string;
}
export type Parsed<T> = { readonly ok: T; readonly notices: readonly string[] } | { readonly faults: readonly ConfFault[]; readonly name?: string };

/** Reads JSON; a syntax error becomes the one fault of the file, and the name is kept if it was read before the error. */
function decode(file: ConfText): { readonly value: unknown } | { readonly faults: readonly ConfFault[]; readonly name?: string } {
  try {
    const value = JSON.parse(file.text) as unknown;
    // JSON.parse nests without limit, what reads places does not: what could be too deep is looked at now.
    if (file.text.split(/[[{]/).length <= maxDepth) return { value };
    readSpans(file.text);
    return { value };
  } catch {
    let name: string | undefined;
    try {
      if (file.text.startsWith('\ufeff')) throw new JsonSyntaxError(0, 'begins with a byte order mark; save it as UTF-8 without one');
      readSpans(file.text, (key, value) => {
        if (key === 'name') name = value;
      });
    } catch (error) {
      if (!(error instanceof JsonSyntaxError)) throw error;
      const fault = {
        path: file.path,
        ...lineColumn(file.text, error.offset),
        jsonPath: '',
        message: `not JSON: ${file.text.trim() === '' ? 'the file is empty' : error.message}`,
      };
      return { faults: [fault], ...(name === undefined ? {} : { name }) };
    }
    // Both readers follow RFC 8259; should they ever disagree, the engine's refusal counts.
    return { faults: [{ path: file.path, jsonPath: '', message: 'not JSON' }] };
  }
}

const nameIn = (value: unknown): { name?: string } =>
  isObject(value) && typeof value['name'] === 'string' && value['name'] !== '' ? { name: value['name'] } : {};

function place(file: ConfText, faults: readonly ShapeFault[]): ConfFault[] {
  const root = readSpans(file.text);
  return faults.map((fault) => ({
    path: file.path,
    ...lineColumn(file.text, spanAt(root, fault.path).start),
    jsonPath: pathText(fault.path),
    message: fault.message,
  }));
}

/** Versions rkt speaks among those the list names (L10, V1, V5: none named, or an empty one, means 0.1.0). */
function versionsOf(conf: { cniVersion?: string | undefined; cniVersions?: string[] | undefined }): { versions: CniVersion[]; faults: ShapeFault[] } {
  const own = conf.cniVersion === '' ? undefined : conf.cniVersion;
  const named = [own ?? (conf.cniVersions === undefined || conf.cniVersions.length === 0 ? '0.1.0' : undefined), ...(conf.cniVersions ?? [])];
  const faults: ShapeFault[] = [];
  for (const [i, version] of named.entries()) {
    // V13: 1-3 numbers
    if (version === undefined || /^\d+(\.\d+){0,2}$/.test(version)) continue;
    faults.push({
      path: i === 0 ? ['cniVersion'] : ['cniVersions', i - 1],
      message: `must be a version such as 1.0.0, not ${JSON.stringify(version)}`,
    });
  }
  const versions = cniVersions.filter((version) => named.includes(version));
  if (faults.length === 0 && versions.length === 0) {
    const texts = named.filter((version) => version !== undefined).map((version) => JSON.stringify(version));
    faults.push({
      path: [conf.cniVersion === undefined ? 'cniVersions' : 'cniVersion'],
      message: `rkt does not speak CNI ${texts.join(', ')}; it speaks ${cniVersions.join(', ')}`,
    });
  }
  return { versions, faults };
}

const isSet = (flag: boolean | string | undefined): boolean => String(flag).toLowerCase() === 'true';

/** An empty `ipam` object or type means "no addresses" (3.1, 3.3). */
function pluginConf(value: { type: string; ipam?: { type?: string | undefined } | undefined }): PluginConf {
  const { ipam, ...rest } = value;
  return { ...rest, ...(ipam?.type === undefined || ipam.type === '' ? {} : { ipam }) } as PluginConf;
}

/** C12: keys that only the runtime may write. They are dropped from requests, so say so. */
const reserved = (path: string, where: string, conf: Readonly<Record<string, unknown>>): string[] =>
  Object.keys(conf)
    .filter((key) => key === 'runtimeConfig' || key.startsWith('cni.dev/'))
    .map((key) => `${path}: ${where}${key} is reserved for the runtime and has no effect`);

/** A `.conf` or `.json`: one plugin, wrapped into a list of one (C15, L14). */
export function parseSingle(file: ConfText, owner: ConfOwner): Parsed<NetworkConf> {
  const decoded = decode(file);
  if ('faults' in decoded) return decoded;
  const checked = checkSingle(decoded.value);
  if (checked.faults !== undefined) return { faults: place(file, checked.faults), ...nameIn(decoded.value) };
  const conf = checked.value;
  const plugin = pluginConf(conf);
  const { versions, faults } = versionsOf(conf);
  const all = [...faults, ...subnetFaults(plugin)];
  if (all.length > 0) return { faults: place(file, all), name: conf.name };
  const versionKeys = `"cniVersion":${JSON.stringify(conf.cniVersion || versions.at(-1))},${conf.cniVersions === undefined ? '' : `"cniVersions":${JSON.stringify(conf.cniVersions)},`}`;
  const text = `{${versionKeys}"name":${JSON.stringify(conf.name)},"plugins":[${file.text.trim()}]}`;
  const network = {
    name: conf.name,
    source: { path: file.path, owner },
    text,
    rawConf: file.text,
    versions,
    disableCheck: false,
    disableGC: false,
    plugins: [plugin],
  };
  return { ok: network, notices: reserved(file.path, '', conf) };
}

/**
 * A `.conflist`. `dropIns` is asked for the files of the network's drop-in directory, unless the list refuses
 * them (L13; C8: a list with loadOnlyInlinedPlugins takes none even though it could).
 */
export function parseList(file: ConfText, owner: ConfOwner, dropIns: (network: string) => readonly ConfText[]): Parsed<NetworkConf> {
  const decoded = decode(file);
  if ('faults' in decoded) return decoded;
  const checked = checkList(decoded.value);
  if (checked.faults !== undefined) return { faults: place(file, checked.faults), ...nameIn(decoded.value) };
  const list = checked.value;
  const inlined = (list.plugins ?? []).map(pluginConf);
  const { versions, faults } = versionsOf(list);
  const own = [
    ...faults,
    ...inlined.flatMap((plugin, i) => subnetFaults(plugin).map((fault) => ({ ...fault, path: ['plugins', i, ...fault.path] }))),
  ];
  if (isSet(list.loadOnlyInlinedPlugins) && list.plugins === undefined)
    own.push({ path: ['loadOnlyInlinedPlugins'], message: 'is true, but there is no list "plugins"' });

  const files = isSet(list.loadOnlyInlinedPlugins) ? [] : dropIns(list.name);
  const added = files.map((dropIn) => ({ dropIn, parsed: parseDropIn(dropIn) }));
  const all = [...(own.length > 0 ? place(file, own) : []), ...added.flatMap(({ parsed }) => ('faults' in parsed ? parsed.faults : []))];
  const plugins = [...inlined, ...added.flatMap(({ parsed }) => ('ok' in parsed ? [parsed.ok] : []))];
  if (all.length === 0 && plugins.length === 0) all.push(...place(file, [{ path: [], message: 'has no plugins' }]));
  if (all.length > 0) return { faults: all, name: list.name };

  const network = {
    name: list.name,
    source: { path: file.path, owner, ...(files.length === 0 ? {} : { dropIns: files.map(({ path }) => path) }) },
    text: withDropIns(file.text, list, files),
    versions,
    disableCheck: isSet(list.disableCheck),
    disableGC: isSet(list.disableGC),
    plugins,
  };
  const notices = [
    ...reserved(file.path, '', list),
    ...plugins.flatMap((plugin, i) => reserved(files[i - inlined.length]?.path ?? file.path, i < inlined.length ? `plugins[${i}].` : '', plugin)),
  ];
  return { ok: network, notices };
}

function parseDropIn(file: ConfText): { readonly ok: PluginConf } | { readonly faults: readonly ConfFault[] } {
  const decoded = decode(file);
  if ('faults' in decoded) return decoded;
  const checked = checkPlugin(decoded.value);
  if (checked.faults !== undefined) return { faults: place(file, checked.faults) };
  const plugin = pluginConf(checked.value);
  const faults = subnetFaults(plugin);
  return faults.length > 0 ? { faults: place(file, faults) } : { ok: plugin };
}

/** Inserts drop-ins as they are written, so that not one byte of anybody's configuration changes (C11). */
function withDropIns(text: string, list: ListShape, files: readonly ConfText[]): string {
  if (files.length === 0) return text;
  const added = files.map((file) => file.text.trim()).join(',');
  const root = readSpans(text);
  if (list.plugins === undefined) return `${text.slice(0, root.end - 1)},"plugins":[${added}]${text.slice(root.end - 1)}`;
  const end = spanAt(root, ['plugins']).end - 1;
  return `${text.slice(0, end)},${added}${text.slice(end)}`;
}
