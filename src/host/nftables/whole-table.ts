/** A computed table to the bytes of one transaction. Pure. @see linux/netfilter/nf_tables.h */
import { formatMessage } from 'netlink/dist/structs.js';
import type { KeyField, TableElement, TableSet, TableValue } from '../../model/ruleset/table.ts';
import { NLM_F } from '../netlink/flags.ts';
import { attribute, nest, text, u32 } from './attributes.ts';
import { MSG, NFPROTO_INET, type Message, batchBegin, batchEnd, encodeOperation, header, nftType } from './codec.ts';

/** nft's data type numbers and lengths in bytes. */
const fieldTypes: Readonly<Record<KeyField, { type: number; length: number }>> = {
  ipv4_addr: { type: 7, length: 4 },
  ipv6_addr: { type: 8, length: 16 },
  inet_proto: { type: 12, length: 4 },
  inet_service: { type: 13, length: 4 },
  mark: { type: 19, length: 4 },
  ifname: { type: 41, length: 16 },
};
const SET_MAP = 8;
const SET_EVAL = 0x20;
const DATA_IS_VERDICT = 0xffffff00;
const JUMP = -3;
/** Elements in one message: its list is one attribute, of at most 64 KiB. */
const elementsPerMessage = 400;

const message = (kind: number, flags: number, ...attributes: Buffer[]): Message => ({
  type: nftType(kind),
  flags: NLM_F.REQUEST | flags,
  body: Buffer.concat([header(NFPROTO_INET), ...attributes]),
});

function encodeSet(table: string, set: TableSet, id: number): Message {
  const type = set.key.reduce((sum, field) => (sum << 6) | fieldTypes[field].type, 0);
  const length = set.key.reduce((sum, field) => sum + fieldTypes[field].length, 0);
  return message(
    MSG.NEWSET,
    NLM_F.CREATE,
    text(1, table),
    text(2, set.name),
    u32(3, (set.verdicts === true ? SET_MAP : 0) | (set.dynamicSize === undefined ? 0 : SET_EVAL)),
    u32(4, type),
    u32(5, length),
    ...(set.verdicts === true ? [u32(6, DATA_IS_VERDICT)] : []),
    ...(set.dynamicSize === undefined ? [] : [nest(9, u32(1, set.dynamicSize))]),
    u32(10, id),
  );
}

const encodeElement = ({ key, chain }: TableElement): Buffer =>
  nest(1, nest(1, attribute(1, key)), ...(chain === undefined ? [] : [nest(2, nest(2, u32(1, JUMP), text(2, chain)))]));

function* elementMessages(table: string, { name, elements }: TableSet): Generator<Message> {
  for (let at = 0; at < elements.length; at += elementsPerMessage)
    yield message(
      MSG.NEWSETELEM,
      NLM_F.CREATE,
      text(1, table),
      text(2, name),
      nest(3, ...elements.slice(at, at + elementsPerMessage).map(encodeElement)),
    );
}

/** What puts `value` in the place of the table of its name, in an order in which each part only names parts before it. */
function* messagesOf(value: TableValue): Generator<Message> {
  const table = value.name;
  // Deleting what is not there fails the transaction: it is made first, if need be.
  yield message(MSG.NEWTABLE, NLM_F.CREATE, text(1, table), u32(2, 0));
  yield message(MSG.DELTABLE, 0, text(1, table));
  yield encodeOperation({ op: 'create-table', table, comment: value.comment });
  for (const [index, set] of value.sets.entries()) yield encodeSet(table, set, index + 1);
  for (const chain of value.chains) yield encodeOperation({ op: 'create-chain', table, chain });
  for (const chain of value.chains)
    for (const expressions of chain.rules) yield encodeOperation({ op: 'append-rule', table, chain: chain.name, expressions });
  for (const set of value.sets) yield* elementMessages(table, set);
}

/** One transaction for the nfnetlink socket: all of `value`, or nothing; the last message asks for an answer. */
export function encodeTable(value: TableValue): Buffer {
  const parts = [batchBegin(), ...messagesOf(value), batchEnd()];
  const witness = parts.length - 2;
  return Buffer.concat(
    parts.flatMap(({ type, flags, body }, index) =>
      formatMessage({ type, flags: index === witness ? flags | NLM_F.ACK : flags, seq: index + 1, port: 0, data: body }),
    ),
  );
}
