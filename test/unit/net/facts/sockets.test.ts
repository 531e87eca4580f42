import { expect, test } from 'vitest';
import { parseSctpEndpoints, parseSockets } from '../../../../src/net/facts/ports.ts';

const line = (local: string, state: string, inode: number): string =>
  `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000  1000        0 ${inode} 1 0000000000000000 100 0 0 10 0`;
const head = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode';

test('listening and unconnected sockets, both families, mapped addresses as IPv4', () => {
  const tcp = [head, line('0100007F:1F90', '0A', 7), line('0100007F:1F91', '01', 8), line('00000000:0050', '0A', 9), ''].join('\n');
  expect(parseSockets(tcp, 'tcp')).toEqual([
    { protocol: 'tcp', address: '127.0.0.1', port: 8080, uid: 1000, inode: '7' },
    { protocol: 'tcp', address: '0.0.0.0', port: 80, uid: 1000, inode: '9' },
  ]);
  const udp6 = [
    head,
    line('B80D0120000000000000000001000000:0035', '07', 1),
    line('0000000000000000FFFF00000100000A:0035', '07', 2),
    line('00000000000000000000000000000000:0035', '01', 3),
  ].join('\n');
  expect(parseSockets(udp6, 'udp').map(({ address, port }) => [address, port])).toEqual([
    ['2001:db8::1', 53],
    ['10.0.0.1', 53],
  ]);
});

test('SCTP endpoints, one entry an address', () => {
  const text = ' ENDPT     SOCK   STY SST HBKT LPORT   UID INODE LADDRS\n ffff8 ffff9 2   10  29   36412  0  1234 192.0.2.1 fd00::1 \n';
  expect(parseSctpEndpoints(text).map(({ address, port, inode }) => [address, port, inode])).toEqual([
    ['192.0.2.1', 36412, '1234'],
    ['fd00::1', 36412, '1234'],
  ]);
});
