/**
 * rtnetlink, synchronous: requests are answered inside send(2), so replies wait in the buffer when it returns. Batches go out in one
 * send; a batch is not atomic, so the first failure names its message. Extended acks become part of the error.
 * @see native.md C
 */
import { formatMessage, parseMessages } from 'netlink/dist/structs.js';
import { Errno, close, raw, receive, send, sendDetached, setsockopt, socket } from '../linux.ts';

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NETLINK_ROUTE = 0;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLMSGERR_ATTR_MSG = 1;
const FLAG_ACK_TLVS = 0x200;
const FLAG_CAPPED = 0x100;
const FLAG_DUMP_INTERRUPTED = 0x10;

export const NLM_F = { REQUEST: 1, ACK: 4, DUMP: 0x300, REPLACE: 0x100, EXCL: 0x200, CREATE: 0x400, APPEND: 0x800 } as const;

/** One request. `what` names it in errors: `create link eth0`. */
export interface Request {
  readonly type: number;
  readonly flags: number;
  readonly body: Buffer;
  readonly what: string;
}
export interface Reply {
  readonly type: number;
  readonly body: Buffer;
}

/** A socket of the network namespace the thread was in when it was opened; it stays there. */
export class RouteSocket implements Disposable {
  readonly #fd: number;
  #sequence = 1;
  #inbox = Buffer.alloc(32 * 1024);

  constructor() {
    this.#fd = socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_ROUTE);
    setsockopt(this.#fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
    setsockopt(this.#fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
    // Large dumps; without the privilege to force it the default has to do.
    raw('setsockopt', this.#fd, SOL_SOCKET, SO_RCVBUFFORCE, Buffer.from([0, 0, 32, 0]), 4);
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }

  /** Sends all requests at once. @throws Errno of the first that failed; those behind it were applied all the same */
  request(requests: readonly Request[]): void {
    if (requests.length === 0) return; // an empty datagram is ENODATA
    const first = this.#send(requests.map((request) => ({ ...request, flags: request.flags | NLM_F.REQUEST | NLM_F.ACK })));
    let failure: Errno | undefined;
    for (let acknowledged = 0; acknowledged < requests.length;) {
      for (const message of this.#receive()) {
        if (message.seq < first || message.type !== NLMSG_ERROR) continue;
        acknowledged++;
        const errno = -message.data.readInt32LE(0);
        if (errno !== 0) failure ??= new Errno('netlink', errno, requests[message.seq - first]?.what, extendedAck(message.data, message.flags));
      }
    }
    if (failure !== undefined) throw failure;
  }

  /** Sends one request without waiting for what it takes (a link deletion waits some 20 ms for RCU). Its failure is not seen: verify later. */
  requestDetached(request: Request): void {
    const seq = this.#sequence++;
    sendDetached(
      this.#fd,
      Buffer.concat(formatMessage({ type: request.type, flags: request.flags | NLM_F.REQUEST, seq, port: 0, data: request.body })),
    );
  }

  /** One object; undefined when the kernel has none (ENODEV). */
  get(request: Request): Reply | undefined {
    const first = this.#send([{ ...request, flags: request.flags | NLM_F.REQUEST }]);
    for (;;) {
      for (const message of this.#receive()) {
        if (message.seq < first) continue;
        if (message.type !== NLMSG_ERROR) return { type: message.type, body: message.data };
        const errno = -message.data.readInt32LE(0);
        if (errno === 19) return undefined;
        throw new Errno('netlink', errno, request.what, extendedAck(message.data, message.flags));
      }
    }
  }

  /** Every object of a kind. A dump that a change interrupted is taken again. */
  dump(request: Request): Reply[] {
    for (let tries = 0; tries < 20; tries++) {
      const replies = this.#dumpOnce(request);
      if (replies !== undefined) return replies;
    }
    throw new Errno('netlink', 11, request.what, 'it kept changing while it was read');
  }

  #dumpOnce(request: Request): Reply[] | undefined {
    const first = this.#send([{ ...request, flags: request.flags | NLM_F.REQUEST | NLM_F.DUMP }]);
    const replies: Reply[] = [];
    let interrupted = false;
    for (;;) {
      for (const message of this.#receive()) {
        if (message.seq < first) continue;
        if ((message.flags & FLAG_DUMP_INTERRUPTED) !== 0) interrupted = true;
        if (message.type === NLMSG_DONE) {
          // A dump that fails half-way says so in its last message, not in an error of its own.
          const errno = message.data.length < 4 ? 0 : -message.data.readInt32LE(0);
          if (errno > 0) throw new Errno('netlink', errno, request.what);
          return interrupted ? undefined : replies;
        }
        if (message.type === NLMSG_ERROR)
          throw new Errno('netlink', -message.data.readInt32LE(0), request.what, extendedAck(message.data, message.flags));
        replies.push({ type: message.type, body: message.data });
      }
    }
  }

  #send(requests: readonly Request[]): number {
    const first = this.#sequence;
    this.#sequence += requests.length;
    send(
      this.#fd,
      Buffer.concat(requests.flatMap(({ type, flags, body }, i) => formatMessage({ type, flags, seq: first + i, port: 0, data: body }))),
    );
    return first;
  }

  #receive(): ReturnType<typeof parseMessages> {
    const MSG_PEEK = 2;
    const length = receive(this.#fd, this.#inbox, MSG_PEEK);
    if (length > this.#inbox.length) this.#inbox = Buffer.alloc(length);
    receive(this.#fd, this.#inbox);
    return parseMessages(Buffer.from(this.#inbox.subarray(0, length)));
  }
}

/** The kernel's own words: an attribute behind the error and the (capped) original header. */
function extendedAck(data: Buffer, flags: number): string {
  if ((flags & FLAG_ACK_TLVS) === 0) return '';
  const original = (flags & FLAG_CAPPED) === 0 ? data.readUInt32LE(4) : 16;
  for (let at = 4 + ((original + 3) & ~3); at + 4 <= data.length;) {
    const length = data.readUInt16LE(at);
    if (length < 4) break;
    if ((data.readUInt16LE(at + 2) & 0x3fff) === NLMSGERR_ATTR_MSG) return data.toString('utf8', at + 4, at + length).replace(/\0.*$/s, '');
    at += (length + 3) & ~3;
  }
  return '';
}
