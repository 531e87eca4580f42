/** An inspected network for people. */
import type { InspectedNetwork } from '../../workbench.ts';
import { renderTable } from './table.ts';

const place = (via: string | undefined): string => (via === undefined ? 'NOT FOUND' : via === 'builtin' ? 'built in' : via);
const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`;

export function inspection(network: InspectedNetwork): string {
  const { source, versions, cniVersion, subnets, gateways, bridge, disableCheck, disableGC, problem } = network;
  const rows: (readonly [string, string])[] = [
    ['network', network.name],
    ['file', `${source.path} (${source.owner})`],
    ...(source.dropIns ?? []).map((path) => ['drop-in', path] as const),
    ['CNI', `${cniVersion ?? 'no version suits all plugins'} of ${versions.join(', ')}`],
    ...(disableCheck ? [['flag', 'disableCheck: CHECK is not sent'] as const] : []),
    ...(disableGC ? [['flag', 'disableGC: GC is not sent'] as const] : []),
    ...subnets.map(({ subnet, leases }) => ['subnet', `${subnet}, ${plural(leases, 'lease')}`] as const),
    ...gateways.map((gateway) => ['gateway', gateway] as const),
    ...(bridge === undefined ? [] : [['bridge', bridgeText(bridge)] as const]),
    ...(problem === undefined ? [] : [['problem', problem] as const]),
  ];
  const sections = [
    renderTable(
      undefined,
      rows.map(([label, text], i) => [label === rows[i - 1]?.[0] ? '' : label, text]),
    ),
    renderTable(['PLUGIN', 'FROM', 'SPEAKS', 'CAPABILITIES'], pluginRows(network)),
    network.attachments.length === 0
      ? 'nobody is attached\n'
      : renderTable(
          ['HOLDER', 'INTERFACE'],
          network.attachments.map(({ holder, ifName }) => [holder, ifName]),
        ),
    ...(network.objects.length === 0
      ? []
      : [
          renderTable(
            ['EXISTS', 'BELONGS TO'],
            network.objects.map(({ what, holder }) => [what, holder === '' ? 'nobody: rkt net gc removes it' : holder]),
          ),
        ]),
  ];
  return sections.join('\n');
}

function bridgeText({ name, exists, up, addresses, ports }: NonNullable<InspectedNetwork['bridge']>): string {
  if (!exists) return `${name}, made with the first pod`;
  return `${name}, ${up ? 'up' : 'DOWN'}, ${addresses.length === 0 ? 'no address' : addresses.join(' ')}, ${plural(ports.length, 'port')}`;
}

function pluginRows({ plugins }: InspectedNetwork): string[][] {
  return plugins.flatMap(({ type, via, versions, capabilities, ipam }) => [
    [type, place(via), versionText(versions), capabilities.join(', ')],
    ...(ipam === undefined ? [] : [[`  ${ipam.type}`, place(ipam.via), versionText(ipam.versions), '']]),
  ]);
}
/** Versions are a list without gaps in practice: its ends say it all. */
const versionText = (versions: readonly string[]): string =>
  versions.length < 3 ? versions.join(', ') : `${versions[0] ?? ''} to ${versions.at(-1) ?? ''}`;
