/**
 * nfnetlink, synchronous. The kernel works through a message inside send(2), so every answer is in the receive
 * buffer when send returns: nothing here waits. Namespaces are per thread, so the socket is that of the namespace the
 * calling thread is in.
 *
 * The socket stays open until the process ends. Closing it after something was deleted waits for the kernel's destroy
 * worker (9-26 ms, RCU); by then most of that time has passed doing other work.
 */
import { formatMessage, parseMessages } from 'netlink/dist/structs.js';
import { Errno, close, receiveNow, send } from '../linux.ts';
import { currentNetns } from '../netns.ts';
import { NLMSG, NLM_F } from '../netlink/flags.ts';
import { allowLargeSends, detailOf, errnoOf, openNetlink } from '../netlink/protocol.ts';
import { type Message, type Operation, batchBegin, batchEnd, encodeOperation } from './codec.ts';

const NETLINK_NETFILTER = 12;
const EAGAIN = 11;
const ENOBUFS = 105;
const EPROTONOSUPPORT = 93;
const receiveBytes = 64 * 1024;
const receiveBufferBytes = 1 << 20;
/** What any socket sends at once. */
const largeBytes = 100 << 10;

let cached: { fd: number; namespace: string } | undefined;
let sequence = 1;
const inbox = Buffer.alloc(receiveBytes);

/** The socket of the namespace this thread is in. */
function current(): number {
  const namespace = currentNetns();
  if (cached?.namespace === namespace) return cached.fd;
  closeNftables();
  const fd = openNetlink(NETLINK_NETFILTER, receiveBufferBytes);
  cached = { fd, namespace };
  return fd;
}

/** Closes the socket, if one is open. It also keeps its network namespace alive. */
function closeNftables(): void {
  if (cached !== undefined) close(cached.fd);
  cached = undefined;
}

/** An error of one message: `sequence` tells which; `detail` is the kernel's own words when it had any. */
interface Failure {
  readonly sequence: number;
  readonly errno: number;
  readonly detail: string;
}
interface Reply {
  readonly sequence: number;
  readonly type: number;
  readonly body: Buffer;
}
interface Answers {
  readonly replies: Reply[];
  readonly failures: Failure[];
  /** positive acknowledgements */
  readonly acknowledged: Set<number>;
  /** a dump ended */
  done: boolean;
  /** the ruleset changed during a dump */
  interrupted: boolean;
}

/** Takes everything that is waiting on `fd`. Answers to sequence numbers before `first` are leftovers and dropped. */
function drain(fd: number, first: number): Answers {
  const answers: Answers = { replies: [], failures: [], acknowledged: new Set(), done: false, interrupted: false };
  for (;;) {
    let length: number | undefined;
    try {
      length = receiveNow(fd, inbox);
    } catch (error) {
      // Answers were lost; sockets of ours hear no broadcasts, so this is a reply that did not fit.
      if (error instanceof Errno && error.errno === ENOBUFS)
        throw new Errno('nftables', ENOBUFS, '', 'the kernel had more to say than the socket holds');
      throw error;
    }
    if (length === undefined) return answers;
    if (length > inbox.length) throw new Errno('nftables', ENOBUFS, '', `answer of ${length} bytes`);
    // The inbox is used again: bodies are copied.
    for (const message of parseMessages(Buffer.from(inbox.subarray(0, length)))) {
      if (message.seq < first) continue;
      if ((message.flags & NLM_F.DUMP_INTR) !== 0) answers.interrupted = true;
      if (message.type === NLMSG.DONE) {
        answers.done = true;
        if (errnoOf(message) > 0) answers.failures.push({ sequence: message.seq, errno: errnoOf(message), detail: '' });
      } else if (message.type === NLMSG.ERROR) {
        if (errnoOf(message) === 0) answers.acknowledged.add(message.seq);
        else answers.failures.push({ sequence: message.seq, errno: errnoOf(message), detail: detailOf(message) });
      } else answers.replies.push({ sequence: message.seq, type: message.type, body: message.data });
    }
  }
}

const frame = (message: Message, seq: number): Uint8Array[] =>
  formatMessage({ type: message.type, flags: message.flags, seq, port: 0, data: message.body });

/** Sends messages in one datagram and returns the first sequence number. */
function transmit(fd: number, messages: readonly Message[]): number {
  // Sequence numbers wrap long before 2^32 matters: restart early, so that "older" stays a plain comparison.
  if (sequence > 0x7fff0000) sequence = 1;
  const first = sequence;
  sequence += messages.length;
  const datagram = Buffer.concat(messages.flatMap((message, index) => frame(message, first + index)));
  if (datagram.length > largeBytes) allowLargeSends(fd, 2 * datagram.length);
  send(fd, datagram);
  return first;
}

/** What the kernel said to one question: a body, or why not. */
export interface Answer {
  readonly body?: Buffer;
  /** 0 with a body or a plain yes; EPROTONOSUPPORT when nobody answered: the subsystem is not there */
  readonly errno: number;
  readonly detail: string;
}

/** One question each; the answers in order. */
export function ask<T extends readonly Message[]>(questions: T): { [K in keyof T]: Answer } {
  const fd = current();
  const first = transmit(fd, questions);
  const answers = drain(fd, first);
  return questions.map((_, index): Answer => {
    const reply = answers.replies.find((item) => item.sequence === first + index);
    if (reply !== undefined) return { body: reply.body, errno: 0, detail: '' };
    if (answers.acknowledged.has(first + index)) return { errno: 0, detail: '' };
    const failure = answers.failures.find((item) => item.sequence === first + index);
    return { errno: failure?.errno ?? EPROTONOSUPPORT, detail: failure?.detail ?? '' };
  }) as { [K in keyof T]: Answer };
}

/** The bodies of a dump's messages. Throws Errno (`ENOENT`: no such table or set); EAGAIN when the ruleset would not hold still. */
export function dump(request: Message, subject: string): Buffer[] {
  const fd = current();
  for (let tries = 0; tries < 50; tries++) {
    const first = transmit(fd, [request]);
    const bodies: Buffer[] = [];
    for (;;) {
      const answers = drain(fd, first);
      const [failure] = answers.failures;
      if (failure !== undefined) throw new Errno('nftables', failure.errno, subject, failure.detail);
      bodies.push(...answers.replies.map((reply) => reply.body));
      if (answers.interrupted) break;
      if (answers.done) return bodies;
      if (answers.replies.length === 0) throw new Errno('nftables', 5, subject, 'a dump without an end');
    }
  }
  throw new Errno('nftables', EAGAIN, subject, 'the ruleset kept changing');
}

/** A transaction that was refused: nothing of it happened. `failures` of operations by index, -1 for the transaction itself. */
export class TransactionError extends Errno {
  constructor(
    readonly failures: readonly { readonly index: number; readonly errno: number; readonly detail: string }[],
    /** what each message does, for people */
    subjects: readonly string[],
  ) {
    const [first] = failures;
    super('nftables', first?.errno ?? 5, subjects[first?.index ?? -1] ?? 'transaction', first?.detail ?? '');
    this.name = 'TransactionError';
  }
}

function describe(o: Operation): string {
  switch (o.op) {
    case 'create-table':
    case 'delete-table':
      return `${o.op} ${o.table}`;
    case 'create-chain':
      return `${o.op} ${o.chain.name}`;
    case 'delete-chain':
    case 'flush-chain':
      return `${o.op} ${o.chain}`;
    case 'create-set':
      return `${o.op} ${o.name}`;
    case 'append-rule':
      return `${o.op} to ${o.chain}`;
    case 'create-element':
    case 'delete-element':
      return `${o.op} ${Buffer.from(o.element.key).toString('hex')} of ${o.element.set}`;
  }
}

/**
 * All of `operations` or nothing. With `generation` it is a compare-and-swap: ERESTART if the ruleset changed since.
 * Throws {@link TransactionError}.
 */
export const transaction = (operations: readonly Operation[], generation?: number): void =>
  sendBatch(
    operations.map((operation) => ({ message: encodeOperation(operation), what: () => describe(operation) })),
    generation,
  );

/** As {@link transaction}, of messages made elsewhere; `what` names each for people. */
export function sendBatch(parts: readonly { readonly message: Message; readonly what: string | (() => string) }[], generation?: number): void {
  if (parts.length === 0) return;
  const fd = current();
  const last = parts.length - 1;
  // Only the last one is acknowledged: failures are reported in any case, success needs one witness.
  const messages = [
    batchBegin(generation),
    ...parts.map(({ message }, index) => (index === last ? { ...message, flags: message.flags | NLM_F.ACK } : message)),
    batchEnd(),
  ];
  const first = transmit(fd, messages);
  const { failures, acknowledged } = drain(fd, first);
  if (failures.length > 0) {
    throw new TransactionError(
      failures.map(({ sequence: at, errno, detail }) => ({
        index: at === first || at > first + parts.length ? -1 : at - first - 1,
        errno,
        detail,
      })),
      parts.map(({ what }) => (typeof what === 'string' ? what : what())),
    );
  }
  if (!acknowledged.has(first + parts.length)) throw new Errno('nftables', 5, 'transaction', 'no acknowledgement');
}
