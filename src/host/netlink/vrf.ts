/** VRF devices, and what an interface loses when it becomes part of one. @see linux/if_link.h, drivers/net/vrf.c */
import { ipFromBytes, type Cidr } from '../../model/cidr.ts';
import { NLM_F } from './flags.ts';
import { attribute, IFLA, linkHeader, RTM as LINK, text, u32, type Link } from './rtnetlink.ts';
import type { Request, RouteSocket } from './socket.ts';

const IFLA_VRF_TABLE = 1;

/** EEXIST when the name is taken, EOPNOTSUPP when the kernel has no VRF. */
export const createVrf = (name: string, table: number): Request => ({
  type: LINK.NEWLINK,
  flags: NLM_F.CREATE | NLM_F.EXCL,
  body: Buffer.concat([linkHeader(0), text(IFLA.IFNAME, name), attribute(IFLA.LINKINFO, text(1, 'vrf'), attribute(2, u32(IFLA_VRF_TABLE, table)))]),
  what: `create VRF ${name}`,
});

/** Table of a VRF; undefined for a link that is none. */
export function tableOfVrf({ kind, data }: Link): number | undefined {
  if (kind !== 'vrf') return undefined;
  for (let at = 0; at + 8 <= data.length;) {
    const length = data.readUInt16LE(at);
    if (length < 4) break;
    if ((data.readUInt16LE(at + 2) & 0x3fff) === IFLA_VRF_TABLE) return data.readUInt32LE(at + 4);
    at += (length + 3) & ~3;
  }
  return undefined;
}

/** An IPv6 address of a link, and the request that gives it back with its flags and lifetimes. */
export interface HeldAddress {
  readonly address: Cidr;
  readonly give: Request;
}
const addressHeaderBytes = 8;
const IFA = { ADDRESS: 1, LOCAL: 2, FLAGS: 8 } as const;
const IFA_F_NODAD = 2;
const RT_SCOPE_LINK = 253;

/** Global IPv6 addresses of the link with `index`. Given back, they are usable at once: they were before. */
export function ipv6Addresses(socket: RouteSocket, index: number): HeldAddress[] {
  const header = Buffer.alloc(addressHeaderBytes);
  header[0] = 10;
  return socket.dump({ type: LINK.GETADDR, flags: 0, body: header, what: 'list addresses' }).flatMap(({ body }) => {
    // Link-local ones are the kernel's to make.
    if (body[0] !== 10 || body[3] === RT_SCOPE_LINK || body.readUInt32LE(4) !== index) return [];
    const give = Buffer.from(body);
    give[2] = (give[2] ?? 0) | IFA_F_NODAD;
    let bytes: Buffer | undefined;
    for (let at = addressHeaderBytes; at + 4 <= give.length;) {
      const length = give.readUInt16LE(at);
      if (length < 4) break;
      const type = give.readUInt16LE(at + 2);
      if (type === IFA.LOCAL || (type === IFA.ADDRESS && bytes === undefined)) bytes = give.subarray(at + 4, at + length);
      if (type === IFA.FLAGS) give.writeUInt32LE(give.readUInt32LE(at + 4) | IFA_F_NODAD, at + 4);
      at += (length + 3) & ~3;
    }
    if (bytes === undefined) return [];
    const address = { ip: ipFromBytes(bytes), prefixLen: body[1] ?? 0 };
    return [{ address, give: { type: LINK.NEWADDR, flags: NLM_F.CREATE | NLM_F.EXCL, body: give, what: `give address ${address.ip.text} back` } }];
  });
}
