/** Which device the host sends through to reach an address: the kernel's own answer (RTM_GETROUTE), policy routing included. */
import { formatAttribute, parseAttributes } from 'netlink/dist/structs.js';
import { type Ip, ipBytes } from '../../model/cidr.ts';
import { isErrno } from '../linux.ts';
import { linkByIndex } from './rtnetlink.ts';
import type { Reply, RouteSocket } from './socket.ts';

const RTM_GETROUTE = 26;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const rtmsgBytes = 12;

/** How the host sends to an address. */
export interface Way {
  readonly device: string;
  /** the address is a neighbour on that device, not behind a gateway */
  readonly isDirect: boolean;
}

/** Undefined when there is no route (none, or one that says unreachable, prohibit, blackhole). @throws Errno */
export function wayTowards(socket: RouteSocket, ip: Ip): Way | undefined {
  const bytes = ipBytes(ip);
  const rtmsg = Buffer.alloc(rtmsgBytes);
  rtmsg[0] = ip.family === 4 ? 2 : 10;
  rtmsg[1] = bytes.length * 8;
  let route: Reply | undefined;
  try {
    const body = Buffer.concat([rtmsg, ...formatAttribute({ type: RTA_DST, data: bytes })]);
    route = socket.get({ type: RTM_GETROUTE, flags: 0, body, what: `look up the route to ${ip.text}` });
  } catch (error) {
    if (isErrno(error, 'ENETUNREACH', 'EHOSTUNREACH', 'EACCES', 'EINVAL')) return undefined;
    throw error;
  }
  let index = 0;
  let isDirect = true;
  if (route !== undefined)
    parseAttributes(route.body.subarray(rtmsgBytes), (item) => {
      if (item.type === RTA_OIF) index = item.data.readUInt32LE(0);
      if (item.type === RTA_GATEWAY) isDirect = false;
    });
  const device = index === 0 ? undefined : linkByIndex(socket, index)?.name;
  return device === undefined ? undefined : { device, isDirect };
}
