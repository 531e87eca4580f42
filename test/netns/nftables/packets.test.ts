import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { useHost } from '../../rig/host.ts';
import { plugin as portmap } from '../../../cni-plugins/portmap/plugin.ts';
import { plugin as firewall } from '../../../cni-plugins/firewall/plugin.ts';
import { ensureMasquerade, removeMasquerade } from '../../../cni-plugins/skel/masquerade.ts';
import { removeTableIfUnused } from '../../../src/host/nftables/table.ts';
import type { PluginNote } from '../../../src/model/cni/plugin.ts';
import { cidr } from '../../rig/addresses.ts';
import { type World, far4, far6, host4, host6, makeWorld, pods } from './world.ts';
import { context, request } from './request.ts';

useHost();
let world: World;
beforeEach(() => {
  world = makeWorld();
});
afterEach(async () => {
  for (const pod of Object.keys(pods) as (keyof typeof pods)[]) {
    removeMasquerade(key(pod));
    portmap.del(request('DEL', pod), context([]));
    firewall.del(request('DEL', pod), context([]));
  }
  expect(removeTableIfUnused()).toBe(true);
  await world.close();
});
const key = (pod: string) => ({ network: 'net', containerId: pod, ifName: 'eth0' });
const addresses = (pod: keyof typeof pods) => [cidr(pods[pod].v4), cidr(pods[pod].v6)];
const publish = (pod: keyof typeof pods, mappings: object[], extra: object = {}): PluginNote[] => {
  const notes: PluginNote[] = [];
  portmap.add(request('ADD', pod, { runtimeConfig: { portMappings: mappings }, ...extra }), context(notes));
  return notes;
};
const tcp = (hostPort: number, containerPort: number, hostIP?: string) => ({
  hostPort,
  containerPort,
  protocol: 'tcp',
  ...(hostIP === undefined ? {} : { hostIP }),
});

describe('masquerade', () => {
  test('far end sees the host, in both families, and only after it was switched on', async () => {
    await world.serve('far', 7000);
    expect(world.ask('p1', far4, 7000)).toBe('10.88.0.2');
    ensureMasquerade(key('p1'), addresses('p1'));
    expect(world.ask('p1', far4, 7000)).toBe(host4);
    expect(world.ask('p1', far6, 7000)).toBe(host6);
    expect(world.ask('p2', far4, 7000)).toBe('10.88.0.3');
    removeMasquerade(key('p1'));
    expect(world.ask('p1', far4, 7000)).toBe('10.88.0.2');
    expect(world.ask('p1', far6, 7000)).toBe('fd88::2');
  });

  test('traffic within the own subnet keeps its source, traffic to another pod network does not', async () => {
    await world.serve('p2', 7000);
    await world.serve('q1', 7000);
    ensureMasquerade(key('p1'), addresses('p1'));
    expect(world.ask('p1', '10.88.0.3', 7000)).toBe('10.88.0.2');
    expect(world.ask('p1', 'fd88::3', 7000)).toBe('fd88::2');
    expect(world.ask('p1', '10.89.0.2', 7000)).toBe('10.89.0.1');
    expect(world.ask('p1', 'fd89::2', 7000)).toBe('fd89::1');
  });
});

describe('published ports', () => {
  test('from outside, from the host, from 127.0.0.1, from the pod itself, its neighbour and another network', async () => {
    await world.serve('p1', 80);
    const notes = publish('p1', [tcp(8080, 80)]);
    expect(notes).toEqual([{ what: 'sysctl', detail: 'net.ipv4.conf.br0.route_localnet 0 -> 1' }]);
    expect(world.ask('far', host4, 8080)).toBe(far4);
    expect(world.ask('far', host6, 8080)).toBe(far6);
    expect(world.ask('host', host4, 8080)).toBe('192.0.2.1');
    expect(world.ask('host', host6, 8080)).toBe(host6);
    expect(world.ask('host', '127.0.0.1', 8080)).toBe('10.88.0.1');
    expect(world.ask('p1', host4, 8080)).toBe('10.88.0.1');
    expect(world.ask('p1', '10.88.0.1', 8080)).toBe('10.88.0.1');
    expect(world.ask('p1', host6, 8080)).toBe('fd88::1');
    expect(world.ask('p2', host4, 8080)).toBe('10.88.0.1');
    expect(world.ask('p2', host6, 8080)).toBe('fd88::1');
    expect(world.ask('q1', host4, 8080)).toBe('10.89.0.2');
    expect(world.ask('far', host4, 8081)).toBe('none');
    expect(publish('p1', [tcp(8080, 80)])).toEqual([]); // again: the same, nothing to note
    portmap.del(request('DEL', 'p1'), context([]));
    expect(world.ask('far', host4, 8080)).toBe('none');
  });

  test('a server of the host on [::1] is not shadowed', async () => {
    await world.serve('host', 8080);
    publish('p1', [tcp(8080, 80)]);
    expect(world.ask('host', '::1', 8080)).toBe('::1');
  });

  test('a port on one host address leads elsewhere than on the others', async () => {
    await world.serve('p1', 80);
    await world.serve('p2', 80);
    publish('p1', [tcp(8080, 80, '10.88.0.1')]);
    publish('p2', [tcp(8080, 81), tcp(9090, 80, '::'), tcp(9091, 80, '0.0.0.0')]);
    // nobody listens on port 81 yet: who answers is p1
    expect(world.ask('host', '10.88.0.1', 8080)).toBe('10.88.0.1');
    expect(world.ask('far', host4, 8080)).toBe('none');
    await world.serve('p2', 81);
    expect(world.ask('far', host4, 8080)).toBe(far4);
    expect([world.ask('far', host4, 9090), world.ask('far', host6, 9090)]).toEqual(['none', far6]);
    expect([world.ask('far', host4, 9091), world.ask('far', host6, 9091)]).toEqual([far4, 'none']);
  });

  test('snat off hides nobody, masqAll everybody', async () => {
    await world.serve('p1', 80);
    await world.serve('q1', 80);
    expect(publish('p1', [tcp(8080, 80)], { snat: false })).toEqual([]);
    expect(world.ask('host', '127.0.0.1', 8080)).toBe('none');
    expect(world.ask('far', host4, 8080)).toBe(far4);
    publish('q1', [tcp(8081, 80)], { MasqAll: true });
    expect(world.ask('far', host4, 8081)).toBe('10.89.0.1');
    expect(world.ask('far', host6, 8081)).toBe('fd89::1');
  });

  test('loopback servers of the host stay out of reach of pods although route_localnet is on', async () => {
    await world.serve('host', 6666);
    publish('p1', [tcp(8080, 80)]);
    execFileSync('ip', ['-n', 'p1', 'route', 'add', '127.0.0.9/32', 'via', '10.88.0.1', 'src', '10.88.0.2']);
    execFileSync('ip', [
      'netns',
      'exec',
      'p1',
      'sh',
      '-c',
      'echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet; ip route flush table local 127.0.0.0/8; ip rule del pref 0 2>/dev/null; ip rule add pref 100 lookup local; ip rule add pref 10 to 127.0.0.9 lookup main',
    ]);
    expect(world.ask('p1', '10.88.0.1', 6666)).toBe('10.88.0.2');
    expect(world.ask('p1', '127.0.0.9', 6666)).toBe('none');
    execFileSync('nft', ['flush', 'chain', 'inet', 'rkt', 'input']);
    expect(world.ask('p1', '127.0.0.9', 6666), 'the attack works without the rule').toBe('10.88.0.2');
  });

  test('UDP: a client that keeps its source port follows the port to a new pod', async () => {
    await world.serve('p1', 53);
    await world.serve('q1', 53);
    const send = () =>
      execFileSync(
        'ip',
        [
          'netns',
          'exec',
          'far',
          process.execPath,
          '-e',
          `
      const s = require('node:dgram').createSocket('udp4');
      s.bind(5555, () => s.send('x', 5353, '${host4}'));
      s.on('message', (m) => { process.stdout.write(String(m)); process.exit(0); });
      setTimeout(() => process.exit(0), 500);`,
        ],
        { encoding: 'utf8' },
      ).trim();
    const udp = [{ hostPort: 5353, containerPort: 53, protocol: 'UDP' }];
    publish('p1', udp, { masqAll: true });
    expect(send()).toBe('10.88.0.1');
    portmap.del(request('DEL', 'p1'), context([]));
    expect(send()).toBe(''); // makes an untranslated flow to the host
    publish('q1', udp, { masqAll: true });
    expect(send()).toBe('10.89.0.1');
  });
});

describe('firewall', () => {
  const policy = (pod: keyof typeof pods, ingressPolicy: string) => {
    const notes: PluginNote[] = [];
    firewall.add(request('ADD', pod, { ingressPolicy }), context(notes));
    return notes;
  };
  const reach = (): Record<string, string> =>
    Object.fromEntries(
      (['p2', 'q1', 'far', 'host'] as const).flatMap((from) =>
        [
          ['4', '10.88.0.2'],
          ['6', 'fd88::2'],
        ].map(([family, to]) => [`${from}/${family}`, world.ask(from, to ?? '', 80, 'tcp', 0.3) === 'none' ? 'no' : 'yes']),
      ),
    );
  const all = { 'p2/4': 'yes', 'p2/6': 'yes', 'q1/4': 'yes', 'q1/6': 'yes', 'far/4': 'yes', 'far/6': 'yes', 'host/4': 'yes', 'host/6': 'yes' };

  test('open, same-bridge and isolated: who reaches the pod', async () => {
    await world.serve('p1', 80);
    for (const pod of ['p2', 'q1'] as const) policy(pod, 'open');
    policy('p1', 'open');
    expect(reach()).toEqual(all);
    firewall.del(request('DEL', 'p1'), context([]));
    policy('p1', 'same-bridge');
    expect(reach()).toEqual({ ...all, 'q1/4': 'no', 'q1/6': 'no' });
    firewall.del(request('DEL', 'p1'), context([]));
    expect(policy('p1', 'isolated')).toEqual([]);
    expect(reach()).toEqual({ ...all, 'q1/4': 'no', 'q1/6': 'no', 'p2/4': 'no', 'p2/6': 'no' });
    await world.serve('q1', 80);
    await world.serve('p2', 80);
    expect([world.ask('p1', '10.89.0.2', 80), world.ask('p1', '10.88.0.3', 80)], 'answers to its own connections come in').toEqual([
      '10.88.0.2',
      '10.88.0.2',
    ]);
    firewall.del(request('DEL', 'p1'), context([]));
    expect(reach()).toEqual(all);
  });
});
