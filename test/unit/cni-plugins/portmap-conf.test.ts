import { describe, expect, test } from 'vitest';
import { readConf } from '../../../cni-plugins/portmap/conf.ts';
import { podAddresses } from '../../../cni-plugins/portmap/plugin.ts';
import { cidrText } from '../../../src/model/cidr.ts';

const read = (extra: Record<string, unknown>) => readConf({ name: 'net', cniVersion: '1.1.0', type: 'portmap', ...extra });
const mapping = (entry: unknown) => ({ runtimeConfig: { portMappings: [entry] } });

describe('portmap configuration', () => {
  test('defaults', () => expect(read({})).toEqual({ snat: true, masqAll: false, mappings: [], notes: [] }));
  test('keys in any case, null as absent, as Go reads them (X10)', () => {
    expect(
      read({
        SNAT: false,
        MasqALL: true,
        conditionsV4: null,
        runtimeConfig: { PortMappings: [{ HostPort: 1, containerport: 2, Protocol: 'TCP', hostip: '' }] },
      }),
    ).toEqual({ snat: false, masqAll: true, notes: [], mappings: [{ hostPort: 1, containerPort: 2, protocol: 'tcp', host: undefined }] });
  });
  test.each([
    [{ backend: 'pf' }, 7, 'unrecognized backend: "pf"'],
    [{ snat: 'no' }, 7, 'snat must be true or false, not "no"'],
    [{ markMasqBit: 32 }, 7, 'MasqMarkBit must be between 0 and 31'],
    [{ markMasqBit: 5, externalSetMarkChain: 'X' }, 7, 'Cannot specify externalSetMarkChain and markMasqBit'],
    [{ conditionsV4: ['-s', '1.2.3.4'] }, 2, 'unsupported field: conditionsV4: ["-s","1.2.3.4"]'],
    [{ conditionsV6: 'x' }, 2, 'unsupported field: conditionsV6: "x"'],
    [{ runtimeConfig: { portMappings: {} } }, 7, 'runtimeConfig.portMappings must be a list'],
    [mapping(null), 7, 'port mapping must be an object, not null'],
    [mapping({ hostPort: 0, containerPort: 1, protocol: 'tcp' }), 7, 'Invalid host port number: 0'],
    [mapping({ hostPort: 70000, containerPort: 1, protocol: 'tcp' }), 7, 'Invalid host port number: 70000'],
    [mapping({ hostPort: 1, protocol: 'tcp' }), 7, 'Invalid container port number: 0'],
    [mapping({ hostPort: 1, containerPort: 1.5, protocol: 'tcp' }), 7, 'Invalid container port number: 1.5'],
    [mapping({ hostPort: 1, containerPort: 1, protocol: 'icmp' }), 7, 'Invalid protocol "icmp" of host port 1: tcp, udp or sctp'],
    [mapping({ hostPort: 1, containerPort: 1, protocol: 'tcp', hostIP: '1.2.3' }), 7, 'Invalid host IP "1.2.3" of host port 1'],
  ])('%j is refused with code %d', (extra, cniCode, message) => {
    expect(() => read(extra)).toThrow(expect.objectContaining({ cniCode, message }));
  });
  test('settings without effect are noted, not refused', () => {
    expect(read({ backend: 'iptables', markMasqBit: 13, conditionsV4: [] }).notes.map((note) => note.what)).toEqual(['backend', 'markMasqBit']);
    expect(read({ externalSetMarkChain: 'KUBE-MARK-MASQ' }).notes.map((note) => note.what)).toEqual(['externalSetMarkChain']);
    expect(read({ backend: 'nftables' }).notes).toEqual([]);
  });
});

test('ports lead to the first address of each family on this interface of the pod', () => {
  const found = podAddresses(
    {
      cniVersion: '1.1.0',
      interfaces: [{ name: 'eth0' }, { name: 'eth1', sandbox: '/n' }, { name: 'eth0', sandbox: '/n' }],
      ips: [
        { address: '10.0.0.1/8', interface: 0 },
        { address: '10.0.0.2/8', interface: 1 },
        { address: '10.0.0.9/8', interface: 7 },
        { address: '10.0.0.3/8', interface: 2 },
        { address: '10.0.0.4/8' },
        { address: 'fd00::1/64' },
      ],
    },
    'eth0',
  );
  expect(found.map(cidrText)).toEqual(['10.0.0.3/8', 'fd00::1/64']);
});
