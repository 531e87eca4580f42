/** What an element of a set does, in words. Pure. */
import { ipFromBytes, type Ip } from '../cidr.ts';
import type { Element, SetRole } from '../ruleset.ts';

const protocols: Readonly<Record<number, string>> = { 6: 'tcp', 17: 'udp', 132: 'sctp' };

/** Protocol, port and host address ('' = every one) of an element of a port map. */
export function hostPortOf(element: Element): { readonly port: number; readonly protocol: string; readonly address: string } {
  const key = Buffer.from(element.key);
  const at = key.length - 8;
  return { port: key.readUInt16BE(at + 4), protocol: protocols[key[at] ?? 0] ?? '', address: at === 0 ? '' : ipFromBytes(key.subarray(0, at)).text };
}

const podOf = ({ set, key }: Element): Ip => ipFromBytes(key.subarray(0, set.endsWith('4') ? 4 : 16));

/** `published port 8080/tcp`, `forwarding for 10.1.0.2`, … */
export function elementText(element: Element): string {
  const role = element.set.slice(0, -1) as SetRole;
  switch (role) {
    case 'ports':
    case 'hostports': {
      const { port, protocol, address } = hostPortOf(element);
      return `published port ${port}/${protocol}${address === '' ? '' : ` on ${address}`}`;
    }
    case 'masq':
      return `masquerading of ${podOf(element).text}`;
    case 'hairpin':
      return `way back of connections to published ports of ${podOf(element).text}`;
    case 'pods':
      return `forwarding for ${podOf(element).text}`;
    case 'closed':
      return `isolation of ${podOf(element).text}`;
    case 'same':
      return `access to ${podOf(element).text} from its own bridge`;
  }
}
