/** The shape of a network configuration, as far as rkt reads it; what it does not read passes unchanged (C11). @see cni.md C1-C13, L10-L12 */
import { isObject } from '../../model/cni/known-key.ts';
import * as z from 'zod/mini';
import { isNetworkName, reservedNetworkNames } from '../../model/ids.ts';
import { networkOf, parseCidr } from '../../model/cidr.ts';
import type { PluginConf } from '../../model/cni/types.ts';

/** A fault inside a document: where, and what. */
export interface ShapeFault {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

// Code that zod would generate for each object is never run often enough to be worth its compilation.
z.config({ jitless: true });

const shown = (value: unknown): string => {
  const text = JSON.stringify(value) ?? 'undefined';
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
};
const must = (what: string) => (issue: { input?: unknown }) =>
  issue.input === undefined ? `is missing; must be ${what}` : `must be ${what}, not ${shown(issue.input)}`;

const text = z.string({ error: must('a string') });
const texts = z.array(text, { error: must('a list of strings') });
const bool = z.boolean({ error: must('true or false') });
/** libcni takes a boolean or its name in any case (L11). */
const flag = z.optional(
  z.union([z.boolean(), z.string().check(z.regex(/^(true|false)$/i, { error: must('true or false') }))], { error: must('true or false') }),
);
const pluginType = z.string({ error: must('the name of a plugin') }).check(
  z.refine((type) => type !== '' && type !== '.' && type !== '..' && !/[/\\\0]/.test(type), {
    error: must('the name of a plugin, without "/" or "\\"'),
  }),
);
const dns = z.looseObject(
  { nameservers: z.optional(texts), domain: z.optional(text), search: z.optional(texts), options: z.optional(texts) },
  { error: must('an object') },
);
const ipam = z.looseObject(
  {
    type: z.optional(
      z
        .string({ error: must('the name of an IPAM plugin') })
        .check(z.refine((type) => !/[/\\\0]/.test(type), { error: must('the name of an IPAM plugin, without "/" or "\\"') })),
    ),
  },
  { error: must('an object') },
);
const plugin = z.looseObject(
  {
    type: pluginType,
    ipam: z.optional(ipam),
    capabilities: z.optional(z.record(z.string(), bool, { error: must('an object of true or false') })),
    dns: z.optional(dns),
    ipMasq: z.optional(bool),
  },
  { error: must('an object') },
);
const head = {
  name: z
    .string({ error: must('the name of the network') })
    .check(z.refine(isNetworkName, { error: must('a name that begins with a letter or digit and holds only letters, digits, "_", "." and "-"') }))
    .check(
      z.refine((name) => !reservedNetworkNames.includes(name), {
        error: must(`another name: --net=${reservedNetworkNames.join(', --net=')} mean something else`),
      }),
    ),
  cniVersion: z.optional(text),
  cniVersions: z.optional(texts),
};
const list = z.looseObject(
  {
    ...head,
    disableCheck: flag,
    disableGC: flag,
    loadOnlyInlinedPlugins: flag,
    plugins: z.optional(z.array(plugin, { error: must('a list of plugins') }).check(z.minLength(1, 'must not be empty'))),
  },
  { error: must('an object') },
);
const single = z.extend(plugin, head);

/** A list as read; flags are still booleans or their names. */
export type ListShape = z.infer<typeof list>;

type Checked<T> = { readonly value: T; readonly faults?: undefined } | { readonly faults: readonly ShapeFault[] };

function check<T>(schema: z.ZodMiniType<T>, value: unknown): Checked<T> {
  const result = schema.safeParse(value);
  if (result.success) return { value: result.data };
  return { faults: result.error.issues.map((issue) => ({ path: issue.path.filter((step) => typeof step !== 'symbol'), message: issue.message })) };
}

/** Checks a `.conflist`; every fault is listed. */
export function checkList(value: unknown): Checked<ListShape> {
  if (isObject(value) && value['plugins'] === undefined && typeof value['type'] === 'string') {
    return { faults: [{ path: ['type'], message: 'a single plugin belongs into a .conf file, or into the list "plugins"' }] };
  }
  return check(list, value);
}
/** Checks a `.conf` or `.json`: one plugin and the name of its network (C15). */
export function checkSingle(value: unknown): Checked<z.infer<typeof single>> {
  if (isObject(value) && Array.isArray(value['plugins']) && value['type'] === undefined) {
    return { faults: [{ path: ['plugins'], message: 'a list of plugins belongs into a .conflist file' }] };
  }
  return check(single, value);
}
/** Checks a drop-in file: one plugin; a name is not needed (L13). */
export const checkPlugin = (value: unknown): Checked<z.infer<typeof plugin>> => check(plugin, value);

/** What the shape cannot say: subnets of host-local that do not parse would only be found by ADD, after other networks were joined (3.16). */
export function subnetFaults(conf: PluginConf): ShapeFault[] {
  if (conf.ipam?.type !== 'host-local') return [];
  const faults: ShapeFault[] = [];
  const range = (entry: unknown, path: (string | number)[]): void => {
    if (!isObject(entry)) return void faults.push({ path, message: must('an object')({ input: entry }) });
    const subnet = entry['subnet'];
    const at = [...path, 'subnet'];
    const cidr = typeof subnet === 'string' ? parseCidr(subnet) : undefined;
    if (cidr === undefined) faults.push({ path: at, message: must('a subnet such as 10.1.0.0/16')({ input: subnet }) });
    else if (networkOf(cidr).ip.value !== cidr.ip.value)
      faults.push({ path: at, message: `has host bits set; did you mean ${networkOf(cidr).ip.text}/${cidr.prefixLen}?` });
    else if (cidr.prefixLen > (cidr.ip.family === 4 ? 30 : 126)) faults.push({ path: at, message: `${shown(subnet)} is too small to allocate from` });
  };
  if (conf.ipam['subnet'] !== undefined) range(conf.ipam, ['ipam']);
  const sets = conf.ipam['ranges'];
  if (sets !== undefined && !Array.isArray(sets))
    faults.push({ path: ['ipam', 'ranges'], message: must('a list of lists of ranges')({ input: sets }) });
  for (const [i, set] of (Array.isArray(sets) ? (sets as unknown[]) : []).entries()) {
    if (!Array.isArray(set)) faults.push({ path: ['ipam', 'ranges', i], message: must('a list of ranges')({ input: set }) });
    else for (const [j, entry] of (set as unknown[]).entries()) range(entry, ['ipam', 'ranges', i, j]);
  }
  return faults;
}
