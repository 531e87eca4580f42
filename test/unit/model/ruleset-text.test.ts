import { expect, test } from 'vitest';
import { firewallElements, masqueradeElements, portElements } from '../../../src/model/ruleset.ts';
import { elementText } from '../../../src/model/ruleset/text.ts';
import { cidr, ip } from '../../rig/addresses.ts';

const key = { network: 'net', containerId: 'cid', ifName: 'eth0' };

test('elements read as nft writes them', () => {
  const addresses = [cidr('10.1.0.5/24'), cidr('fd00::5/64')];
  const elements = [
    ...masqueradeElements(key, addresses),
    ...portElements(
      key,
      [
        { hostPort: 8080, containerPort: 80, protocol: 'tcp', host: undefined },
        { hostPort: 53, containerPort: 5353, protocol: 'udp', host: ip('192.0.2.1') },
      ],
      { addresses, snat: true, masqAll: false },
    ),
    ...firewallElements(key, [ip('10.1.0.5')], 'same-bridge', 'br0'),
  ];
  expect(elements.map(elementText)).toEqual([
    'masq4 { 10.1.0.5 : goto outside-10.1.0.0/24 }',
    'masq6 { fd00::5 : goto outside-fd00--/64 }',
    'ports4 { tcp . 8080 : 10.1.0.5 . 80 }',
    'hostports4 { 192.0.2.1 . udp . 53 : 10.1.0.5 . 5353 }',
    'hairpin4 { 10.1.0.5 : jump inside-10.1.0.0/24 }',
    'ports6 { tcp . 8080 : fd00::5 . 80 }',
    'hairpin6 { fd00::5 : jump inside-fd00--/64 }',
    'pods4 { 10.1.0.5 }',
    'closed4 { 10.1.0.5 }',
    'same4 { 10.1.0.5 . br0 }',
  ]);
});
