/** Drives one plugin in process, with an IPAM that hands out what the test says; `ip` and `nft` are the oracles. */
import { execFileSync } from 'node:child_process';
import { createNetns, removeNetns } from '../../../src/host/netns.ts';
import type { Plugin, PluginContext, PluginNote, PluginRequest } from '../../../src/model/cni/plugin.ts';
import type { CniCommand, CniResult } from '../../../src/model/cni/types.ts';

export interface World {
  readonly netns: string;
  readonly notes: PluginNote[];
  /** commands the IPAM heard */
  readonly heard: CniCommand[];
  request(command: CniCommand, conf: object, more?: Partial<PluginRequest>): PluginRequest;
  readonly ctx: PluginContext;
}

/** A namespace and a request factory; gone with {@link removeNetns}. */
export function world(id: string, ipam: CniResult | (() => CniResult), netnsDies = false): World {
  const netns = `/run/netns/${id}`;
  createNetns(netns);
  const notes: PluginNote[] = [];
  const heard: CniCommand[] = [];
  return {
    netns,
    notes,
    heard,
    ctx: {
      netnsDies,
      note: (note) => notes.push(note),
      delegate: (_type, command) => {
        heard.push(command);
        return command === 'ADD' ? (typeof ipam === 'function' ? ipam() : ipam) : undefined;
      },
    },
    request: (command, conf, more = {}) => ({
      command,
      containerId: id,
      netns,
      ifName: 'eth0',
      args: new Map(),
      path: [],
      prevResult: undefined,
      validAttachments: [],
      conf: { name: 'net1', cniVersion: '1.1.0', type: 'bridge', ipam: { type: 'fixed' }, ...conf },
      ...more,
    }),
  };
}

/** Whole life of an attachment, for tests that look at it in the middle. */
export function withAttachment(plugin: Plugin, one: World, conf: object, look: (result: CniResult) => void): void {
  const result = plugin.add(one.request('ADD', conf), one.ctx);
  try {
    look(result);
  } finally {
    plugin.del(one.request('DEL', conf, { prevResult: result }), one.ctx);
    plugin.gc(one.request('GC', conf, { containerId: '', netns: '', ifName: '' }), one.ctx);
    removeNetns(one.netns);
  }
}

export const inNetns = (netns: string, ...command: string[]): string =>
  execFileSync('ip', ['netns', 'exec', netns.split('/').at(-1) ?? '', ...command], { encoding: 'utf8' });
export const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });
interface LinkJson {
  ifname: string;
  address: string;
  mtu: number;
  master?: string;
  /** what a macvlan, ipvlan or vlan of the same namespace stands on */
  link?: string;
  ifalias?: string;
  flags: string[];
  addr_info: { local: string; prefixlen: number; family: string; scope: string; tentative?: boolean }[];
}
export const linksOf = (netns?: string): LinkJson[] =>
  JSON.parse(netns === undefined ? ip('-j', 'addr') : inNetns(netns, 'ip', '-j', 'addr')) as LinkJson[];
export const linkNamed = (name: string, netns?: string): LinkJson | undefined => linksOf(netns).find(({ ifname }) => ifname === name);
export const globalAddresses = (link: LinkJson | undefined): string[] =>
  (link?.addr_info ?? []).filter(({ scope }) => scope === 'global').map(({ local, prefixlen }) => `${local}/${prefixlen}`);
export const routesIn = (netns: string, family = '-4'): string[] =>
  inNetns(netns, 'ip', family, 'route')
    .trim()
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .sort();
