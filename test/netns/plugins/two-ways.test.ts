/** A plugin in process and the same plugin as an executable: same answers, same kernel state. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { plugin as dummy } from '../../../cni-plugins/dummy/plugin.ts';
import { plugin as hostDevice } from '../../../cni-plugins/host-device/plugin.ts';
import { plugin as ipvlan } from '../../../cni-plugins/ipvlan/plugin.ts';
import { plugin as macvlan } from '../../../cni-plugins/macvlan/plugin.ts';
import { plugin as tap } from '../../../cni-plugins/tap/plugin.ts';
import { plugin as vlan } from '../../../cni-plugins/vlan/plugin.ts';
import { removeNetns } from '../../../src/host/netns.ts';
import { asCniError, formatErrorObject } from '../../../src/model/cni/error-object.ts';
import type { Plugin } from '../../../src/model/cni/plugin.ts';
import { formatResult } from '../../../src/model/cni/result.ts';
import type { CniResult } from '../../../src/model/cni/types.ts';
import { useHost } from '../../rig/host.ts';
import { ask, makeExecutables } from './executable.ts';
import { inNetns, ip, world, type World } from './world.ts';

useHost();

const mac = '02:00:00:00:0d:00';
const plugins: readonly (readonly [Plugin, object])[] = [
  [macvlan, { master: 'dev0', mac, mtu: 1400 }],
  [macvlan, { master: 'dev0', mac, mode: 'passthru', ipam: {} }],
  [macvlan, { master: 'absent' }],
  [ipvlan, { master: 'dev0' }],
  [vlan, { master: 'dev0', vlanId: 7 }],
  [dummy, {}],
  [tap, { mac, owner: 7, multiQueue: true }],
  [hostDevice, { device: 'dev0' }],
  [hostDevice, { hwaddr: '02:00:00:00:00:99' }],
];
const leased: CniResult = {
  cniVersion: '1.1.0',
  ips: [{ address: '10.9.0.5/24', gateway: '10.9.0.1' }, { address: 'fd09::5/64' }],
  routes: [{ dst: '0.0.0.0/0' }],
};

let dir = '';
beforeAll(() => {
  dir = makeExecutables(...new Set(plugins.map(([{ type }]) => type)));
  writeFileSync(join(dir, 'fixed'), `#!/bin/sh\n[ "$CNI_COMMAND" != ADD ] || echo '${JSON.stringify(leased)}'\n`, { mode: 0o755 });
});
afterAll(() => rmSync(dir, { recursive: true }));
beforeEach(() => {
  ip('link', 'add', 'dev0', 'address', mac, 'type', 'veth', 'peer', 'name', 'wire0');
  for (const name of ['dev0', 'wire0']) ip('link', 'set', name, 'up');
});
afterEach(() => void ip('link', 'del', 'wire0'));

type Verb = 'ADD' | 'CHECK' | 'DEL' | 'GC' | 'STATUS';
/** What the runtime hears: the result or the error object. */
type Ask = (verb: Verb, prevResult?: CniResult) => unknown;

function inProcess(plugin: Plugin, conf: object, one: World): Ask {
  return (verb, prevResult) => {
    const work = plugin[verb.toLowerCase() as Lowercase<Verb>];
    try {
      const result = work(one.request(verb, conf, { prevResult }), one.ctx);
      return result === undefined ? {} : formatResult(result, '1.1.0');
    } catch (error) {
      return formatErrorObject(asCniError(error), '1.1.0');
    }
  };
}
function asExecutable(plugin: Plugin, conf: object, one: World): Ask {
  return (verb, prevResult) => {
    const { containerId, netns, ifName, conf: full } = one.request(verb, conf);
    const attachment = verb === 'GC' || verb === 'STATUS' ? {} : { CONTAINERID: containerId, NETNS: netns, IFNAME: ifName };
    return ask(
      join(dir, plugin.type),
      { COMMAND: verb, PATH: dir, ...attachment },
      JSON.stringify({ ...full, prevResult, 'cni.dev/valid-attachments': [] }),
    ).json;
  };
}

/** All links in detail, addresses, routes and settings of the pod, and the links of the host; without what is new each time. */
function state(netns: string): string {
  const told = [
    inNetns(netns, 'ip', '-d', 'addr'),
    inNetns(netns, 'ip', 'link'),
    inNetns(netns, 'ip', '-4', 'route'),
    inNetns(netns, 'ip', '-6', 'route'),
    inNetns(netns, 'sh', '-c', 'grep -rs . /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf | grep -v stable_secret'),
    ip('-d', 'link'),
  ].join('\n');
  return told
    .replaceAll(/^\d+: /gm, '')
    .replaceAll(/@if\d+/g, '')
    .replaceAll(/dev0@wire0|wire0@dev0/g, (pair) => pair.slice(0, 5))
    .replaceAll(/link-netns(id)? \S+/g, '')
    .replaceAll(/link\/ether \S+/g, (line) => (line.endsWith(mac) ? line : 'link/ether random'))
    .replaceAll(/fe80::\S+/g, 'fe80::x')
    .replaceAll(/.*fe80::x.*|.*link-local.*|.*valid_lft.*/g, '')
    .replaceAll(/state \w+|NO-CARRIER,?|LOWER_UP,?|M-DOWN,?|,(?=>)|linkdown/g, '');
}

describe.each(plugins.map(([plugin, conf]) => [`${plugin.type} ${JSON.stringify(conf)}`, plugin, { type: plugin.type, ...conf }] as const))(
  '%s',
  (_name, plugin, conf) => {
    test('is the same in process and as an executable', () => {
      const heard = [inProcess, asExecutable].map((way) => {
        const one = world('ways', leased);
        const told: unknown[] = [];
        const tell = way(plugin, conf, one);
        told.push(tell('STATUS'));
        const added = tell('ADD') as CniResult & { code?: number };
        told.push(added, state(one.netns));
        if (added.code === undefined) told.push(tell('CHECK', added), tell('ADD'), state(one.netns), tell('CHECK', added));
        told.push(tell('DEL', added.code === undefined ? added : undefined), tell('DEL'), state(one.netns), tell('GC'));
        removeNetns(one.netns);
        return told;
      });
      expect(heard[1]).toEqual(heard[0]);
      expect(JSON.stringify(heard[0]?.[1])).toMatch(/"interfaces"|"code"/);
    });
  },
);
