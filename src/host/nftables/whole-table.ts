/** Computed tables to the bytes of one transaction. Pure. @see linux/netfilter/nf_tables.h */
import { formatMessage } from 'netlink/dist/structs.js';
import type { KeyField, TableCounter, TableElement, TableSet, TableValue } from '../../model/ruleset/table.ts';
import { NLM_F } from '../netlink/flags.ts';
import { attribute, fields, nest, stringOf, text, u32 } from './attributes.ts';
import { MSG, NFPROTO_INET, type Message, batchBegin, batchEnd, encodeOperation, header, nftType } from './codec.ts';
import { OBJECT_COUNTER } from './expressions.ts';

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

const u64 = (type: number, value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return attribute(type, bytes);
};
const encodeCounter = (table: string, { name, packets, bytes }: TableCounter): Message =>
  message(MSG.NEWOBJ, NLM_F.CREATE, text(1, table), text(2, name), u32(3, OBJECT_COUNTER), nest(4, u64(1, bytes), u64(2, packets)));
/** Asks for the counters of a table. */
export const dumpCountersRequest = (table: string): Message => message(MSG.GETOBJ, NLM_F.DUMP, text(1, table), u32(3, OBJECT_COUNTER));
/** A counter in the body of a NEWOBJ message. */
export function decodeCounter(body: Buffer): TableCounter {
  const found = fields(body.subarray(4));
  const data = fields(found.get(4) ?? Buffer.alloc(0));
  const value = (type: number): bigint => data.get(type)?.readBigUInt64BE(0) ?? 0n;
  return { name: stringOf(found.get(2) ?? Buffer.alloc(0)), packets: value(2), bytes: value(1) };
}

const NFPROTO_BRIDGE = 7;
/** Messages of a table of `family`: it is the first byte of each. */
const ofFamily = ({ type, flags, body }: Message, family: TableValue['family']): Message => {
  if (family === 'bridge') body[0] = NFPROTO_BRIDGE;
  return { type, flags, body };
};

/** Asks whether there is a table. */
export const getTableOf = (family: TableValue['family'], table: string): Message => ofFamily(message(MSG.GETTABLE, 0, text(1, table)), family);
/** What removes a table, there or not. */
export const removalMessages = (family: TableValue['family'], table: string): Message[] =>
  [message(MSG.NEWTABLE, NLM_F.CREATE, text(1, table), u32(2, 0)), message(MSG.DELTABLE, 0, text(1, table))].map((one) => ofFamily(one, family));
export const tableMessages = (value: TableValue): Message[] => [...messagesOf(value)].map((one) => ofFamily(one, value.family));

/** What puts `value` in the place of the table of its name, in an order in which each part only names parts before it. */
function* messagesOf(value: TableValue): Generator<Message> {
  const table = value.name;
  // Deleting what is not there fails the transaction: it is made first, if need be.
  yield message(MSG.NEWTABLE, NLM_F.CREATE, text(1, table), u32(2, 0));
  yield message(MSG.DELTABLE, 0, text(1, table));
  yield encodeOperation({ op: 'create-table', table, comment: value.comment });
  for (const counter of value.counters ?? []) yield encodeCounter(table, counter);
  for (const [index, set] of value.sets.entries()) yield encodeSet(table, set, index + 1);
  for (const chain of value.chains) yield encodeOperation({ op: 'create-chain', table, chain });
  for (const chain of value.chains)
    for (const expressions of chain.rules) yield encodeOperation({ op: 'append-rule', table, chain: chain.name, expressions });
  for (const set of value.sets) yield* elementMessages(table, set);
}

/** One transaction for the nfnetlink socket: all of `value`, or nothing; the last message asks for an answer. */
export function encodeTable(value: TableValue): Buffer {
  const parts = [batchBegin(), ...tableMessages(value), batchEnd()];
  const witness = parts.length - 2;
  return Buffer.concat(
    parts.flatMap(({ type, flags, body }, index) =>
      formatMessage({ type, flags: index === witness ? flags | NLM_F.ACK : flags, seq: index + 1, port: 0, data: body }),
    ),
  );
}
