/** Ranges of addresses: validation with the reference's messages, and walking them. Pure. @see cni.md 3.16 */
import { type Cidr, type Ip, cidrText, contains, ipFromValue, lastOf, networkOf, parseCidr } from '../../src/model/cidr.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import type { ConfReader } from '../skel/conf.ts';
import { refuseSecondOfFamily } from '../skel/ipam.ts';

/** Consecutive addresses of a subnet, both ends included; the gateway is never given away. */
export interface Range {
  readonly subnet: Cidr;
  readonly start: Ip;
  readonly end: Ip;
  readonly gateway: Ip;
}
/** Pools that serve one address of an attachment; all of one family. */
export type RangeSet = readonly Range[];

export const badConf = (message: string): CniError => new CniError(cniCode.config, message);
const rangeText = ({ start, end }: Range): string => `${start.text}-${end.text}`;
export const setText = (set: RangeSet): string => set.map(rangeText).join(',');

/** One `{subnet, rangeStart, rangeEnd, gateway}`. */
export function readRange(fields: ConfReader): Range {
  const text = fields.text('subnet') ?? '';
  const subnet = parseCidr(text);
  if (subnet === undefined)
    throw badConf(`${fields.where === '' ? '' : `${fields.where}.`}subnet must be a subnet such as 10.1.0.0/16, not ${JSON.stringify(text)}`);
  const { family } = subnet.ip;
  // ::ffff:a.b.c.d never is on the wire of an interface; the reference refuses such a subnet too.
  if (family === 6 && subnet.ip.value >> 32n === 0xffffn)
    throw badConf(`${fields.where === '' ? '' : `${fields.where}.`}subnet ${cidrText(subnet)} is IPv4 written as IPv6`);
  if (subnet.prefixLen > (family === 4 ? 30 : 126)) throw badConf(`Network ${cidrText(subnet)} too small to allocate from`);
  const network = networkOf(subnet);
  if (network.ip.value !== subnet.ip.value)
    throw badConf(`Network has host bits set. For a subnet mask of length ${subnet.prefixLen} the network address is ${network.ip.text}`);

  const inside = (key: 'rangeStart' | 'rangeEnd', name: string): Ip | undefined => {
    const ip = fields.ip(key);
    if (ip !== undefined && !contains(subnet, ip)) throw badConf(`${name} ${ip.text} not in network ${cidrText(subnet)}`);
    return ip;
  };
  const first = ipFromValue(family, subnet.ip.value + 1n);
  const start = inside('rangeStart', 'RangeStart') ?? first;
  // The broadcast address of an IPv4 subnet is nobody's.
  const end = inside('rangeEnd', 'RangeEnd') ?? ipFromValue(family, lastOf(subnet).value - (family === 4 ? 1n : 0n));
  if (start.value > end.value) throw badConf(`RangeStart ${start.text} is after RangeEnd ${end.text}`);
  return { subnet, start, end, gateway: fields.ip('gateway') ?? first };
}

/** All sets of a configuration, checked against each other. */
export function checkSets(sets: readonly RangeSet[], cniVersion: string): void {
  if (sets.length === 0) throw badConf('no IP ranges specified');
  sets.forEach((set, i) => {
    const first = set[0];
    if (first === undefined) throw badConf(`invalid range set ${i}: empty range set`);
    if (set.some(({ start }) => start.family !== first.start.family)) throw badConf(`invalid range set ${i}: mixed address families`);
    set.forEach((range, at) => {
      const other = set.slice(0, at).find((earlier) => overlap(earlier, range));
      if (other !== undefined) throw badConf(`invalid range set ${i}: subnets ${rangeText(other)} and ${rangeText(range)} overlap`);
    });
  });
  refuseSecondOfFamily(
    sets.flatMap(([first]) => (first === undefined ? [] : [first.start.family])),
    cniVersion,
  );
  sets.forEach((set, i) => {
    const other = sets.slice(0, i).findIndex((earlier) => earlier.some((a) => set.some((b) => overlap(a, b))));
    if (other >= 0) throw badConf(`range set ${other} overlaps with ${i}`);
  });
}

const overlap = (a: Range, b: Range): boolean => a.start.family === b.start.family && a.start.value <= b.end.value && b.start.value <= a.end.value;

export const rangeFor = (set: RangeSet, ip: Ip): Range | undefined =>
  set.find(({ start, end }) => start.family === ip.family && ip.value >= start.value && ip.value <= end.value);

/** Number of addresses that can be given away. */
export const capacityOf = (set: RangeSet): bigint =>
  set.reduce(
    (sum, { start, end, gateway }) =>
      sum +
      (end.value - start.value + 1n) -
      (gateway.family === start.family && gateway.value >= start.value && gateway.value <= end.value ? 1n : 0n),
    0n,
  );

/** Every address of the set but the gateways, each once, beginning after `last` when the set has it, and wrapping. */
export function* candidates(set: RangeSet, last: Ip | undefined): Generator<{ readonly ip: Ip; readonly range: Range }> {
  const home = last === undefined ? undefined : rangeFor(set, last);
  const first = home === undefined ? 0 : set.indexOf(home);
  for (let step = 0; step <= set.length; step++) {
    const range = set[(first + step) % set.length];
    if (range === undefined) return;
    const again = step === set.length;
    if (again && (home === undefined || last === undefined)) return;
    const from = step === 0 && home !== undefined && last !== undefined ? last.value + 1n : range.start.value;
    const to = again && last !== undefined ? last.value : range.end.value;
    for (let value = from; value <= to; value++) {
      if (range.gateway.family !== range.start.family || value !== range.gateway.value) yield { ip: ipFromValue(range.start.family, value), range };
    }
  }
}
