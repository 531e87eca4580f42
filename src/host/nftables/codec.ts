/**
 * nf_tables messages to bytes and back. Pure. Bytes are those `nft` sends for the same objects, so that `nft list`
 * shows what a person would have typed. @see linux/netfilter/{nfnetlink,nf_tables}.h, libnftnl (userdata)
 */
import type { Element, FieldType, SetDefinition } from '../../model/ruleset.ts';
import type { Chain, HookName } from '../../model/ruleset/skeleton.ts';
import type { Expression } from '../../model/ruleset/expressions.ts';
import { NLM_F } from '../netlink/flags.ts';
import { attribute, fields, list, listContaining, nest, stringOf, text, u32 } from './attributes.ts';
import { encodeExpression } from './expressions.ts';

export const NFPROTO_INET = 1;
/** nf_tables message types within the subsystem. */
export const MSG = {
  NEWTABLE: 0,
  GETTABLE: 1,
  DELTABLE: 2,
  NEWCHAIN: 3,
  GETCHAIN: 4,
  DELCHAIN: 5,
  NEWRULE: 6,
  GETRULE: 7,
  DELRULE: 8,
  NEWSET: 9,
  NEWSETELEM: 12,
  GETSETELEM: 13,
  DELSETELEM: 14,
  NEWGEN: 15,
  GETGEN: 16,
  NEWOBJ: 18,
  GETOBJ: 19,
} as const;
const SUBSYS_NFTABLES = 10;
const SUBSYS_CTNETLINK = 1;
export const nftType = (message: number): number => (SUBSYS_NFTABLES << 8) | message;
export const ctType = (message: number): number => (SUBSYS_CTNETLINK << 8) | message;

/** A message without its netlink header. */
export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly body: Buffer;
}

/** `struct nfgenmsg`. */
export function header(family: number, resource = 0): Buffer {
  return Buffer.from([family, 0, resource >> 8, resource & 0xff]);
}
const message = (kind: number, flags: number, ...attributes: Buffer[]): Message => ({
  type: nftType(kind),
  flags: NLM_F.REQUEST | flags,
  body: Buffer.concat([header(NFPROTO_INET), ...attributes]),
});

/** Starts a transaction; with `generation` it fails with ERESTART if the ruleset is of another one. */
export const batchBegin = (generation?: number): Message => ({
  type: 0x10,
  flags: NLM_F.REQUEST,
  body: Buffer.concat([header(0, SUBSYS_NFTABLES), ...(generation === undefined ? [] : [u32(1, generation)])]),
});
export const batchEnd = (): Message => ({ type: 0x11, flags: NLM_F.REQUEST, body: header(0, SUBSYS_NFTABLES) });

/** libnftnl's userdata: type, length, value. */
const userdata = (type: number, value: Uint8Array): Buffer => Buffer.concat([Buffer.from([type, value.length]), value]);
const comment = (type: number, value: string): Buffer => userdata(type, Buffer.from(`${value}\0`));
const UDATA_TABLE_COMMENT = 0;
const UDATA_SET = { KEY_BYTEORDER: 0, DATA_BYTEORDER: 1, COMMENT: 7 } as const;
const UDATA_ELEMENT_COMMENT = 0;
/** User data of an element with this comment. */
export const elementComment = (text: string): Buffer => comment(UDATA_ELEMENT_COMMENT, text);

/** What can be in a transaction. Every op is one message, so a failure names its op. */
export type Operation =
  /** fails with EEXIST when there is one: that is how racing creators find out */
  | { readonly op: 'create-table'; readonly table: string; readonly comment: string }
  | { readonly op: 'delete-table'; readonly table: string }
  /** fails with EEXIST when there is one */
  | { readonly op: 'create-chain'; readonly table: string; readonly chain: Chain }
  /** all rules of the chain */
  | { readonly op: 'flush-chain'; readonly table: string; readonly chain: string }
  /** with its rules; fails with EBUSY when something leads to it */
  | { readonly op: 'delete-chain'; readonly table: string; readonly chain: string }
  | { readonly op: 'create-set'; readonly table: string; readonly name: string; readonly id: number; readonly definition: SetDefinition }
  | { readonly op: 'append-rule'; readonly table: string; readonly chain: string; readonly expressions: readonly Expression[] }
  /** fails with EEXIST when the key is there, with ENOENT when the chain it leads to is not */
  | { readonly op: 'create-element'; readonly table: string; readonly element: Element }
  | { readonly op: 'delete-element'; readonly table: string; readonly element: Element };

/** nft's data type numbers, lengths in bytes, and byte order (2 = big-endian, 1 = host). */
const fieldTypes: Readonly<Record<FieldType, { type: number; length: number; order: number }>> = {
  ipv4_addr: { type: 7, length: 4, order: 2 },
  ipv6_addr: { type: 8, length: 16, order: 2 },
  inet_proto: { type: 12, length: 1, order: 2 },
  inet_service: { type: 13, length: 2, order: 2 },
  ifname: { type: 41, length: 16, order: 1 },
};
const padded = (length: number): number => Math.ceil(length / 4) * 4;
/** A concatenation's type number: six bits a field. */
const typeNumber = (types: readonly FieldType[]): number => types.reduce((sum, type) => (sum << 6) | fieldTypes[type].type, 0);
const byteLength = (types: readonly FieldType[]): number => types.reduce((sum, type) => sum + padded(fieldTypes[type].length), 0);
const byteOrder = (types: readonly FieldType[]): Buffer => {
  const [only] = types;
  return Buffer.from([types.length === 1 && only !== undefined ? fieldTypes[only].order : 0, 0, 0, 0]);
};
const SET_FLAG_MAP = 8;
const DATA_IS_VERDICT = 0xffffff00;
const GOTO = -4;
const JUMP = -3;

function encodeSet(table: string, name: string, id: number, { key, value, comment: about }: SetDefinition): Message {
  return message(
    MSG.NEWSET,
    NLM_F.CREATE,
    text(1, table),
    text(2, name),
    u32(3, value === undefined ? 0 : SET_FLAG_MAP),
    u32(4, typeNumber(key)),
    u32(5, byteLength(key)),
    ...(value === undefined ? [] : value === 'verdict' ? [u32(6, DATA_IS_VERDICT)] : [u32(6, typeNumber(value)), u32(7, byteLength(value))]),
    u32(10, id),
    attribute(
      13,
      Buffer.concat([
        userdata(UDATA_SET.KEY_BYTEORDER, byteOrder(key)),
        ...(value === undefined ? [] : [userdata(UDATA_SET.DATA_BYTEORDER, value === 'verdict' ? Buffer.alloc(4) : byteOrder(value))]),
        comment(UDATA_SET.COMMENT, about),
      ]),
    ),
  );
}

const hooks: Readonly<Record<HookName, number>> = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 };
const NF_ACCEPT = 1;

const keyAttribute = (element: Element): Buffer => nest(1, attribute(1, element.key));
/** Masquerading ends the evaluation (goto); a client that need not be hidden may still be a masqueraded pod (jump). */
const leadsTo = (element: Element, chain: string): Buffer => nest(2, nest(2, u32(1, element.set.startsWith('masq') ? GOTO : JUMP), text(2, chain)));

function encodeElement(element: Element): Buffer {
  return nest(
    1,
    keyAttribute(element),
    ...(element.value === undefined ? [] : [nest(2, attribute(1, element.value))]),
    ...(element.chain === undefined ? [] : [leadsTo(element, element.chain)]),
    attribute(6, elementComment(element.comment)),
  );
}

export function encodeOperation(o: Operation): Message {
  switch (o.op) {
    case 'create-table':
      return message(MSG.NEWTABLE, NLM_F.CREATE | NLM_F.EXCL, text(1, o.table), u32(2, 0), attribute(6, comment(UDATA_TABLE_COMMENT, o.comment)));
    case 'delete-table':
      return message(MSG.DELTABLE, 0, text(1, o.table));
    case 'create-chain': {
      const base = o.chain.base;
      return message(
        MSG.NEWCHAIN,
        NLM_F.CREATE | NLM_F.EXCL,
        text(1, o.table),
        text(3, o.chain.name),
        ...(base === undefined ? [] : [text(7, base.type), nest(4, u32(1, hooks[base.hook]), u32(2, base.priority)), u32(5, NF_ACCEPT)]),
      );
    }
    case 'delete-chain':
      return message(MSG.DELCHAIN, 0, text(1, o.table), text(3, o.chain));
    case 'flush-chain':
      return message(MSG.DELRULE, 0, text(1, o.table), text(2, o.chain));
    case 'create-set':
      return encodeSet(o.table, o.name, o.id, o.definition);
    case 'append-rule':
      return message(MSG.NEWRULE, NLM_F.CREATE | NLM_F.APPEND, text(1, o.table), text(2, o.chain), nest(4, ...o.expressions.map(encodeExpression)));
    case 'create-element':
      return message(MSG.NEWSETELEM, NLM_F.CREATE | NLM_F.EXCL, text(1, o.table), text(2, o.element.set), nest(3, encodeElement(o.element)));
    case 'delete-element':
      return message(MSG.DELSETELEM, 0, text(1, o.table), text(2, o.element.set), nest(3, nest(1, keyAttribute(o.element))));
  }
}

/** Every element of a set. */
export const dumpElementsRequest = (table: string, set: string): Message => message(MSG.GETSETELEM, NLM_F.DUMP, text(1, table), text(2, set));
/** The element with this key. */
export const getElementRequest = (table: string, element: Element): Message =>
  message(MSG.GETSETELEM, 0, text(1, table), text(2, element.set), nest(3, nest(1, keyAttribute(element))));
export const getChainRequest = (table: string, chain: string): Message => message(MSG.GETCHAIN, 0, text(1, table), text(3, chain));
export const dumpChainsRequest = (): Message => message(MSG.GETCHAIN, NLM_F.DUMP);
/** Every rule of a table. */
export const dumpRulesRequest = (table: string): Message => message(MSG.GETRULE, NLM_F.DUMP, text(1, table));
export const getTableRequest = (table: string): Message => message(MSG.GETTABLE, 0, text(1, table));
export const getGenerationRequest = (): Message => ({ type: nftType(MSG.GETGEN), flags: NLM_F.REQUEST, body: header(0) });

/** The comment in userdata, '' when there is none. */
function commentOf(data: Buffer | undefined, kind: number): string {
  for (let at = 0; data !== undefined && at + 2 <= data.length; at += 2 + (data[at + 1] ?? 0)) {
    if (data[at] === kind) return stringOf(data.subarray(at + 2, at + 2 + (data[at + 1] ?? 0)));
  }
  return '';
}
/**
 * The elements in the body of a NEWSETELEM message. `set` is believed to be one of ours: it was asked for by name.
 * With `hint` only those whose bytes contain it: a search per element instead of a parse, since a set holds every pod's.
 */
export function decodeElements(body: Buffer, hint?: Buffer): Element[] {
  if (hint !== undefined && !body.includes(hint)) return [];
  const top = fields(body.subarray(4));
  const set = stringOf(top.get(2) ?? Buffer.alloc(0)) as Element['set'];
  const data = top.get(3) ?? Buffer.alloc(0);
  return (hint === undefined ? list(data) : listContaining(data, hint)).map((item): Element => {
    const found = fields(item);
    const data = fields(found.get(2) ?? Buffer.alloc(0));
    const value = data.get(1);
    const chain = fields(data.get(2) ?? Buffer.alloc(0)).get(2);
    return {
      set,
      key: fields(found.get(1) ?? Buffer.alloc(0)).get(1) ?? Buffer.alloc(0),
      ...(value === undefined ? {} : { value }),
      ...(chain === undefined ? {} : { chain: stringOf(chain) }),
      comment: commentOf(found.get(6), UDATA_ELEMENT_COMMENT),
    };
  });
}
/** The comment of a table from a NEWTABLE message's body. */
export const decodeTableComment = (body: Buffer): string => commentOf(fields(body.subarray(4)).get(6), UDATA_TABLE_COMMENT);
/** Name of the chain a NEWRULE message's body is about. */
export const decodeRuleChain = (body: Buffer): string => stringOf(fields(body.subarray(4)).get(2) ?? Buffer.alloc(0));
export const decodeGeneration = (body: Buffer): number => fields(body.subarray(4)).get(1)?.readUInt32BE(0) ?? 0;
/** Table and name of the chain in a NEWCHAIN message's body. */
export function decodeChain(body: Buffer): { table: string; name: string } {
  const found = fields(body.subarray(4));
  return { table: stringOf(found.get(1) ?? Buffer.alloc(0)), name: stringOf(found.get(3) ?? Buffer.alloc(0)) };
}

/** What an expression list is made of, in order: the names of the kernel's expressions. */
const namesOf = (expressions: Buffer | undefined): string[] =>
  list(expressions ?? Buffer.alloc(0)).map((expression) => stringOf(fields(expression).get(1) ?? Buffer.alloc(0)));
/** The same of a rule that is yet to be made. */
export const expressionNames = (expressions: readonly Expression[]): string[] => namesOf(Buffer.concat(expressions.map(encodeExpression)));
/** Table, chain and expression names of the rule in a NEWRULE message's body. */
export function decodeRule(body: Buffer): { table: string; chain: string; names: string[] } {
  const found = fields(body.subarray(4));
  return {
    table: stringOf(found.get(1) ?? Buffer.alloc(0)),
    chain: stringOf(found.get(2) ?? Buffer.alloc(0)),
    names: namesOf(found.get(4)),
  };
}
