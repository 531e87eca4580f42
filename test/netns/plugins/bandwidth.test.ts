import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { plugin } from '../../../cni-plugins/bandwidth/plugin.ts';
import { plugin as ptp } from '../../../cni-plugins/ptp/plugin.ts';
import { ifbName } from '../../../cni-plugins/skel/naming.ts';
import { removeNetns } from '../../../src/host/netns.ts';
import type { PluginRequest } from '../../../src/model/cni/plugin.ts';
import type { CniCommand, CniResult } from '../../../src/model/cni/types.ts';
import { useHost } from '../../rig/host.ts';
import { ask, makeExecutables } from './executable.ts';
import { withFailing } from './failing.ts';
import { ip, linkNamed, world, type World } from './world.ts';

useHost();

const dual: CniResult = {
  cniVersion: '1.1.0',
  ips: [
    { address: '10.9.0.5/24', gateway: '10.9.0.1' },
    { address: 'fd09::5/64', gateway: 'fd09::1' },
  ],
};
const limits = { ingressRate: 8_000_000, ingressBurst: 800_000, egressRate: 4_000_000, egressBurst: 400_000 };
const tc = (command: string): string => execFileSync('sh', ['-c', `tc ${command}`], { encoding: 'utf8' });
interface Qdisc {
  kind: string;
  dev: string;
  handle: string;
  parent?: string;
  options: Record<string, unknown>;
}
const qdiscs = (): Qdisc[] => (JSON.parse(tc('-j qdisc')) as Qdisc[]).filter(({ kind }) => kind !== 'noqueue');

/** A pod with a veth pair, and what bandwidth is asked about it. */
function withPod(id: string, look: (one: World, made: CniResult, ask: Ask) => void): void {
  const one = world(id, dual);
  const made = ptp.add(one.request('ADD', { type: 'ptp' }), one.ctx);
  const request: Ask = (command, conf, more) =>
    one.request(command, { type: 'bandwidth', ipam: undefined, ...conf }, { prevResult: command === 'ADD' ? made : undefined, ...more });
  try {
    look(one, made, request);
  } finally {
    plugin.del(request('DEL', {}), one.ctx);
    ptp.del(one.request('DEL', { type: 'ptp' }), one.ctx);
    removeNetns(one.netns);
  }
}
type Ask = (command: CniCommand, conf: object, more?: Partial<PluginRequest>) => PluginRequest;
const hostEnd = (result: CniResult): string => result.interfaces?.[0]?.name ?? '';
const key = (id: string) => ({ network: 'net1', containerId: id, ifName: 'eth0' });

describe('what ADD makes', () => {
  test('a token bucket each way, as the reference does; DEL takes all of it off', () => {
    withPod('both', (one, made, request) => {
      const result = plugin.add(request('ADD', limits), one.ctx);
      const [host, ifb] = [hostEnd(made), ifbName(key('both'))];
      expect(ifb).toMatch(/^bwp[0-9a-f]{12}$/);
      expect(result).toEqual({ ...made, interfaces: [...(made.interfaces ?? []), { name: ifb, mac: linkNamed(ifb)?.address }] });
      expect(qdiscs().map(({ kind, dev, handle, options }) => [kind, dev, handle, options])).toEqual([
        ['tbf', host, '1:', { rate: 1_000_000, burst: 100_000, lat: 25_000 }],
        ['ingress', host, 'ffff:', {}],
        ['tbf', ifb, '1:', { rate: 500_000, burst: 50_000, lat: 25_000 }],
      ]);
      expect(linkNamed(ifb)).toMatchObject({ mtu: 1500, addr_info: [] });
      expect(ip('link', 'show', ifb)).toContain('alias net1/both/eth0');
      expect(tc(`filter show dev ${host} parent ffff:`)).toContain(`Egress Redirect to device ${ifb}`);
      plugin.check(request('CHECK', limits, { prevResult: result }), one.ctx);
      plugin.del(request('DEL', {}, { prevResult: result }), one.ctx);
      expect(qdiscs()).toEqual([]);
      expect(linkNamed(ifb)).toBeUndefined();
      plugin.del(request('DEL', {}), one.ctx);
    });
  });
  test('one way only; the runtime’s rates when the configuration has none; nothing without rates', () => {
    withPod('one', (one, made, request) => {
      const bandwidth = { ingressRate: 8000, ingressBurst: 8000 };
      expect(plugin.add(request('ADD', { runtimeConfig: { bandWidth: bandwidth } }), one.ctx)).toEqual(made);
      expect(qdiscs().map(({ kind, dev }) => [kind, dev])).toEqual([['tbf', hostEnd(made)]]);
      expect(one.notes).toEqual([{ what: 'ingressBurst', detail: expect.stringContaining('larger packets are dropped') }]);
      plugin.del(request('DEL', {}), one.ctx);
      expect(plugin.add(request('ADD', { ingressRate: 0, runtimeConfig: { bandwidth } }), one.ctx)).toEqual(made);
      expect(qdiscs()).toEqual([]);
    });
  });
  test.each([
    ['unshapedSubnets', '0x30', '1:1'],
    ['shapedSubnets', '0x1', '1:30'],
  ])('%s: two classes, and the far side of a packet decides', (list, byDefault, chosen) => {
    withPod('nets', (one, made, request) => {
      const conf = { ...limits, [list]: ['10.0.0.0/8', 'fd00::/20'] };
      const result = plugin.add(request('ADD', conf), one.ctx);
      const [host, ifb] = [hostEnd(made), ifbName(key('nets'))];
      expect(qdiscs().map(({ kind, options }) => [kind, options['default']])).toEqual([
        ['htb', byDefault],
        ['ingress', undefined],
        ['htb', byDefault],
      ]);
      expect(tc(`class show dev ${ifb}`)).toMatch(/htb 1:30 root prio 0 rate 4Mbit ceil 4Mbit burst 50000b cburst 50000b/);
      const filters = (device: string): string[] => tc(`filter show dev ${device}`).match(/(flowid|match) \S+( at \d+)?/g) ?? [];
      expect(filters(host)).toEqual([`flowid ${chosen}`, 'match fd000000/fffff000 at 8', `flowid ${chosen}`, 'match 0a000000/ff000000 at 12']);
      expect(filters(ifb)).toEqual([`flowid ${chosen}`, 'match fd000000/fffff000 at 24', `flowid ${chosen}`, 'match 0a000000/ff000000 at 16']);
      plugin.check(request('CHECK', conf, { prevResult: result }), one.ctx);
      expect(() => plugin.check(request('CHECK', { ...conf, [list]: ['10.0.0.0/8'] }, { prevResult: result }), one.ctx)).toThrow(/filters/);
      plugin.del(request('DEL', {}), one.ctx);
      expect(qdiscs()).toEqual([]);
    });
  });
  test('two interfaces of one container on one network do not get in each other’s way', () => {
    expect(ifbName(key('a'))).not.toBe(ifbName({ ...key('a'), ifName: 'eth1' }));
  });
});

describe('CHECK sees', () => {
  test.each([
    [
      'a rate that was changed',
      (host: string) => tc(`qdisc replace dev ${host} root handle 1: tbf rate 4mbit burst 100000 limit 125000`),
      /is limited to/,
    ],
    ['a burst that was changed', (host: string) => tc(`qdisc replace dev ${host} root handle 1: tbf rate 8mbit burst 90000 limit 125000`), /burst/],
    ['a limit that was changed', (host: string) => tc(`qdisc replace dev ${host} root handle 1: tbf rate 8mbit burst 100000 limit 225000`), /wait/],
    ['no queue', (host: string) => tc(`qdisc del dev ${host} root`), /has no qdisc tbf/],
    ['no redirect', (host: string) => tc(`qdisc del dev ${host} ingress`), /does not redirect/],
    ['no IFB', (_host: string, ifb: string) => ip('link', 'del', ifb), /is missing/],
    ['an IFB that is down', (_host: string, ifb: string) => ip('link', 'set', ifb, 'down'), /is down/],
    ['an IFB without queue', (_host: string, ifb: string) => tc(`qdisc del dev ${ifb} root`), /has no qdisc tbf/],
  ])('%s', (_, spoil, message) => {
    withPod('look', (one, made, request) => {
      const result = plugin.add(request('ADD', limits), one.ctx);
      spoil(hostEnd(made), ifbName(key('look')));
      expect(() => plugin.check(request('CHECK', limits, { prevResult: result }), one.ctx)).toThrow(message);
      plugin.del(request('DEL', limits), one.ctx);
      expect(qdiscs()).toEqual([]);
    });
  });
});

describe('DEL and GC', () => {
  test('without namespace, result, configuration; twice; also what a killed ADD left without alias', () => {
    withPod('gone', (one, _made, request) => {
      plugin.add(request('ADD', limits), one.ctx);
      ip('link', 'set', 'dev', ifbName(key('gone')), 'alias', '');
      for (let time = 0; time < 2; time++) plugin.del(request('DEL', { ingressRate: 'much' }, { netns: '' }), one.ctx);
      expect(qdiscs()).toEqual([]);
    });
  });
  test('a namespace about to die takes its queues with it: only the IFB is deleted', () => {
    withPod('dies', (one, made, request) => {
      plugin.add(request('ADD', limits), one.ctx);
      plugin.del(request('DEL', limits), { ...one.ctx, netnsDies: true });
      expect(linkNamed(ifbName(key('dies')))).toBeUndefined();
      expect(qdiscs().map(({ dev }) => dev)).toEqual([hostEnd(made), hostEnd(made)]);
      plugin.del(request('DEL', limits), one.ctx);
      expect(qdiscs()).toEqual([]);
    });
  });
  test('an IFB of that name that is somebody else’s stays', () => {
    withPod('other', (one, _made, request) => {
      const name = ifbName(key('other'));
      execFileSync('sh', ['-c', `ip link add ${name} type ifb; ip link set ${name} alias net2/x/eth0`]);
      expect(() => plugin.add(request('ADD', limits), one.ctx)).toThrow(/exists already/);
      plugin.del(request('DEL', limits), one.ctx);
      expect(linkNamed(name)).toBeDefined();
      ip('link', 'del', name);
    });
  });
  test('GC removes what is not valid of its own network', () => {
    withPod('stale', (one, _made, request) => {
      plugin.add(request('ADD', limits), one.ctx);
      const name = ifbName(key('stale'));
      const gc = (more: Partial<PluginRequest>, conf = {}): void =>
        plugin.gc(request('GC', conf, { containerId: '', netns: '', ifName: '', ...more }), one.ctx);
      gc({ validAttachments: [{ containerID: 'stale', ifname: 'eth0' }] });
      gc({}, { name: 'net' });
      expect(linkNamed(name)).toBeDefined();
      gc({});
      expect(linkNamed(name)).toBeUndefined();
      plugin.del(request('DEL', limits), one.ctx);
    });
  });
});

describe('refused, with nothing made', () => {
  test.each([
    ['rate without burst', { ingressRate: 8 }, /if rate is set, burst must also be set/],
    ['burst without rate', { egressBurst: 8 }, /if burst is set, rate must also be set/],
    ['a burst of 4 GiB', { egressRate: 8, egressBurst: 2 ** 35 }, /burst cannot be more than 4GB/],
    ['less than a byte', { egressRate: 7, egressBurst: 8 }, /at least 8 bits/],
    ['both lists', { ...limits, unshapedSubnets: ['10.0.0.0/8'], shapedSubnets: ['11.0.0.0/8'] }, /cannot be both specified/],
    ['no subnet', { ...limits, shapedSubnets: ['10.0.0.0'] }, /bad subnet "10.0.0.0"/],
  ])('%s', (_, conf, message) => {
    const one = world('bad', dual);
    expect(() => plugin.add(one.request('ADD', { type: 'bandwidth', ...conf }), one.ctx)).toThrow(
      expect.objectContaining({ message: expect.stringMatching(message) as string, cniCode: 7 }),
    );
    removeNetns(one.netns);
  });
  test('unchained, without peer, with a result that does not name the peer, and over a queue that is there', () => {
    withPod('bare', (one, made, request) => {
      const add = (more: Partial<PluginRequest>): unknown => plugin.add(request('ADD', limits, more), one.ctx);
      expect(() => add({ prevResult: undefined })).toThrow('must be called as chained plugin');
      expect(() => add({ prevResult: { cniVersion: '1.1.0' } })).toThrow('no interfaces provided');
      expect(() => add({ ifName: 'lo' })).toThrow('container interface lo has no veth peer');
      expect(() => add({ prevResult: { ...made, interfaces: made.interfaces?.slice(1) ?? [] } })).toThrow(
        'no veth peer of container interface found in host ns',
      );
      expect(() => add({ netns: '/run/netns/none' })).toThrow(expect.objectContaining({ cniCode: 8 }));
      expect(qdiscs()).toEqual([]);
      tc(`qdisc add dev ${hostEnd(made)} root handle 5: htb`);
      expect(() => add({})).toThrow(/has a qdisc already: htb/);
      expect(qdiscs().map(({ handle }) => handle)).toEqual(['5:']);
      plugin.del(request('DEL', limits), one.ctx);
      expect(qdiscs().map(({ handle }) => handle)).toEqual(['5:']);
    });
  });
  test.each(['add qdisc tbf', 'create link', 'set alias', 'set address generation mode', 'up', 'add qdisc ingress', 'add filter: redirect'])(
    'an ADD that fails at "%s" leaves nothing',
    (step) => {
      withPod('half', (one, _made, request) => {
        withFailing(step, () => expect(() => plugin.add(request('ADD', limits), one.ctx)).toThrow(step));
        expect(qdiscs()).toEqual([]);
        expect(linkNamed(ifbName(key('half')))).toBeUndefined();
      });
    },
  );
});

test('STATUS: this kernel can do it', () => {
  const one = world('status', dual);
  plugin.status(one.request('STATUS', limits), one.ctx);
  removeNetns(one.netns);
});

const script = resolve(import.meta.dirname, 'transfer.mjs');
/** Bytes a second that a sink in `to` sees of what a source in `from` sends; undefined place: the host. */
async function measure(
  from: string | undefined,
  to: string | undefined,
  address: string,
  port: number,
  bytes: number,
  skip: number,
): Promise<number> {
  const start = (place: string | undefined, ...args: string[]) =>
    spawn(
      place === undefined ? process.execPath : 'ip',
      [...(place === undefined ? [] : ['netns', 'exec', place, process.execPath]), script, ...args],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
  const sink = start(to, 'sink', `${port}`, `${skip}`);
  await once(sink.stdout, 'data');
  let told = '';
  sink.stdout.on('data', (chunk: Buffer) => (told += chunk.toString()));
  start(from, 'source', address, `${port}`, `${bytes}`);
  await once(sink, 'close');
  return Number(told);
}

describe('traffic', () => {
  test('what the pod receives and sends keeps to its rate, and an unshaped subnet to none', async () => {
    const one = world('speed', dual);
    const made = ptp.add(one.request('ADD', { type: 'ptp' }), one.ctx);
    const conf = { type: 'bandwidth', ingressRate: 8_000_000, ingressBurst: 400_000, egressRate: 6_000_000, egressBurst: 400_000 };
    const add = (more: object): unknown => plugin.add(one.request('ADD', { ...conf, ...more }, { prevResult: made }), one.ctx);
    try {
      add({});
      const skip = 60_000;
      const [ingress, egress] = await Promise.all([
        measure(undefined, 'speed', '10.9.0.5', 5001, 700_000, skip),
        measure('speed', undefined, 'fd09::1', 5002, 550_000, skip),
      ]);
      // Lower bounds tell bits from bytes; a busy machine may send less than it is allowed to.
      expect(ingress / 1_000_000).toBeGreaterThan(0.3);
      expect(ingress / 1_000_000).toBeLessThan(1.25);
      expect(egress / 750_000).toBeGreaterThan(0.3);
      expect(egress / 750_000).toBeLessThan(1.25);
      plugin.del(one.request('DEL', conf), one.ctx);
      add({ unshapedSubnets: ['10.9.0.1/32'] });
      const [open, shaped] = await Promise.all([
        measure('speed', undefined, '10.9.0.1', 5003, 4_000_000, skip),
        measure('speed', undefined, 'fd09::1', 5004, 350_000, skip),
      ]);
      expect(open).toBeGreaterThan(3_000_000);
      expect(shaped / 750_000).toBeLessThan(1.25);
    } finally {
      plugin.del(one.request('DEL', conf), one.ctx);
      ptp.del(one.request('DEL', { type: 'ptp' }), one.ctx);
      removeNetns(one.netns);
    }
  }, 15_000);
});

describe('as an executable', () => {
  let dir = '';
  beforeAll(() => (dir = makeExecutables('bandwidth')));
  afterAll(() => rmSync(dir, { recursive: true }));
  test('leaves and answers the same as in process, and as Debian’s where that has it', () => {
    withPod('same', (one, made, request) => {
      const conf = { ...limits };
      const withoutMac = (text: string): string => text.replaceAll(/([0-9a-f]{2}:){5}[0-9a-f]{2}/g, 'MAC');
      const state = (): string[] =>
        [tc('-d qdisc'), tc(`-d filter show dev ${hostEnd(made)} parent ffff:`), withoutMac(ip('-o', 'link'))].map((text) =>
          text.replaceAll(/index \d+|^\d+: /gm, '').replaceAll(/@if\d+/g, ''),
        );
      const here = plugin.add(request('ADD', conf), one.ctx);
      const inProcess = state();
      plugin.del(request('DEL', conf), one.ctx);
      const stdin = JSON.stringify({ ...request('ADD', conf).conf, prevResult: made });
      const env = { CONTAINERID: 'same', NETNS: one.netns, IFNAME: 'eth0', PATH: dir };
      const there = ask(join(dir, 'bandwidth'), { ...env, COMMAND: 'ADD' }, stdin);
      expect(there.status, there.stdout).toBe(0);
      expect(JSON.parse(withoutMac(JSON.stringify(there.json)))).toEqual(JSON.parse(withoutMac(JSON.stringify(here))));
      expect(state()).toEqual(inProcess);
      expect(ask(join(dir, 'bandwidth'), { ...env, COMMAND: 'DEL' }, stdin)).toMatchObject({ status: 0, stdout: '' });
      const kept = (): unknown[] => qdiscs().map(({ kind, handle, parent, options }) => ({ kind, handle, parent, options }));
      plugin.add(request('ADD', conf), one.ctx);
      const ours = kept();
      plugin.del(request('DEL', conf), one.ctx);
      const old = JSON.stringify({ ...request('ADD', conf).conf, cniVersion: '1.0.0', prevResult: { ...made, cniVersion: '1.0.0' } });
      expect(ask('/usr/lib/cni/bandwidth', { ...env, COMMAND: 'ADD' }, old).status).toBe(0);
      expect(kept()).toEqual(ours);
      expect(ask('/usr/lib/cni/bandwidth', { ...env, COMMAND: 'DEL' }, old).status).toBe(0);
    });
  });
});
