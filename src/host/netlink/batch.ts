/** rtnetlink requests as bytes, for who sends them from elsewhere. Pure. */
import { formatMessage } from 'netlink/dist/structs.js';
import { NLM_F } from './flags.ts';
import type { Request } from './socket.ts';

/** The kernel takes at most its socket buffer's size in one send: an ordinary user's is 208 KiB. */
const bytesPerDatagram = 64 * 1024;

/** Datagrams of requests, in order; failures are answered in any case, success by the last one of each. Sequence numbers count from 1 in each. */
export function encodeRequests(requests: readonly Request[]): Buffer[] {
  const datagrams: Buffer[] = [];
  let open: Request[] = [];
  let length = 0;
  const close = (): void => {
    const last = open.length - 1;
    datagrams.push(
      Buffer.concat(
        open.flatMap(({ type, flags, body }, index) =>
          formatMessage({ type, flags: flags | NLM_F.REQUEST | (index === last ? NLM_F.ACK : 0), seq: index + 1, port: 0, data: body }),
        ),
      ),
    );
    open = [];
    length = 0;
  };
  for (const request of requests) {
    if (length + request.body.length + 20 > bytesPerDatagram) close();
    open.push(request);
    length += request.body.length + 20;
  }
  if (open.length > 0) close();
  return datagrams;
}
