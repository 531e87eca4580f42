/** What `--net` asks for. Pure. @see rkt.md 2.10 */
import { parseCidr, parseIp } from '../model/cidr.ts';
import { RuntimeError } from '../model/errors.ts';
import { isNetworkName, reservedNetworkNames } from '../model/ids.ts';
import type { CapabilityArgs } from '../model/cni/types.ts';
import type { NetMode } from '../model/plan.ts';
import { capabilityFault } from './capabilities.ts';

/** A network asked for by name. */
export interface RequestedNetwork {
  readonly name: string;
  /** CNI_ARGS pairs in the order written */
  readonly args: readonly (readonly [string, string])[];
  /** `ip=` and `mac=`: capability arguments `ips` and `mac` (A5, A6); `cap.KEY=JSON`: any other */
  readonly capabilityArgs: CapabilityArgs;
}
export interface NetRequest {
  readonly mode: NetMode;
  /** every network there is; `networks` then only carries arguments */
  readonly all: boolean;
  /** in the order written; empty unless contained */
  readonly networks: readonly RequestedNetwork[];
  /** mode `ns`: path of the namespace */
  readonly netns?: string;
  readonly warnings: readonly string[];
}

/** What is open while an occurrence is read from left to right. */
interface Draft {
  name: string;
  args: [string, string][];
  ips: string[];
  mac: string | undefined;
  capabilities: Map<string, unknown>;
  hasArgs: boolean;
  /** `ns:PATH` */
  netns: string | undefined;
}

/**
 * Reads the occurrences of `--net` in order; none, or a bare one (''), means `default`.
 *
 * `NAME[:ARGS]` with a comma between networks. The first colon ends the name, so values may hold colons (IPv6, MAC).
 * ARGS are `key=value` pairs separated by `;` or `,`. Behind a comma, `key=value` without a colon in
 * its key belongs to the network before it, and so does an address after `ip=`/`IP=` (a list); all else begins a
 * new network. Inside of brackets (JSON) neither `,` nor `;` separates anything. The keys `ip`, `mac` and `cap.KEY` become
 * capability arguments, every other key a CNI_ARGS pair. `ns:/PATH` is a namespace that somebody else made.
 *
 * `host` wins over names and so does `none` (rkt 2.10); both at once contradict each other, and `ns:` everything.
 * @throws RuntimeError ERR_NET_ARGS naming every fault
 */
export function parseNetArgs(occurrences: readonly string[]): NetRequest {
  const faults: string[] = [];
  const drafts: Draft[] = [];
  for (const occurrence of occurrences.length === 0 ? ['default'] : occurrences) {
    drafts.push(...readOccurrence(occurrence === '' ? 'default' : occurrence, faults));
  }
  const seen = new Set<string>();
  for (const { name, hasArgs, netns } of drafts) {
    if (netns !== undefined) continue;
    if (name !== '' && seen.has(name)) faults.push(`network ${quoted(name)} is given twice`);
    seen.add(name);
    if (hasArgs && reservedNetworkNames.includes(name)) faults.push(`${quoted(name)} takes no arguments`);
  }
  if (seen.has('host') && seen.has('none')) faults.push('"host" and "none" contradict each other');
  const joined = drafts.find(({ netns }) => netns !== undefined);
  if (joined !== undefined && drafts.length > 1) faults.push('"ns:" stands alone: the namespace has the networks its maker gave it');
  if (faults.length > 0) {
    throw new RuntimeError('ERR_NET_ARGS', `cannot understand --net: ${faults.length === 1 ? (faults[0] ?? '') : `${faults.length} faults`}`, {
      details: faults.length === 1 ? [] : faults,
      hint: 'forms: --net=default, --net=none, --net=host, --net=all, --net=ns:/run/netns/x, --net=a,b, --net=a:IP=10.1.2.3;K=V, --net=a:ip=fd00::5,mac=02:00:00:00:00:01, --net=a:cap.KEY=JSON',
    });
  }
  if (joined?.netns !== undefined) return { mode: 'ns', all: false, networks: [], netns: joined.netns, warnings: [] };
  for (const mode of ['host', 'none'] as const) {
    if (!seen.has(mode)) continue;
    const others = drafts.filter(({ name }) => name !== mode).map(({ name }) => name);
    const warnings = others.length === 0 ? [] : [`--net=${mode} wins: not joining ${others.join(', ')}`];
    return { mode, all: false, networks: [], warnings };
  }
  const networks = drafts
    .filter(({ name }) => name !== 'all')
    .map(({ name, args, ips, mac, capabilities }) => ({
      name,
      args,
      capabilityArgs: { ...Object.fromEntries(capabilities), ...(ips.length === 0 ? {} : { ips }), ...(mac === undefined ? {} : { mac }) },
    }));
  return { mode: 'contained', all: seen.has('all'), networks, warnings: [] };
}

const quoted = (text: string): string => JSON.stringify(text);
const isAddress = (text: string): boolean => parseIp(text) !== undefined || parseCidr(text) !== undefined;

/** Splits at `separator`, but not inside of brackets, nor of a text in JSON. Undefined when something stays open. */
function splitOutside(text: string, separator: string): string[] | undefined {
  const parts: string[] = [];
  const open: string[] = [];
  let start = 0;
  let inText = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i] ?? '';
    if (inText) {
      if (char === '\\') i++;
      else if (char === '"') inText = false;
    } else if (char === '"') inText = open.length > 0 || /(?:^|[:;,])cap\.[^=:;,]*=$/.test(text.slice(0, i));
    else if (char === '[' || char === '{') open.push(char === '[' ? ']' : '}');
    else if (char === ']' || char === '}') {
      if (open.pop() !== char) return undefined;
    } else if (char === separator && open.length === 0) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  return inText || open.length > 0 ? undefined : [...parts, text.slice(start)];
}

function readOccurrence(occurrence: string, faults: string[]): Draft[] {
  const drafts: Draft[] = [];
  let lastKey = '';
  const segments = splitOutside(occurrence, ',');
  if (segments === undefined) faults.push(`brackets or quotes of ${quoted(occurrence)} do not match`);
  for (const segment of segments ?? []) {
    const open = drafts.at(-1);
    const key = segment.slice(0, Math.max(0, segment.indexOf('=')));
    if (open !== undefined && lastKey.toLowerCase() === 'ip' && isAddress(segment)) {
      addAnother(open, lastKey, segment);
    } else if (open !== undefined && segment.includes('=') && !key.includes(':')) {
      open.hasArgs = true;
      lastKey = readPairs(open, segment, faults);
    } else {
      const colon = segment.indexOf(':');
      const name = colon < 0 ? segment : segment.slice(0, colon);
      const rest = segment.slice(colon + 1);
      const draft: Draft = { name, args: [], ips: [], mac: undefined, capabilities: new Map(), hasArgs: colon >= 0, netns: undefined };
      drafts.push(draft);
      lastKey = '';
      if (name === 'ns' && colon >= 0 && (rest === '' || rest.includes('/') || !rest.includes('='))) {
        draft.netns = rest;
        // oxlint-disable-next-line no-control-regex -- the path is printed and stored
        if (!rest.startsWith('/') || /[\u0000-\u001f\u007f]/.test(rest))
          faults.push(`"ns:" needs the absolute path of a network namespace, not ${quoted(rest)}`);
        continue;
      }
      if (name === '') faults.push(`empty network name in ${quoted(occurrence)}`);
      else if (!isNetworkName(name)) faults.push(`${quoted(name)} is not a network name`);
      if (colon >= 0) lastKey = readPairs(draft, rest, faults);
    }
  }
  return drafts;
}

/** `IP=a,b` is one CNI_ARGS value (static, 3.17), `ip=a,b` two list elements. */
function addAnother(draft: Draft, key: string, address: string): void {
  const last = draft.args.at(-1);
  if (key === 'ip') draft.ips.push(address);
  else if (last !== undefined) last[1] = `${last[1]},${address}`;
}

/** Reads `K=V;K2=V2`; returns the last key. */
function readPairs(draft: Draft, text: string, faults: string[]): string {
  const of = `of network ${quoted(draft.name)}`;
  let lastKey = '';
  for (const pair of splitOutside(text, ';') ?? []) {
    const equals = pair.indexOf('=');
    if (equals < 0) {
      faults.push(pair === '' ? `empty argument ${of}` : `argument ${quoted(pair)} ${of} is not key=value`);
      continue;
    }
    const key = pair.slice(0, equals);
    const value = pair.slice(equals + 1);
    lastKey = key;
    if (key === 'ip') {
      if (isAddress(value)) draft.ips.push(value);
      else faults.push(`ip ${quoted(value)} ${of} is not an address`);
    } else if (key === 'mac') {
      if (draft.mac !== undefined) faults.push(`mac ${of} is given twice`);
      else if (!isUnicastMac(value)) faults.push(`mac ${quoted(value)} ${of} is not the MAC address of an interface`);
      draft.mac = value.toLowerCase();
    } else if (key.startsWith('cap.')) {
      readCapability(draft, key.slice('cap.'.length), value, faults);
    } else {
      // R14 and X9: plugins split at ";" and "=" and refuse pairs with more than one "=".
      if (!/^[A-Za-z0-9_]+$/.test(key)) faults.push(`${quoted(key)} ${of} is not an argument name`);
      else if (draft.args.some(([known]) => known === key)) faults.push(`argument ${key} ${of} is given twice`);
      // oxlint-disable-next-line no-control-regex -- a control character must not reach an environment variable
      if (/[=\u0000-\u001f\u007f]/.test(value)) faults.push(`the value of argument ${quoted(key)} ${of} holds "=" or a control character`);
      draft.args.push([key, value]);
    }
  }
  return lastKey;
}

/** What is left out of `cap.` has a form of its own, which is checked more closely. */
const ownForms: ReadonlyMap<string, string> = new Map([
  ['portMappings', '--port'],
  ['ips', 'ip=ADDRESS'],
  ['mac', 'mac=ADDRESS'],
]);

/** Reads `cap.KEY=JSON`. */
function readCapability(draft: Draft, capability: string, text: string, faults: string[]): void {
  const what = `cap.${capability} of network ${quoted(draft.name)}`;
  const own = ownForms.get(capability);
  if (!/^[A-Za-z0-9][A-Za-z0-9_./-]*$/.test(capability))
    faults.push(`${quoted(`cap.${capability}`)} of network ${quoted(draft.name)} names no capability`);
  else if (own !== undefined) faults.push(`${what} is written ${own}`);
  else if (draft.capabilities.has(capability)) faults.push(`${what} is given twice`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    faults.push(`${what}: ${quoted(text)} is not JSON (a text needs quotes: cap.KEY='"text"')`);
    return;
  }
  const fault = capabilityFault(capability, value);
  if (fault !== undefined) faults.push(`${what}: ${fault}`);
  draft.capabilities.set(capability, value);
}

/** The kernel refuses multicast and all-zero addresses on an interface. */
const isUnicastMac = (text: string): boolean =>
  /^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/.test(text) && (Number.parseInt(text.slice(0, 2), 16) & 1) === 0 && /[1-9a-fA-F]/.test(text);
