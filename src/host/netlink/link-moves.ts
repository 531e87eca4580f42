/** Links that change their name or their namespace. @see linux/if_link.h, net/core/dev.c */
import { NLM_F } from './flags.ts';
import { attribute, changeLink, IFLA, linkHeader, text, u32, type Link } from './rtnetlink.ts';
import type { Request } from './socket.ts';

const RTM_NEWLINKPROP = 108;
const RTM_DELLINKPROP = 109;
const NLA_F_NESTED = 0x8000;
const IFF_UP = 1;

export const setDown = ({ index, name }: Link): Request => changeLink(index, `set ${name} down`, [], 0, IFF_UP);
/** A link that is down gets another name. EEXIST when it is taken. */
export const renameLink = ({ index, name }: Link, to: string): Request => changeLink(index, `rename ${name} to ${to}`, [text(IFLA.IFNAME, to)]);
/** A hardware address; some links take one only while they are down. */
export const setMac = ({ index, name }: Link, mac: string): Request =>
  changeLink(index, `set the address of ${name}`, [attribute(IFLA.ADDRESS, Buffer.from(mac.replaceAll(':', ''), 'hex'))]);
/** Bytes. */
export const setMtu = ({ index, name }: Link, mtu: number): Request => changeLink(index, `set the mtu of ${name}`, [u32(IFLA.MTU, mtu)]);
/** Makes it a port of the bridge with index `master`. */
export const setMaster = ({ index, name }: Link, master: number): Request => changeLink(index, `make ${name} a port`, [u32(IFLA.MASTER, master)]);

/**
 * Into the namespace behind `netnsFd`, as `to`, down and without its addresses. EEXIST with the link where it was: one of its
 * names is taken there. EEXIST with the link there under its old name: somebody took `to` meanwhile.
 */
export const moveLink = ({ index, name }: Link, netnsFd: number, to: string): Request =>
  changeLink(index, `move ${name}`, [u32(IFLA.NET_NS_FD, netnsFd), text(IFLA.IFNAME, to)]);

const altName = (type: number, flags: number, what: string, index: number, name: string): Request => ({
  type,
  flags,
  body: Buffer.concat([linkHeader(index), attribute(IFLA.PROP_LIST | NLA_F_NESTED, text(IFLA.ALT_IFNAME, name))]),
  what: `${what} ${name}`,
});
/** One more name, 1-127 bytes, that goes with the link wherever it goes. EEXIST when something answers to it already. */
export const addAltName = (index: number, name: string): Request =>
  altName(RTM_NEWLINKPROP, NLM_F.CREATE | NLM_F.APPEND | NLM_F.EXCL, 'add the name', index, name);
/** Takes it away. EINVAL or ENOENT when the link has no such name. */
export const deleteAltName = (index: number, name: string): Request => altName(RTM_DELLINKPROP, 0, 'remove the name', index, name);
