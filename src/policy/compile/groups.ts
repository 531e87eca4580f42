/** Groups of addresses, and of ports by name, as elements of a few sets: however many policies there are, the number of sets is the same. Pure. */
import { type Family, type Ip, ipBytes } from '../../model/cidr.ts';
import type { TableElement } from '../../model/ruleset/table.ts';
import { word } from '../../model/ruleset/expressions.ts';
import type { Protocol } from '../model/values.ts';

export const protocols = ['TCP', 'UDP', 'SCTP'] as const satisfies readonly Protocol[];
export const protocolNumber = { TCP: 6, UDP: 17, SCTP: 132 } as const satisfies Record<Protocol, number>;

/** Two bytes in network order, padded as a field of a key. */
export const portField = (port: number): Buffer => Buffer.from([port >> 8, port & 0xff, 0, 0]);

/** Number of a group of `family`: the first field of a key in the set of that family. Groups of equal content are one. */
class Numbered {
  readonly #numbers = new Map<string, number>();
  readonly elements: Record<Family, TableElement[]> = { 4: [], 6: [] };

  number(family: Family, members: readonly Uint8Array[]): number {
    const identity = `${family}${Buffer.concat(members).toString('latin1')}`;
    const known = this.#numbers.get(identity);
    if (known !== undefined) return known;
    const number = this.#numbers.size + 1;
    this.#numbers.set(identity, number);
    for (const member of members) this.elements[family].push({ key: Buffer.concat([word(number), member]) });
    return number;
  }
}

/** A container port of an address. */
export interface NamedPort {
  readonly ip: Ip;
  readonly protocol: Protocol;
  readonly port: number;
}

const sortedUnique = (members: readonly Buffer[]): Buffer[] => {
  const byBytes = new Map(members.map((member) => [member.toString('latin1'), member]));
  return [...byBytes.keys()].sort().map((key) => byBytes.get(key) ?? Buffer.alloc(0));
};

export class Groups {
  readonly #addresses = new Numbered();
  readonly #ports = new Numbered();

  /** undefined: none of them is of that family */
  addresses(family: Family, ips: readonly Ip[]): number | undefined {
    const members = sortedUnique(ips.filter((ip) => ip.family === family).map(ipBytes));
    return members.length === 0 ? undefined : this.#addresses.number(family, members);
  }
  ports(family: Family, ports: readonly NamedPort[]): number | undefined {
    const members = sortedUnique(
      ports
        .filter(({ ip }) => ip.family === family)
        .map(({ ip, protocol, port }) => Buffer.concat([ipBytes(ip), Buffer.of(protocolNumber[protocol], 0, 0, 0), portField(port)])),
    );
    return members.length === 0 ? undefined : this.#ports.number(family, members);
  }
  addressElements = (family: Family): readonly TableElement[] => this.#addresses.elements[family];
  portElements = (family: Family): readonly TableElement[] => this.#ports.elements[family];
}
