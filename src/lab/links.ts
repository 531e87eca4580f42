/** Links that lose packets, or carry none: rules of the router, before and behind those of policies. Rates are in fixture.ts. Pure. */
import type { Family, Ip } from '../model/cidr.ts';
import { ipBytes } from '../model/cidr.ts';
import { type Expression, destination, isFamily, lookup, source, verdict, word } from '../model/ruleset/expressions.ts';
import type { Chain } from '../model/ruleset/skeleton.ts';
import type { TableSet, TableValue } from '../model/ruleset/table.ts';
import type { Link, World } from '../policy/model/experiment.ts';
import { type Pod, podKey } from '../policy/model/values.ts';
import { Random } from './fuzz/random.ts';

export const linksTable = 'rkt-links';

/** The addresses of `pod` at the link, none where it is another's. */
export const addressesAt = (link: Link, pod: Pod, mainNetwork: string): readonly Ip[] =>
  pod.interfaces.flatMap(({ network, ips }) => (link.network === network || (link.pod === podKey(pod) && network === mainNetwork) ? ips : []));

const loses = ({ lossPermille, lossEvery, partition }: Link): boolean => (lossPermille ?? 0) > 0 || lossEvery !== undefined || partition === true;

/** Which of a thousand packets are lost: `seed` decides, so that every run loses the same. */
function lostOf(permille: number, seed: number): number[] {
  const random = new Random(seed);
  const numbers = Array.from({ length: 1000 }, (_, number) => number);
  for (let last = numbers.length - 1; last > 0; last--) {
    const other = random.integer(0, last);
    [numbers[last], numbers[other]] = [numbers[other] ?? 0, numbers[last] ?? 0];
  }
  return numbers.slice(0, permille).sort((a, b) => a - b);
}

/** Every direction of a link counts its own packets: a number for each that passes, and the chosen ones go no further. */
const fate = ({ lossPermille = 0, lossEvery, partition }: Link, set: string): Expression[] => {
  if (partition === true) return [verdict('drop')];
  if (lossEvery !== undefined)
    return [{ op: 'number', modulus: lossEvery, reg: 0 }, { op: 'cmp', test: 'eq', reg: 0, data: word(lossEvery - 1) }, verdict('drop')];
  return lossPermille === 0 ? [] : [{ op: 'number', modulus: 1000, reg: 0 }, lookup(set), verdict('drop')];
};

/** Undefined when no link of `links` loses anything. */
export function lossOf(links: readonly Link[], { pods, networks }: World): TableValue | undefined {
  const losing = links.filter(loses);
  if (losing.length === 0) return undefined;
  const main = networks[0]?.id ?? '';
  const sets: TableSet[] = [];
  const rules: Record<'from' | 'to', Expression[][]> = { from: [], to: [] };
  const chains: Chain[] = [];
  for (const [index, link] of losing.entries()) {
    const lost = `lost${index}`;
    if (link.partition !== true && (link.lossPermille ?? 0) > 0)
      sets.push({ name: lost, key: ['mark'], elements: lostOf(link.lossPermille ?? 0, link.seed ?? 1).map((number) => ({ key: word(number) })) });
    const ips = pods.filter(({ ended, hostNetwork }) => !ended && !hostNetwork).flatMap((pod) => addressesAt(link, pod, main));
    for (const [side, address] of [['from', source] as const, ['to', destination] as const]) {
      const chain = `${side}${index}`;
      chains.push({ name: chain, rules: [fate(link, lost)] });
      for (const family of [4, 6] as const) {
        const own = ips.filter((ip) => ip.family === family);
        if (own.length === 0) continue;
        sets.push(mapOf(`${chain}-${family}`, family, own, chain));
        rules[side].push([...isFamily(family), address(family, 0), { op: 'lookup', set: `${chain}-${family}`, reg: 0, into: 'verdict' }]);
      }
    }
  }
  return {
    name: linksTable,
    comment: 'rkt links',
    sets,
    chains: [
      ...chains,
      { name: 'from', base: { type: 'filter', hook: 'prerouting', priority: -500 }, rules: rules.from },
      { name: 'to', base: { type: 'filter', hook: 'postrouting', priority: 500 }, rules: rules.to },
    ],
  };
}

const mapOf = (name: string, family: Family, ips: readonly Ip[], chain: string): TableSet => ({
  name,
  key: [family === 4 ? 'ipv4_addr' : 'ipv6_addr'],
  verdicts: true,
  elements: ips.map((ip) => ({ key: ipBytes(ip), chain })),
});

/** What was asked of a link and is not done. */
export const unsupportedOf = ({ delayMs, jitterMs, flapMs }: Link): string[] => [
  ...(delayMs === undefined && jitterMs === undefined ? [] : ['delay']),
  ...(flapMs === undefined ? [] : ['flap']),
];
