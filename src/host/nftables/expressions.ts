/** Rule expressions to bytes. @see linux/netfilter/nf_tables.h (attribute numbers in the comments' enums) */
import type { Expression } from '../../model/ruleset/expressions.ts';
import { attribute, nest, text, u32 } from './attributes.ts';

const metaKey = { protocol: 1, iifname: 6, oifname: 7, iiftype: 8, nfproto: 15, l4proto: 16 } as const;
const ctKey = { state: 0, status: 2 } as const;
const payloadBase = { network: 1, transport: 2 } as const;
/** netfilter verdicts, and the virtual machine's own (negative) */
const verdictCode = { drop: 0, accept: 1, jump: -3, goto: -4, return: -5 } as const;
const testCode = { eq: 0, neq: 1, lte: 3, gte: 5 } as const;
const DYNSET_ADD = 0;
const FIB_DADDR = 2;
const FIB_RESULT_ADDRTYPE = 3;
const NAT_DNAT = 1;
const LOOKUP_INVERTED = 1;
const NUMBERS_IN_TURN = 0;
/** Type of a counter among named objects. */
export const OBJECT_COUNTER = 1;
const nfproto = { 4: 2, 6: 10 } as const;

/** The kernel's number of word register `reg`: the four 128 bit registers have names of their own. */
const register = (reg: number): number => (reg % 4 === 0 ? 1 + reg / 4 : 8 + reg);
const value = (type: number, data: Uint8Array): Buffer => nest(type, attribute(1, data));
const named = (name: string, ...data: Buffer[]): Buffer => nest(1, text(1, name), nest(2, ...data));

/** One expression as a NFTA_LIST_ELEM. */
export function encodeExpression(e: Expression): Buffer {
  switch (e.op) {
    case 'meta':
      return named('meta', u32(2, metaKey[e.key]), u32(1, register(e.reg)));
    case 'payload':
      return named('payload', u32(1, register(e.reg)), u32(2, payloadBase[e.base]), u32(3, e.offset), u32(4, e.length));
    case 'ct':
      return named('ct', u32(2, ctKey[e.key]), u32(1, register(e.reg)));
    case 'fib-daddr-type':
      return named('fib', u32(3, FIB_DADDR), u32(2, FIB_RESULT_ADDRTYPE), u32(1, register(e.reg)));
    case 'mask':
      return named(
        'bitwise',
        u32(1, register(e.reg)),
        u32(2, register(e.reg)),
        u32(3, e.mask.length),
        value(4, e.mask),
        value(5, Buffer.alloc(e.mask.length)),
      );
    case 'cmp':
      return named('cmp', u32(1, register(e.reg)), u32(2, testCode[e.test]), value(3, e.data));
    case 'lookup':
      return named(
        'lookup',
        u32(2, register(e.reg)),
        text(1, e.set),
        ...(e.into === undefined ? [] : [u32(3, e.into === 'verdict' ? 0 : register(e.into))]),
      );
    case 'lookup-not':
      return named('lookup', u32(2, register(e.reg)), text(1, e.set), u32(5, LOOKUP_INVERTED));
    case 'number':
      return named('numgen', u32(1, register(e.reg)), u32(2, e.modulus), u32(3, NUMBERS_IN_TURN));
    case 'count':
      return named('objref', u32(1, OBJECT_COUNTER), text(2, e.counter));
    case 'immediate':
      return named('immediate', u32(1, register(e.reg)), value(2, e.data));
    case 'record':
      return named('dynset', text(1, e.set), u32(3, DYNSET_ADD), u32(4, register(e.reg)));
    case 'dnat':
      return named('nat', u32(1, NAT_DNAT), u32(2, nfproto[e.family]), u32(3, register(e.addressReg)), u32(5, register(e.portReg)));
    case 'masquerade':
      return named('masq');
    case 'verdict':
      return named('immediate', u32(1, 0), nest(2, nest(2, u32(1, verdictCode[e.verdict]), ...(e.chain === undefined ? [] : [text(2, e.chain)]))));
  }
}
