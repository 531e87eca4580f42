/** Elements of table `inet rkt` as `nft` and people write them. Pure. */
import { ipFromBytes } from '../cidr.ts';
import { type Element, type FieldType, setDefinition } from '../ruleset.ts';

const lengths: Readonly<Record<FieldType, number>> = { ipv4_addr: 4, ipv6_addr: 16, inet_proto: 1, inet_service: 2, ifname: 16 };
const protocols: Readonly<Record<number, string>> = { 6: 'tcp', 17: 'udp', 132: 'sctp' };

function fieldText(type: FieldType, bytes: Buffer): string {
  switch (type) {
    case 'ipv4_addr':
    case 'ipv6_addr':
      return ipFromBytes(bytes).text;
    case 'inet_proto':
      return protocols[bytes[0] ?? 0] ?? String(bytes[0]);
    case 'inet_service':
      return String(bytes.readUInt16BE(0));
    case 'ifname':
      return bytes.toString('utf8').replace(/\0.*$/s, '');
  }
}

/** Fields of a concatenation, each padded to four bytes. */
function concatenation(types: readonly FieldType[], data: Uint8Array): string {
  const bytes = Buffer.from(data);
  let at = 0;
  return types
    .map((type) => {
      const text = fieldText(type, bytes.subarray(at, at + lengths[type]));
      at += Math.ceil(lengths[type] / 4) * 4;
      return text;
    })
    .join(' . ');
}

/** `ports4 { tcp . 8080 : 172.16.29.2 . 80 }` */
export function elementText({ set, key, value, chain }: Element): string {
  const definition = setDefinition(set);
  const target =
    chain !== undefined
      ? ` : ${set.startsWith('masq') ? 'goto' : 'jump'} ${chain}`
      : value === undefined || definition.value === undefined || definition.value === 'verdict'
        ? ''
        : ` : ${concatenation(definition.value, value)}`;
  return `${set} { ${concatenation(definition.key, key)}${target} }`;
}
