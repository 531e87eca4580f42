/** Other people's chains, as far as they decide about what is forwarded: read only. @see linux/netfilter/nf_tables.h */
import { NLM_F } from '../netlink/flags.ts';
import { fields, stringOf, text } from './attributes.ts';
import { MSG, header, nftType } from './codec.ts';
import { dump } from './transport.ts';

const families: Readonly<Record<number, 'inet' | 'ip' | 'ip6'>> = { 1: 'inet', 2: 'ip', 10: 'ip6' };
const HOOK_FORWARD = 2;
const NF_DROP = 0;
const unspecified = 0;

/** A base chain at the forward hook that drops what none of its rules accepts. */
export interface DroppingChain {
  readonly family: 'inet' | 'ip' | 'ip6';
  readonly table: string;
  readonly chain: string;
  /** the rules of its table, as the kernel has them */
  readonly rules: readonly Buffer[];
}

/** Those of every table but `own` of family inet. Chains of the old iptables (legacy) are not nftables' and not seen. Throws Errno. */
export function droppingChains(own: string): DroppingChain[] {
  const chains = dump({ type: nftType(MSG.GETCHAIN), flags: NLM_F.REQUEST | NLM_F.DUMP, body: header(unspecified) }, 'list chains');
  return chains.flatMap((body): DroppingChain[] => {
    const family = families[body[0] ?? 0];
    const found = fields(body.subarray(4));
    const hook = found.get(4);
    if (family === undefined || hook === undefined || fields(hook).get(1)?.readUInt32BE(0) !== HOOK_FORWARD) return [];
    if (found.get(5)?.readUInt32BE(0) !== NF_DROP) return [];
    const [table, chain] = [1, 3].map((type) => stringOf(found.get(type) ?? Buffer.alloc(0))) as [string, string];
    if (family === 'inet' && table === own) return [];
    const request = { type: nftType(MSG.GETRULE), flags: NLM_F.REQUEST | NLM_F.DUMP, body: Buffer.concat([header(body[0] ?? 0), text(1, table)]) };
    return [{ family, table, chain, rules: dump(request, `list rules of ${table}`) }];
  });
}
