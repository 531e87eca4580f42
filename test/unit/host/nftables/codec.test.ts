import { describe, expect, test } from 'vitest';
import { batchBegin, batchEnd, decodeElements, encodeOperation } from '../../../../src/host/nftables/codec.ts';
import { listContaining, attribute } from '../../../../src/host/nftables/attributes.ts';
import { type Element, firewallElements, masqueradeElements, portElements, setDefinition, setNames } from '../../../../src/model/ruleset.ts';
import { skeleton } from '../../../../src/model/ruleset/skeleton.ts';
import { cidr, ip } from '../../../rig/addresses.ts';

const key = { network: 'net', containerId: 'cid', ifName: 'eth0' };
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const body = (element: Element): string => hex(encodeOperation({ op: 'create-element', table: 'rkt', element }).body);
/** `net/cid/eth0` as nft writes it into an element: type 0, 13 bytes, NUL, inside attribute 6 */
const comment = '13000600000d6e65742f6369642f657468300000';

describe('bytes are those nft 1.0.6 sends (--debug=mnl)', () => {
  test('a port: l4proto . port : address . port', () => {
    const [element] = portElements(key, [{ hostPort: 8080, containerPort: 80, protocol: 'tcp', host: undefined }], {
      addresses: [cidr('10.1.0.5/24')],
      snat: false,
      masqAll: false,
    });
    if (element === undefined) throw new Error('no element');
    expect(body(element)).toBe(
      `01000000${'08000100726b7400'}${'0b000200706f7274733400' + '00'}${'3c00038038000180'}${'10000180' + '0c000100' + '06000000' + '1f900000'}${'10000280' + '0c000100' + '0a010005' + '00500000'}${comment}`,
    );
  });

  test('a masqueraded address: goto a chain', () => {
    const [element] = masqueradeElements(key, [cidr('10.1.0.5/24')]);
    if (element === undefined) throw new Error('no element');
    const chain = Buffer.from('outside-10.1.0.0/24\0').toString('hex');
    expect(body(element)).toBe(
      `01000000${'08000100726b7400'}${'0a0002006d6173713400' + '0000'}${'5000038' + '04c000180'}${'0c000180080001000a010005'}${'28000280' + '24000280' + '08000100fffffffc' + `18000200${chain}`}${comment}`,
    );
  });

  test('an address with an interface name: sixteen bytes, host order', () => {
    const element = firewallElements(key, [ip('10.1.0.5')], 'same-bridge', 'br0').find((item) => item.set === 'same4');
    if (element === undefined) throw new Error('no element');
    expect(hex(element.key)).toBe('0a010005' + '62723000' + '00'.repeat(12));
  });

  test('sets: type numbers of concatenations, lengths with padding', () => {
    const message = encodeOperation({ op: 'create-set', table: 'rkt', name: 'hostports6', id: 8, definition: setDefinition('hostports6') });
    expect(message.type).toBe(0x0a09);
    const text = hex(message.body);
    expect(text).toContain('0800040000' + '00830d'); // ipv6_addr . inet_proto . inet_service
    expect(text).toContain('0800050000' + '000018');
    expect(text).toContain('0800060000' + '00020d');
    expect(text).toContain('0800070000' + '000014');
    expect(hex(encodeOperation({ op: 'create-set', table: 'rkt', name: 'masq4', id: 1, definition: setDefinition('masq4') }).body)).toContain(
      '08000600ffffff00',
    );
  });

  test('dnat to a map: registers as words of 32 bit, the port behind the address', () => {
    const rule = skeleton().find((chain) => chain.name === 'publish')?.rules[1] ?? [];
    const text = hex(encodeOperation({ op: 'append-rule', table: 'rkt', chain: 'publish', expressions: rule }).body);
    expect(text).toContain(Buffer.from('hostports4').toString('hex'));
    // nat: dnat, ip, address register 1 (= words 0-3), port register 9 (= word 1)
    expect(text).toContain('0800010000000001' + '0800020000000002' + '0800030000000001' + '0800050000000009');
  });

  test('batch: generation only where given', () => {
    expect(hex(batchBegin().body)).toBe('0000000a');
    expect(hex(batchBegin(7).body)).toBe('0000000a' + '0800010000000007');
    expect([batchBegin().type, batchEnd().type]).toEqual([16, 17]);
  });
});

describe('reading', () => {
  test('what was written comes back', () => {
    const elements = [
      ...masqueradeElements(key, [cidr('10.1.0.5/24'), cidr('fd00::5/64')]),
      ...portElements(key, [{ hostPort: 1, containerPort: 2, protocol: 'udp', host: ip('192.0.2.1') }], {
        addresses: [cidr('10.1.0.5/24')],
        snat: true,
        masqAll: false,
      }),
      ...firewallElements(key, [ip('fd00::5')], 'same-bridge', 'br0'),
    ];
    const normal = (element: Element) => ({
      ...element,
      key: hex(element.key),
      ...(element.value === undefined ? {} : { value: hex(element.value) }),
    });
    for (const element of elements) {
      const { body: bytes } = encodeOperation({ op: 'create-element', table: 'rkt', element });
      expect(decodeElements(bytes).map(normal)).toEqual([normal(element)]);
      expect(decodeElements(bytes, Buffer.from('net/cid/eth0'))).toHaveLength(1);
      expect(decodeElements(bytes, Buffer.from('net/cid/eth1'))).toEqual([]);
    }
  });

  test('elements without comment, and userdata of other kinds', () => {
    const [element] = masqueradeElements(key, [cidr('10.1.0.5/24')]);
    if (element === undefined) throw new Error('no element');
    expect(decodeElements(encodeOperation({ op: 'delete-element', table: 'rkt', element }).body)).toMatchObject([{ set: 'masq4', comment: '' }]);
  });

  test('a needle is found inside one list item, not across two', () => {
    const items = ['xxab', 'cdxx', 'abcd', 'yabcdy'].map((text) => attribute(1, Buffer.from(text)));
    expect(listContaining(Buffer.concat(items), Buffer.from('abcd')).map(String)).toEqual(['abcd', 'yabcdy']);
    expect(listContaining(Buffer.concat(items), Buffer.from('abcde'))).toEqual([]);
    expect(listContaining(Buffer.from([2, 0, 1, 0, 97]), Buffer.from('a'))).toEqual([]);
  });

  test('every set has a definition whose key starts with what it is about', () => {
    for (const name of setNames)
      expect(setDefinition(name).key[0], name).toMatch(name.startsWith('ports') ? /inet_proto/ : name.endsWith('4') ? /ipv4/ : /ipv6/);
  });
});
