/** Links of kinds that a pod gets whole: macvlan, ipvlan, vlan, dummy. @see linux/if_link.h */
import { parseAttributes } from 'netlink/dist/structs.js';
import { isErrno } from '../linux.ts';
import { NLM_F } from './flags.ts';
import { attribute, deleteLink, fieldsOf, IFLA, linkByName, linkHeader, RTM, text, u32, type Link, type LinkFields } from './rtnetlink.ts';
import type { Request, RouteSocket } from './socket.ts';

export const macvlanModes = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;
export type MacvlanMode = keyof typeof macvlanModes;
export const ipvlanModes = { l2: 0, l3: 1, l3s: 2 } as const;
export type IpvlanMode = keyof typeof ipvlanModes;

/** What kind of link, and how it is set. */
export type LinkSpec =
  | { readonly kind: 'macvlan'; readonly mode: MacvlanMode; /** packets; 0: the kernel's */ readonly broadcastQueue: number }
  | { readonly kind: 'ipvlan'; readonly mode: IpvlanMode }
  | { readonly kind: 'vlan'; /** 0-4094 */ readonly id: number }
  | { readonly kind: 'dummy' };
export type LinkKind = LinkSpec['kind'];

const DATA = { MACVLAN_MODE: 1, MACVLAN_BC_QUEUE_LEN: 7, IPVLAN_MODE: 1, VLAN_ID: 1, TUN_TYPE: 3 } as const;
function u16(type: number, value: number): Buffer {
  const word = Buffer.alloc(2);
  word.writeUInt16LE(value);
  return attribute(type, word);
}
function dataOf(spec: LinkSpec): Buffer[] {
  switch (spec.kind) {
    case 'macvlan':
      return [
        u32(DATA.MACVLAN_MODE, macvlanModes[spec.mode]),
        ...(spec.broadcastQueue === 0 ? [] : [u32(DATA.MACVLAN_BC_QUEUE_LEN, spec.broadcastQueue)]),
      ];
    case 'ipvlan':
      return [u16(DATA.IPVLAN_MODE, ipvlanModes[spec.mode])];
    case 'vlan':
      return [u16(DATA.VLAN_ID, spec.id)];
    case 'dummy':
      return [];
  }
}

/** Where a link comes to be. */
export interface LinkPlace {
  /** index of the link it stands on, in the namespace of the socket */
  readonly parent?: number | undefined;
  /** namespace it is made in; absent: that of the socket */
  readonly netnsFd?: number | undefined;
}

/** A link, down. EEXIST when the name is taken (kernels before 6.13 look for it in the namespace of the socket, too). */
export function createLink(name: string, spec: LinkSpec, place: LinkPlace, fields: LinkFields): Request {
  const data = dataOf(spec);
  return {
    type: RTM.NEWLINK,
    flags: NLM_F.CREATE | NLM_F.EXCL,
    body: Buffer.concat([
      linkHeader(0),
      text(IFLA.IFNAME, name),
      ...(place.parent === undefined ? [] : [u32(IFLA.LINK, place.parent)]),
      ...(place.netnsFd === undefined ? [] : [u32(IFLA.NET_NS_FD, place.netnsFd)]),
      ...fieldsOf(fields),
      attribute(IFLA.LINKINFO, text(1, spec.kind), ...(data.length === 0 ? [] : [attribute(2, ...data)])),
    ]),
    what: `create ${spec.kind} ${name}`,
  };
}

/**
 * Whether the kernel has links of that kind, its module loaded by asking. Makes nothing: the request names a multicast
 * address and no parent, which every kind refuses, but only a kernel without the kind by EOPNOTSUPP.
 */
export function hasLinkKind(socket: RouteSocket, kind: LinkKind): boolean {
  const name = 'rktprobe';
  const body = Buffer.concat([
    linkHeader(0),
    text(IFLA.IFNAME, name),
    attribute(IFLA.ADDRESS, Buffer.from([1, 0, 0, 0, 0, 0])),
    attribute(IFLA.LINKINFO, text(1, kind)),
  ]);
  try {
    socket.request([{ type: RTM.NEWLINK, flags: NLM_F.CREATE | NLM_F.EXCL, body, what: `look for links of kind ${kind}` }]);
  } catch (error) {
    if (isErrno(error, 'EPERM')) throw error;
    return !isErrno(error, 'EOPNOTSUPP');
  }
  const made = linkByName(socket, name);
  if (made !== undefined) socket.request([deleteLink(made.index, name)]);
  return true;
}

function dataValue({ data }: Link, type: number): number | undefined {
  let value: number | undefined;
  parseAttributes(data, (item) => {
    if (item.type === type) value = item.data.readUIntLE(0, Math.min(item.data.length, 4));
  });
  return value;
}
const nameIn = <M extends string>(modes: Readonly<Record<M, number>>, value: number | undefined): M | undefined =>
  (Object.keys(modes) as M[]).find((name) => modes[name] === value);

/** Mode of a macvlan link. */
export const macvlanModeOf = (link: Link): MacvlanMode | undefined => nameIn(macvlanModes, dataValue(link, DATA.MACVLAN_MODE));
/** Mode of an ipvlan link. */
export const ipvlanModeOf = (link: Link): IpvlanMode | undefined => nameIn(ipvlanModes, dataValue(link, DATA.IPVLAN_MODE));
/** Id of a vlan link. */
export const vlanIdOf = (link: Link): number | undefined => dataValue(link, DATA.VLAN_ID);
/** True for a tap, false for a tun and everything else. */
export const isTap = (link: Link): boolean => link.kind === 'tun' && dataValue(link, DATA.TUN_TYPE) === 2;
