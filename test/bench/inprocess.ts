/**
 * ADD and DEL of bridge + host-local + masquerade + portmap + firewall: in process against Debian's executables, through
 * the same loop; then in process with many other attachments present. Prints one JSON object.
 */
import { builtinPlugins } from '../../src/compose/plugins.ts';
import { sleepMs } from '../../src/host/clock.ts';
import { createNetns, removeNetns } from '../../src/host/netns.ts';
import type { PlannedNetwork } from '../../src/model/plan.ts';
import { addList, delList } from '../../src/net/cni/list.ts';
import type { CniServices } from '../../src/net/cni/services.ts';
import { median } from './measure.ts';
import { leaveOwnCgroups } from '../rig/cgroup.ts';
import { enterHost } from '../rig/namespaces.ts';

const rounds = Number(process.argv[2] ?? 15);
const others = Number(process.argv[3] ?? 1000);
enterHost();

const services: CniServices = {
  plugins: builtinPlugins,
  cacheDir: '/var/lib/cni',
  timeoutMs: 30_000,
  env: { PATH: process.env['PATH'] ?? '' },
  nowMs: () => performance.now(),
  pause: sleepMs,
  interrupted: () => 0,
  record: () => undefined,
  recorded: () => [],
};

function network(name: string, bridge: string, subnet: string, debian: boolean): PlannedNetwork {
  const cniVersion = debian ? '1.0.0' : '1.1.0';
  const portMappings = [
    { hostPort: debian ? 18080 : 18081, containerPort: 80, protocol: 'tcp' as const },
    { hostPort: debian ? 18443 : 18444, containerPort: 443, protocol: 'tcp' as const },
  ];
  const plugins = [
    {
      type: 'bridge',
      bridge,
      isGateway: true,
      ipMasq: true,
      hairpinMode: true,
      ipam: { type: 'host-local', ranges: [[{ subnet }]], routes: [{ dst: '0.0.0.0/0' }] },
    },
    { type: 'portmap', capabilities: { portMappings: true }, snat: true },
    { type: 'firewall' },
  ];
  const via = (type: string): string => (debian ? `/usr/lib/cni/${type}` : 'builtin');
  return {
    name,
    ifName: 'eth0',
    cniVersion,
    source: { path: '/bench', owner: 'builtin' },
    confList: JSON.stringify({ cniVersion, name, plugins }),
    plugins: plugins.map(({ type, ipam }) => ({
      type,
      via: via(type),
      ...(ipam === undefined ? {} : { ipam: { type: ipam.type, via: via(ipam.type) } }),
      ...(type === 'portmap' ? { runtimeConfig: { portMappings } } : {}),
    })),
    args: [],
    capabilityArgs: { portMappings },
    pluginPath: ['/usr/lib/cni'],
    expects: { subnets: [subnet], gateway: true, masquerade: true },
  };
}
const withoutPorts = (net: PlannedNetwork): PlannedNetwork => ({
  ...net,
  capabilityArgs: {},
  plugins: net.plugins.map(({ type, via, ipam }) => ({ type, via, ...(ipam === undefined ? {} : { ipam }) })),
});

function timeOne(net: PlannedNetwork, id: string): { addMs: number; delMs: number } {
  const netns = `/run/netns/${id}`;
  createNetns(netns);
  const attachment = { containerId: id, netns };
  const start = performance.now();
  const result = addList(net, attachment, services);
  const added = performance.now();
  delList(net, attachment, services, result);
  const deleted = performance.now();
  removeNetns(netns);
  return { addMs: added - start, delMs: deleted - added };
}

const ours = network('ours', 'ours0', '10.61.0.0/16', false);
const debian = network('debian', 'deb0', '10.62.0.0/16', true);
const samples = { ours: [] as { addMs: number; delMs: number }[], debian: [] as { addMs: number; delMs: number }[] };
for (let round = 0; round <= rounds; round++) {
  const one = timeOne(ours, `ours-${round}`);
  const other = timeOne(debian, `debian-${round}`);
  if (round > 0) {
    samples.ours.push(one);
    samples.debian.push(other);
  }
}

const crowd = withoutPorts(ours);
const alone: number[] = [];
const crowded: number[] = [];
const held: { containerId: string; netns: string }[] = [];
const attach = (id: string): void => {
  const netns = `/run/netns/${id}`;
  createNetns(netns);
  addList(crowd, { containerId: id, netns }, services);
  held.push({ containerId: id, netns });
};
attach('first');
for (let round = 0; round < 31; round++) alone.push(timeOne(crowd, `alone-${round}`).addMs);
for (let index = 0; index < others; index++) attach(`crowd-${index}`);
for (let round = 0; round < 31; round++) crowded.push(timeOne(crowd, `crowded-${round}`).addMs);

const medianOf = (list: readonly { addMs: number; delMs: number }[], key: 'addMs' | 'delMs'): number => median(list.map((item) => item[key]));
leaveOwnCgroups();
console.log(
  JSON.stringify({
    ours: { addMs: medianOf(samples.ours, 'addMs'), delMs: medianOf(samples.ours, 'delMs') },
    debian: { addMs: medianOf(samples.debian, 'addMs'), delMs: medianOf(samples.debian, 'delMs') },
    crowd: { others, aloneMs: median(alone), crowdedMs: median(crowded) },
  }),
);
