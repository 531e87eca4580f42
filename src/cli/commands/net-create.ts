import { RuntimeError } from '../../model/errors.ts';
import { createNetwork } from '../../workbench.ts';
import { defineCommand } from '../command.ts';
import { out, warn } from '../output.ts';
import { settingsFrom } from '../settings.ts';

const drivers = ['bridge', 'ptp', 'macvlan'] as const;

export const command = defineCommand({
  name: 'net create',
  summary: 'make a network that pods can join',
  usage: '[flags] NAME',
  maxOperands: 1,
  examples: [
    ['rkt net create web', 'a bridge with a free subnet'],
    ['rkt net create web --subnet=10.5.0.0/24 --ip-range=10.5.0.128/25 --ipv6', 'pods get addresses of the upper half, and IPv6'],
    ['rkt net create db --internal --isolate', 'no way out, and none in from other networks'],
    ['rkt net create lan --driver=macvlan --parent=eth0 --subnet=192.168.1.0/24', "pods in the machine's own network"],
    ['rkt net create web --dry-run', 'print the configuration, write nothing'],
  ],
  flags: {
    driver: { type: 'string', value: 'DRIVER', choices: drivers, default: 'bridge', help: 'how pods are connected' },
    subnet: { type: 'list', value: 'CIDR', help: 'subnet; IPv4 and IPv6 one each (repeat)', default: 'a free /24 of 10.89.0.0/16; macvlan: by DHCP' },
    gateway: { type: 'list', value: 'IP', help: "the host's address in the subnet", default: 'the first one' },
    'ip-range': { type: 'list', value: 'CIDR', help: 'part of the subnet that pods get their addresses from' },
    ipv6: { type: 'boolean', help: 'also an IPv6 subnet of our own (fd…/64) when none is given' },
    isolate: { type: 'boolean', help: 'pods of other networks do not reach its pods' },
    internal: { type: 'boolean', help: 'no way out and no published ports: only the host and pods of the network' },
    mtu: { type: 'string', value: 'BYTES', help: 'MTU of its links' },
    dns: { type: 'boolean', help: 'a name server that knows its pods; bridge only', default: 'when dnsmasq is installed' },
    'no-dns': { type: 'boolean', help: 'no name server' },
    parent: { type: 'string', value: 'IFACE', help: 'interface of the machine that macvlan is on', default: "the default route's" },
    'dry-run': { type: 'boolean', help: 'print the configuration, write nothing' },
  },
  run({ flags, global, operands }) {
    const [name] = operands;
    if (name === undefined) throw new RuntimeError('ERR_CLI_USAGE', 'which name shall the network have?', { hint: 'rkt net create NAME' });
    if (flags.dns && flags['no-dns']) throw new RuntimeError('ERR_CLI_USAGE', '--dns and --no-dns contradict each other');
    const request = {
      name,
      driver: drivers.find((driver) => driver === flags.driver) ?? 'bridge',
      subnets: flags.subnet,
      gateways: flags.gateway,
      ranges: flags['ip-range'],
      ipv6: flags.ipv6,
      isolate: flags.isolate,
      internal: flags.internal,
      mtu: flags.mtu,
      dns: flags.dns ? true : flags['no-dns'] ? false : undefined,
      parent: flags.parent,
    };
    const { path, text, subnets, bridge, warnings } = createNetwork(settingsFrom(global), request, !flags['dry-run']);
    warnings.forEach(warn);
    if (flags['dry-run']) out(text);
    else
      out(
        `network "${name}": ${subnets.length === 0 ? 'addresses by DHCP' : `subnet ${subnets.join(', ')}`}${bridge === undefined ? '' : `, bridge ${bridge}`}, ${path}\n`,
      );
    return 0;
  },
});
