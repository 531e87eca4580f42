/** A random cluster: namespaces, pods with ports of all kinds, two networks at times, who is outside; and the switches. Pure. */
import type { Random } from './random.ts';

export interface FuzzPort {
  readonly name?: string;
  readonly port: number;
  readonly protocol: string;
}
export interface FuzzPod {
  readonly ns: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ips: readonly string[];
  readonly networks?: readonly { readonly name: string; readonly ips: readonly string[] }[];
  readonly ports: readonly FuzzPort[];
}
/** What all cases of a batch have in common: the part of experiment.yaml without policies. */
export interface FuzzCluster {
  readonly networks: readonly { readonly name: string; readonly type: 'bridge' | 'ptp'; readonly subnet: readonly string[] }[];
  readonly namespaces: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly pods: readonly FuzzPod[];
  readonly outside: readonly { readonly name: string; readonly ips: readonly string[]; readonly domains: readonly string[] }[];
  readonly nodes: readonly {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly ips: readonly string[];
    readonly local?: boolean;
  }[];
  readonly switches: Readonly<Record<string, string>>;
  readonly probes: { readonly from: readonly string[] };
}

export const podLabels = { app: ['web', 'db', 'cache'], tier: ['a', 'b'], odd: [''] } as const;
export const namespaceLabels = { team: ['red', 'blue'], stage: ['prod', 'test'] } as const;
export const namespaceNames = ['x', 'y', 'z'] as const;
export const portNumbers = [80, 81, 8080] as const;
export const portNames = ['http', 'dns', 'other'] as const;
export const protocols = ['TCP', 'UDP', 'SCTP'] as const;
export const secondNetwork = 'second';

export function labelsFrom(random: Random, known: Readonly<Record<string, readonly string[]>>): Record<string, string> {
  return Object.fromEntries(Object.entries(known).flatMap(([key, values]) => (random.chance(0.6) ? [[key, random.one(values)]] : [])));
}

/** Each protocol and number once; names go with different numbers on different pods (R24). */
function ports(random: Random): FuzzPort[] {
  const chosen = random.some(
    protocols.flatMap((protocol) => portNumbers.map((port) => ({ protocol, port }))),
    1,
    4,
  );
  const names = [...portNames];
  return chosen.map((one) =>
    names.length > 0 && random.chance(0.6) ? { ...one, name: names.splice(random.integer(0, names.length - 1), 1)[0] ?? 'http' } : one,
  );
}

export function cluster(random: Random): FuzzCluster {
  const hasSecond = random.chance(0.3);
  const stride = random.one([1, 2, 8]);
  const pods = random
    .list(5, 8, () => random.one(namespaceNames))
    .map((ns, index): FuzzPod => {
      const number = 10 + index * stride;
      const six = random.chance(0.8) ? [`fd00:1::${number.toString(16)}`] : [];
      const four = six.length === 0 || random.chance(0.9) ? [`10.1.${index % 3}.${number}`] : [];
      return {
        ns,
        name: `p${index}`,
        labels: labelsFrom(random, podLabels),
        ips: [...four, ...six],
        ...(hasSecond && random.chance(0.7) ? { networks: [{ name: secondNetwork, ips: [`10.2.0.${number}`] }] } : {}),
        ports: ports(random),
      };
    });
  return {
    networks: [
      { name: 'pods', type: random.one(['bridge', 'ptp']), subnet: ['10.1.0.0/16', 'fd00:1::/64'] },
      ...(hasSecond ? [{ name: secondNetwork, type: 'bridge' as const, subnet: ['10.2.0.0/24'] }] : []),
    ],
    namespaces: Object.fromEntries(namespaceNames.map((name) => [name, labelsFrom(random, namespaceLabels)])),
    pods,
    outside: [
      { name: 'outside', ips: ['203.0.113.10', '2001:db8::10'], domains: ['www.example.com'] },
      { name: 'api', ips: ['198.51.100.7'], domains: ['api.example.com', 'v1.api.example.com'] },
    ],
    nodes: [
      { name: 'host', labels: { role: 'worker' }, ips: ['10.1.255.254', 'fd00:1::ffff'], local: true },
      { name: 'far', labels: { role: 'control' }, ips: ['192.0.2.9'] },
    ],
    switches: {
      podToNode: random.one(['allow', 'police']),
      baseline: random.one(['per-direction', 'per-pod']),
      namedPortOfBlock: random.one(['never', 'pod']),
    },
    probes: { from: ['host', 'outside'] },
  };
}
