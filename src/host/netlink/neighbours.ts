/** Who is behind an address or a MAC: entries that stay and are not learnt. @see linux/neighbour.h */
import { type Ip, ipBytes } from '../../model/cidr.ts';
import { NLM_F } from './flags.ts';
import { attribute } from './rtnetlink.ts';
import type { Request } from './socket.ts';

const RTM_NEWNEIGH = 28;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NUD_NOARP = 0x40;
const NUD_PERMANENT = 0x80;
const NTF_MASTER = 4;
const AF_BRIDGE = 7;

function header(family: number, index: number, state: number, flags: number): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt8(family, 0);
  bytes.writeInt32LE(index, 4);
  bytes.writeUInt16LE(state, 8);
  bytes.writeUInt8(flags, 10);
  return bytes;
}
const macBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex');
const request = (body: Buffer[], what: string): Request => ({
  type: RTM_NEWNEIGH,
  flags: NLM_F.CREATE | NLM_F.REPLACE,
  body: Buffer.concat(body),
  what,
});

/** `ip` on the link with `index` has `mac`. Permanent entries are not counted against the machine's limit (gc_thresh3, 1024 for all namespaces). */
export const permanentNeighbour = (index: number, ip: Ip, mac: string): Request =>
  request(
    [header(ip.family === 4 ? 2 : 10, index, NUD_PERMANENT, 0), attribute(NDA_DST, ipBytes(ip)), attribute(NDA_LLADDR, macBytes(mac))],
    `set neighbour ${ip.text}`,
  );

/** Frames to `mac` leave the bridge through its port with `index`: none is flooded while the bridge has yet to learn. */
export const bridgeEntry = (index: number, mac: string): Request =>
  request([header(AF_BRIDGE, index, NUD_NOARP, NTF_MASTER), attribute(NDA_LLADDR, macBytes(mac))], `set bridge entry ${mac}`);

const RTM_DELNEIGH = 29;
const NTF_PROXY = 8;
const proxyBody = (index: number, ip: Ip): Buffer =>
  Buffer.concat([header(ip.family === 4 ? 2 : 10, index, 0, NTF_PROXY), attribute(NDA_DST, ipBytes(ip))]);
/** The host answers for `ip` on the link with `index` (with proxy_ndp). */
export const proxyNeighbour = (index: number, ip: Ip): Request => request([proxyBody(index, ip)], `answer for ${ip.text}`);
/** The reverse; nothing when it did not. */
export const noProxyNeighbour = (index: number, ip: Ip): Request => ({
  type: RTM_DELNEIGH,
  flags: 0,
  body: proxyBody(index, ip),
  what: `stop answering for ${ip.text}`,
  mayFail: ['ENOENT'],
});
