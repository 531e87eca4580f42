/**
 * Chains and rules of table `inet rkt`. Nothing in here changes with the pods. Policies are `accept` and no rule
 * matches what is not in one of our sets, with one exception that says so. Pure.
 */
import { type Cidr, type Family, parseCidr } from '../cidr.ts';
import { type SetRole, parseSubnetChainName } from '../ruleset.ts';
import {
  type Expression,
  ctState,
  destination,
  inSubnet,
  isDnat,
  isFamily,
  isForHost,
  jump,
  lookup,
  notFromLoopback,
  obey,
  protocolAndPort,
  source,
  verdict,
  words,
} from './expressions.ts';

export type HookName = 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';
export interface Chain {
  readonly name: string;
  /** absent: a chain that is only jumped to */
  readonly base?: { readonly type: 'nat' | 'filter'; readonly hook: HookName; readonly priority: number };
  readonly rules: readonly (readonly Expression[])[];
}

const dstnat = -100;
const srcnat = 100;
const families = [4, 6] as const satisfies readonly Family[];
const inSet = (role: SetRole, family: Family): Expression => lookup(`${role}${family}`);
/** second field of a key whose first field is an address */
const second = (family: Family): number => words(family === 4 ? 4 : 16);
const constant = (text: string): Cidr => {
  const subnet = parseCidr(text);
  if (subnet === undefined) throw new Error(text);
  return subnet;
};
const loopback = { 4: constant('127.0.0.0/8'), 6: constant('::1/128') } as const;
const multicast = { 4: constant('224.0.0.0/4'), 6: constant('ff00::/8') } as const;

const translate = (family: Family, role: SetRole, key: readonly Expression[]): Expression[] => [
  ...isFamily(family),
  ...key,
  { op: 'lookup', set: `${role}${family}`, reg: 0, into: 0 },
  { op: 'dnat', family, addressReg: 0, portReg: second(family) },
];

const publishing = 'publish';
/** Published ports; a port on one host address goes before the same port on all of them. */
const publish = (): Chain => ({
  name: publishing,
  rules: [
    // A connection to [::1] cannot be led to a pod (there is no route_localnet for IPv6): leave it to local servers.
    [...isFamily(6), ...inSubnet('destination', loopback[6]), verdict('return')],
    ...families.map((family) => translate(family, 'hostports', [destination(family, 0), ...protocolAndPort(second(family))])),
    ...families.map((family) => translate(family, 'ports', protocolAndPort(0))),
  ],
});

const postrouting = (): Chain => ({
  name: 'postrouting',
  base: { type: 'nat', hook: 'postrouting', priority: srcnat },
  rules: [
    ...families.map((family) => [...isDnat, ...isFamily(family), destination(family, 0), obey(`hairpin${family}`)]),
    ...families.flatMap((family) => [
      // a masqueraded multicast sender could not be told from the host
      [...isFamily(family), ...inSubnet('destination', multicast[family]), verdict('return')],
      [...isFamily(family), source(family, 0), obey(`masq${family}`)],
    ]),
  ],
});

const forward = (): Chain => ({
  name: 'forward',
  base: { type: 'filter', hook: 'forward', priority: 0 },
  rules: families.flatMap((family) => [
    [...ctState('established', 'related'), ...isFamily(family), destination(family, 0), inSet('pods', family), verdict('accept')],
    [
      ...isFamily(family),
      source(family, 0),
      inSet('pods', family),
      destination(family, 0),
      { op: 'meta', key: 'iifname', reg: second(family) } as const,
      inSet('same', family),
      verdict('accept'),
    ],
    [...isFamily(family), source(family, 0), inSet('pods', family), destination(family, 0), inSet('closed', family), verdict('drop')],
    [...isFamily(family), source(family, 0), inSet('pods', family), verdict('accept')],
    [...isFamily(family), destination(family, 0), inSet('pods', family), verdict('accept')],
  ]),
});

/**
 * The exception: route_localnet, which a port published on 127.0.0.1 needs on the pods' bridge, also opens the host's
 * own loopback servers to whoever sends on that bridge (CVE-2020-8558). What the kernel drops as martian without
 * route_localnet is dropped here with it; translated connections and answers pass.
 */
const input = (): Chain => ({
  name: 'input',
  base: { type: 'filter', hook: 'input', priority: 0 },
  rules: [
    [...notFromLoopback, ...isFamily(4), ...inSubnet('destination', loopback[4]), ...isDnat, verdict('accept')],
    [...notFromLoopback, ...isFamily(4), ...inSubnet('destination', loopback[4]), ...ctState('invalid', 'new', 'untracked'), verdict('drop')],
  ],
});

const entry = (hook: 'prerouting' | 'output'): Chain => ({
  name: hook,
  base: { type: 'nat', hook, priority: dstnat },
  rules: [[...isForHost, jump(publishing)]],
});

/** In an order in which each chain only names chains before it. Made anew each time: few commands meet a host without the table. */
export const skeleton = (): Chain[] => [publish(), entry('prerouting'), entry('output'), postrouting(), forward(), input()];

/**
 * The chain a masq or hairpin element leads to, from its name: made with the first pod of a subnet.
 * Undefined for names that are not of such a chain.
 */
export function subnetChain(name: string): Chain | undefined {
  const parsed = parseSubnetChainName(name);
  if (parsed === undefined) return undefined;
  const { kind, subnet } = parsed;
  const family = isFamily(subnet.ip.family);
  const masquerade = { op: 'masquerade' } as const;
  if (kind === 'outside') return { name, rules: [[...family, ...inSubnet('destination', subnet), verdict('return')], [masquerade]] };
  return {
    name,
    rules: [
      [...family, ...inSubnet('source', subnet), masquerade],
      // Answers to 127.0.0.1 would stay in the pod. (A pod whose clients are all hidden needs no rule for it.)
      ...(subnet.ip.family === 4 && subnet.prefixLen > 0 ? [[...family, ...inSubnet('source', loopback[4]), masquerade]] : []),
    ],
  };
}
