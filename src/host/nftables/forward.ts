/**
 * Somebody else's FORWARD chain that drops by default (Docker's, an admin's), made by iptables-nft: an accept in our own table
 * does not overrule it. Rules are appended, so that whatever the chain refuses explicitly stays refused. Each is byte for
 * byte what `iptables -A FORWARD -s POD -m comment --comment "rkt NAME" -j ACCEPT` makes, so that iptables prints, saves and
 * restores it, and is known by its comment, never by its shape. What iptables-legacy made is out of reach of nftables.
 */
import { ipBytes, type Family, type Ip } from '../../model/cidr.ts';
import { Errno, isErrno } from '../linux.ts';
import { NLM_F } from '../netlink/flags.ts';
import { attribute, fields, list, nest, stringOf, text, u32 } from './attributes.ts';
import { MSG, nftType, header, type Message } from './codec.ts';
import { encodeExpression } from './expressions.ts';
import { ask, dump, sendBatch, TransactionError } from './transport.ts';

const families = { 4: 2, 6: 10 } as const;
const chain = { table: 'filter', name: 'FORWARD' } as const;
const NF_DROP = 0;
const NF_INET_FORWARD = 2;
const patience = 100;
/** `struct xt_comment_info` */
const commentBytes = 256;
const prefix = 'rkt ';

type Side = 'source' | 'destination';

const message = (family: Family, kind: number, flags: number, ...attributes: Buffer[]): Message => ({
  type: nftType(kind),
  flags: NLM_F.REQUEST | flags,
  body: Buffer.concat([header(families[family]), ...attributes]),
});

const expression = (name: string, ...data: Buffer[]): Buffer => nest(1, text(1, name), nest(2, ...data));

function commentMatch(comment: string): Buffer {
  const info = Buffer.alloc(commentBytes);
  info.write(`${prefix}${comment}`, 0, commentBytes - 1);
  return expression('match', text(1, 'comment'), u32(2, 0), attribute(3, info));
}

/** `-A FORWARD -s|-d ADDRESS -m comment --comment … -j ACCEPT`. */
function appendAccept(side: Side, address: Ip, comment: string): Message {
  const { family } = address;
  const offset = family === 4 ? { source: 12, destination: 16 } : { source: 8, destination: 24 };
  return message(
    family,
    MSG.NEWRULE,
    NLM_F.CREATE | NLM_F.APPEND,
    text(1, chain.table),
    text(2, chain.name),
    nest(
      4,
      encodeExpression({ op: 'payload', base: 'network', offset: offset[side], length: family === 4 ? 4 : 16, reg: 0 }),
      encodeExpression({ op: 'cmp', test: 'eq', reg: 0, data: ipBytes(address) }),
      commentMatch(comment),
      expression('counter', attribute(1, Buffer.alloc(8)), attribute(2, Buffer.alloc(8))),
      encodeExpression({ op: 'verdict', verdict: 'accept' }),
    ),
    // "for any protocol": what the kernel's bridge to xtables modules wants to know
    nest(5, u32(1, 0), u32(2, 0)),
  );
}

const deleteRule = (family: Family, handle: Buffer): Message =>
  message(family, MSG.DELRULE, 0, text(1, chain.table), text(2, chain.name), attribute(3, handle));

/** `missing`: there is no such chain; `drops`: it is hooked into forwarding and drops by default. */
function chainState(family: Family): 'missing' | 'open' | 'drops' {
  const [answer] = ask([message(family, MSG.GETCHAIN, 0, text(1, chain.table), text(3, chain.name))] as const);
  if (answer.body === undefined) {
    if (answer.errno === 2) return 'missing';
    throw new Errno('nftables', answer.errno, 'read chain FORWARD', answer.detail);
  }
  const found = fields(answer.body.subarray(4));
  const hook = fields(found.get(4) ?? Buffer.alloc(0))
    .get(1)
    ?.readUInt32BE(0);
  return hook === NF_INET_FORWARD && found.get(5)?.readUInt32BE(0) === NF_DROP ? 'drops' : 'open';
}

/** A rule of ours. */
interface OwnRule {
  readonly handle: Buffer;
  readonly comment: string;
  /** address it accepts, with the offset it is found at */
  readonly match: string;
}

/** Rules of ours in the chain whose bytes contain `hint`. */
function ownRules(family: Family, hint: string): OwnRule[] {
  const needle = Buffer.from(`${prefix}${hint}`);
  let bodies: Buffer[];
  try {
    bodies = dump(message(family, MSG.GETRULE, NLM_F.DUMP, text(1, chain.table), text(2, chain.name)), 'list chain FORWARD');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
  return bodies.flatMap((body) => {
    if (!body.includes(needle)) return [];
    const rule = fields(body.subarray(4));
    const expressions = list(rule.get(4) ?? Buffer.alloc(0)).map((item) => fields(item));
    const dataOf = (name: string): Map<number, Buffer> | undefined => {
      const found = expressions.find((one) => stringOf(one.get(1) ?? Buffer.alloc(0)) === name);
      return found === undefined ? undefined : fields(found.get(2) ?? Buffer.alloc(0));
    };
    const matched = dataOf('match');
    const info = matched?.get(3) ?? Buffer.alloc(0);
    const whole = info.toString('utf8', 0, Math.max(0, info.indexOf(0)));
    if (stringOf(matched?.get(1) ?? Buffer.alloc(0)) !== 'comment' || !whole.startsWith(prefix)) return [];
    const address = fields(dataOf('cmp')?.get(3) ?? Buffer.alloc(0)).get(1) ?? Buffer.alloc(0);
    const offset = dataOf('payload')?.get(3)?.readUInt32BE(0) ?? -1;
    return [{ handle: rule.get(3) ?? Buffer.alloc(8), comment: whole.slice(prefix.length), match: `${offset} ${address.toString('hex')}` }];
  });
}

const matchOf = (side: Side, { family, ...ip }: Ip): string =>
  `${family === 4 ? { source: 12, destination: 16 }[side] : { source: 8, destination: 24 }[side]} ${ipBytes({ family, ...ip }).toString('hex')}`;

/** The rules there should be for `addresses` where a chain drops, and are not. Throws Errno. */
function missingRules(comment: string, addresses: readonly Ip[]): { side: Side; address: Ip }[] {
  return ([4, 6] as const).flatMap((family) => {
    const own = addresses.filter((address) => address.family === family);
    if (own.length === 0 || chainState(family) !== 'drops') return [];
    const present = new Set(ownRules(family, comment).flatMap((rule) => (rule.comment === comment ? [rule.match] : [])));
    return own.flatMap((address) =>
      (['source', 'destination'] as const).flatMap((side) => (present.has(matchOf(side, address)) ? [] : [{ side, address }])),
    );
  });
}

/** True when a chain drops and lacks the rules of the attachment named `comment`. Throws Errno. */
export const isForwardClosed = (comment: string, addresses: readonly Ip[]): boolean => missingRules(comment, addresses).length > 0;

/** True when rules of the attachment named `comment` are there. Throws Errno. */
export const isForwardOpened = (comment: string): boolean =>
  ([4, 6] as const).some((family) => chainState(family) !== 'missing' && ownRules(family, comment).some((rule) => rule.comment === comment));

/**
 * Lets what comes from and goes to `addresses` through FORWARD chains that drop by default. Idempotent; nothing where none drops.
 * @returns tables that were changed (`ip filter`). Throws Errno; nothing is changed when it throws.
 */
export function openForward(comment: string, addresses: readonly Ip[]): string[] {
  const missing = missingRules(comment, addresses);
  if (missing.length === 0) return [];
  sendBatch(missing.map(({ side, address }) => ({ message: appendAccept(side, address, comment), what: `append to FORWARD for ${address.text}` })));
  return [...new Set(missing.map(({ address }) => (address.family === 4 ? 'ip filter' : 'ip6 filter')))];
}

/**
 * Removes our rules whose comment is selected, whatever the chain's policy is by now.
 * @param hint - a text every such comment contains. Throws Errno
 */
export function closeForward(hint: string, selects: (comment: string) => boolean): void {
  for (const family of [4, 6] as const) {
    for (let tries = 0; ; tries++) {
      if (chainState(family) === 'missing') break;
      const doomed = ownRules(family, hint).filter(({ comment }) => selects(comment));
      if (doomed.length === 0) break;
      try {
        sendBatch(doomed.map(({ handle, comment }) => ({ message: deleteRule(family, handle), what: `delete the rule of ${comment} in FORWARD` })));
        break;
      } catch (error) {
        // Whoever owns the chain flushed it meanwhile: look again.
        if (!(error instanceof TransactionError) || !isErrno(error, 'ENOENT') || tries >= patience) throw error;
      }
    }
  }
}
