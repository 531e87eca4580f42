/** Which device the host sends through to reach an address: the kernel's own answer (RTM_GETROUTE), policy routing included. */
import { formatAttribute, formatMessage, parseAttributes, parseMessages } from 'netlink/dist/structs.js';
import { type Ip, ipBytes } from '../model/cidr.ts';
import { Errno, close, errnoName, raw, receive, send, socket } from './linux.ts';

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NETLINK_ROUTE = 0;
const RTM_NEWROUTE = 24;
const RTM_GETROUTE = 26;
const NLM_F_REQUEST = 1;
const NLMSG_ERROR = 2;
const RTA_DST = 1;
const RTA_OIF = 4;
const SIOCGIFNAME = 0x8910;

/** Name of the device; undefined when there is no route. Throws Errno. */
export function deviceTowards(ip: Ip): string | undefined {
  const fd = socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_ROUTE);
  try {
    const bytes = ipBytes(ip);
    const rtmsg = Buffer.alloc(12);
    rtmsg[0] = ip.family === 4 ? 2 : 10;
    rtmsg[1] = bytes.length * 8;
    send(
      fd,
      Buffer.concat(
        formatMessage({
          type: RTM_GETROUTE,
          flags: NLM_F_REQUEST,
          seq: 1,
          port: 0,
          data: [rtmsg, ...formatAttribute({ type: RTA_DST, data: bytes })],
        }),
      ),
    );
    const inbox = Buffer.alloc(8192);
    const [answer] = parseMessages(inbox.subarray(0, receive(fd, inbox)));
    if (answer?.type === NLMSG_ERROR) {
      const errno = -answer.data.readInt32LE(0);
      if (['ENETUNREACH', 'EHOSTUNREACH', 'EACCES', 'EINVAL'].includes(errnoName(errno))) return undefined; // none, or unreachable/prohibit/blackhole
      throw new Errno('route', errno, ip.text);
    }
    let index = 0;
    if (answer?.type === RTM_NEWROUTE)
      parseAttributes(answer.data.subarray(12), (item) => void (item.type === RTA_OIF && (index = item.data.readUInt32LE(0))));
    return index === 0 ? undefined : deviceName(fd, index);
  } finally {
    close(fd);
  }
}

function deviceName(fd: number, index: number): string | undefined {
  const ifreq = Buffer.alloc(40);
  ifreq.writeInt32LE(index, 16);
  return raw('ioctl', fd, SIOCGIFNAME, ifreq) < 0 ? undefined : ifreq.toString('utf8', 0, ifreq.indexOf(0));
}
