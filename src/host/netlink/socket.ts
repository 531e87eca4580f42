/**
 * rtnetlink, synchronous: requests are answered inside send(2), so replies wait in the buffer when it returns. Batches go out in one
 * send; a batch is not atomic, so the first failure names its message. Extended acks become part of the error.
 * @see native.md C
 */
import { formatMessage, parseMessages } from 'netlink/dist/structs.js';
import { Errno, close, errnoName, receive, send, sendDetached } from '../linux.ts';
import { NLMSG, NLM_F } from './flags.ts';
import { errnoOf, failureOf, openNetlink } from './protocol.ts';

const NETLINK_ROUTE = 0;
const receiveBufferBytes = 2 << 20;
const ENODEV = 19;
const EMSGSIZE = 90;

/** One request. `what` names it in errors: `create link eth0`. */
export interface Request {
  readonly type: number;
  readonly flags: number;
  readonly body: Buffer;
  readonly what: string;
  /** names of errnos that are no failure of a request for acknowledgement: `EOPNOTSUPP` */
  readonly mayFail?: readonly string[];
}
export interface Reply {
  readonly type: number;
  readonly body: Buffer;
}

/**
 * More than the kernel says in one message: dumps come in pieces of 32 KiB, a link's lists are at most 64 KiB each. Asking for
 * the length first would double the calls.
 */
const inbox = Buffer.allocUnsafeSlow(256 << 10);

/** A socket of the network namespace the thread was in when it was opened; it stays there. */
export class RouteSocket implements Disposable {
  readonly #fd: number;
  #sequence = 1;

  constructor() {
    this.#fd = openNetlink(NETLINK_ROUTE, receiveBufferBytes);
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
        if (message.seq < first || message.type !== NLMSG.ERROR) continue;
        acknowledged++;
        const { what, mayFail } = requests[message.seq - first] ?? {};
        if (errnoOf(message) !== 0 && mayFail?.includes(errnoName(errnoOf(message))) !== true) failure ??= failureOf(message, 'netlink', what);
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

  /** One object; undefined when the kernel has none (ENODEV), or only acknowledged a request that asked for it (NLM_F.ACK). */
  get(request: Request): Reply | undefined {
    return this.getEach([request])[0];
  }

  /** The same for several, asked at once; in their order. */
  getEach(requests: readonly Request[]): (Reply | undefined)[] {
    if (requests.length === 0) return [];
    const first = this.#send(requests.map((request) => ({ ...request, flags: request.flags | NLM_F.REQUEST })));
    const replies: (Reply | undefined)[] = requests.map(() => undefined);
    let failure: Errno | undefined;
    for (let answered = 0; answered < requests.length;) {
      for (const message of this.#receive()) {
        if (message.seq < first) continue;
        answered++;
        if (message.type !== NLMSG.ERROR) replies[message.seq - first] = { type: message.type, body: message.data };
        else if (errnoOf(message) !== 0 && errnoOf(message) !== ENODEV)
          failure ??= failureOf(message, 'netlink', requests[message.seq - first]?.what);
      }
    }
    if (failure !== undefined) throw failure;
    return replies;
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
        if ((message.flags & NLM_F.DUMP_INTR) !== 0) interrupted = true;
        if (message.type === NLMSG.DONE) {
          // A dump that fails half-way says so in its last message, not in an error of its own.
          if (errnoOf(message) > 0) throw failureOf(message, 'netlink', request.what);
          return interrupted ? undefined : replies;
        }
        if (message.type === NLMSG.ERROR) throw failureOf(message, 'netlink', request.what);
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
    const length = receive(this.#fd, inbox);
    if (length > inbox.length) throw new Errno('netlink', EMSGSIZE, '', `answer of ${length} bytes`);
    // The inbox is used again: bodies are copied.
    return parseMessages(Buffer.from(inbox.subarray(0, length)));
  }
}
