/**
 * Whether this kernel can make a kind of link or queueing discipline. Asked with requests that a kernel which can refuses for another
 * reason before it makes anything: nothing is changed, but a module may be loaded.
 */
import { isErrno } from '../linux.ts';
import { NLM_F } from './flags.ts';
import { attribute, IFLA, linkByName, linkHeader, RTM as LINK, text } from './rtnetlink.ts';
import type { RouteSocket } from './socket.ts';

const RTM_NEWQDISC = 36;

/** ifb, vrf: kinds that check the length of their hardware address, which is the reason they refuse for. @throws Errno */
export function hasLinkKind(socket: RouteSocket, kind: 'ifb' | 'vrf'): boolean {
  const body = Buffer.concat([linkHeader(0), attribute(IFLA.ADDRESS, Buffer.of(0)), attribute(IFLA.LINKINFO, text(1, kind))]);
  return refusal(socket, { type: LINK.NEWLINK, body, what: `ask for links of kind ${kind}` }) !== 'EOPNOTSUPP';
}

/** tbf, htb: disciplines that do not start without options. @throws Errno */
export function hasQdisc(socket: RouteSocket, kind: 'tbf' | 'htb'): boolean {
  const index = linkByName(socket, 'lo')?.index ?? 1;
  const header = Buffer.alloc(20);
  header.writeInt32LE(index, 4);
  header.writeUInt32LE(0x7fff_0000, 8);
  header.writeUInt32LE(0xffff_ffff, 12);
  const body = Buffer.concat([header, text(1, kind)]);
  return refusal(socket, { type: RTM_NEWQDISC, body, what: `ask for qdisc ${kind}` }) !== 'ENOENT';
}

/** How a request that cannot succeed fails. */
function refusal(socket: RouteSocket, request: { readonly type: number; readonly body: Buffer; readonly what: string }): string {
  const codes = ['EOPNOTSUPP', 'ENOENT', 'EINVAL', 'EEXIST'] as const;
  try {
    socket.request([{ ...request, flags: NLM_F.CREATE | NLM_F.EXCL }]);
  } catch (error) {
    const code = codes.find((candidate) => isErrno(error, candidate));
    if (code !== undefined) return code;
    throw error;
  }
  throw new Error(`${request.what}: the kernel took a request that is not valid`);
}
