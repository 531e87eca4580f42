/** What every netlink family shares: how a socket is opened, and how the kernel reports what failed. @see native.md C */
import { Errno, close, raw, setsockopt, socket } from '../linux.ts';

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NLMSGERR_ATTR_MSG = 1;
const ATTR_TYPE_MASK = 0x3fff;
const FLAG_ACK_TLVS = 0x200;
const FLAG_CAPPED = 0x100;

/** A socket of the network namespace this thread is in; it stays there. @throws Errno */
export function openNetlink(family: number, receiveBufferBytes: number): number {
  const fd = socket(AF_NETLINK, SOCK_RAW_CLOEXEC, family);
  try {
    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
    setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
    const size = Buffer.alloc(4);
    size.writeUInt32LE(receiveBufferBytes);
    // For large dumps, and transactions whose every message is answered. Best effort: forcing needs CAP_NET_ADMIN.
    raw('setsockopt', fd, SOL_SOCKET, SO_RCVBUFFORCE, size, size.length);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** Room for one datagram of `bytes`, where the socket has less: a computed table is one. Best effort, as above. */
export function allowLargeSends(fd: number, bytes: number): void {
  const size = Buffer.alloc(4);
  size.writeUInt32LE(bytes);
  raw('setsockopt', fd, SOL_SOCKET, SO_SNDBUFFORCE, size, size.length);
}

interface Answer {
  readonly data: Buffer;
  readonly flags: number;
}

/** Errno of an NLMSG_ERROR or NLMSG_DONE; 0: success. */
export const errnoOf = ({ data }: Answer): number => (data.length < 4 ? 0 : -data.readInt32LE(0));

/** The failure that an NLMSG_ERROR tells of, in the kernel's own words where it had some. */
export const failureOf = (answer: Answer, call: string, subject?: string): Errno => new Errno(call, errnoOf(answer), subject, detailOf(answer));

/** Text of an extended acknowledgement: an attribute behind the error and the (capped) original header. Empty: none. */
export function detailOf({ data, flags }: Answer): string {
  if ((flags & FLAG_ACK_TLVS) === 0) return '';
  const original = (flags & FLAG_CAPPED) === 0 ? data.readUInt32LE(4) : 16;
  for (let at = 4 + ((original + 3) & ~3); at + 4 <= data.length;) {
    const length = data.readUInt16LE(at);
    if (length < 4) break;
    if ((data.readUInt16LE(at + 2) & ATTR_TYPE_MASK) === NLMSGERR_ATTR_MSG) return data.toString('utf8', at + 4, at + length).replace(/\0.*$/s, '');
    at += (length + 3) & ~3;
  }
  return '';
}
