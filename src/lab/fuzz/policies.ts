/** Random policies of all kinds, for a cluster: written as Kubernetes manifests, so that they are read as anybody's. Pure. */
import { type FuzzCluster, namespaceLabels, namespaceNames, podLabels, portNames, portNumbers, protocols, secondNetwork } from './cluster.ts';
import type { Random } from './random.ts';

export type Manifest = Readonly<Record<string, unknown>>;

function selector(random: Random, known: Readonly<Record<string, readonly string[]>>): Manifest {
  const expressions = random.list(0, 2, () => {
    const key = random.one([...Object.keys(known), 'absent']);
    const operator = random.one(['In', 'NotIn', 'Exists', 'DoesNotExist']);
    const values = [...(known[key] ?? ['v']), 'stranger'];
    return { key, operator, ...(operator.endsWith('In') ? { values: random.some(values, 1, 2) } : {}) };
  });
  const [key] = random.some(Object.keys(known), 0, 1);
  return {
    ...(key === undefined ? {} : { matchLabels: { [key]: random.one(known[key] ?? ['v']) } }),
    ...(expressions.length > 0 && random.chance(0.7) ? { matchExpressions: expressions } : {}),
  };
}
const podSelector = (random: Random): Manifest => selector(random, podLabels);
const namespaceSelector = (random: Random): Manifest => selector(random, { ...namespaceLabels, 'kubernetes.io/metadata.name': namespaceNames });

/** Blocks that cut through the pods' addresses, those outside, or everything, with holes. */
function block(random: Random, { pods }: FuzzCluster): Manifest {
  const four = pods.flatMap(({ ips }) => ips.filter((ip) => !ip.includes(':')));
  const six = pods.flatMap(({ ips }) => ips.filter((ip) => ip.includes(':')));
  const pick = random.integer(0, 9);
  if (pick < 5 && four.length > 0) {
    const cidr = `${random.one(four)}/${random.one([8, 16, 22, 24])}`;
    const holes = random.some([...new Set(four)], 0, 3).map((ip) => `${ip}/${random.one([30, 31, 32])}`);
    return { cidr, ...holesWithin(cidr, holes) };
  }
  if (pick < 7 && six.length > 0) {
    const cidr = `${random.one(six)}/${random.one([16, 64, 120])}`;
    return {
      cidr,
      ...holesWithin(
        cidr,
        random.some([...new Set(six)], 0, 2).map((ip) => `${ip}/${random.one([126, 128])}`),
      ),
    };
  }
  if (pick === 7) return { cidr: '203.0.113.0/24', ...(random.chance(0.5) ? { except: ['203.0.113.8/29'] } : {}) };
  if (pick === 8) return { cidr: random.one(['0.0.0.0/0', '::/0']) };
  return { cidr: '0.0.0.0/0', except: random.some(['10.0.0.0/8', '198.51.100.0/24', '203.0.113.10/32'], 1, 2) };
}

/** Holes must be within (R20); those of random addresses often are not. */
function holesWithin(cidr: string, holes: readonly string[]): { readonly except?: readonly string[] } {
  const within = holes.filter((hole) => isWithin(hole, cidr));
  return within.length === 0 ? {} : { except: within };
}
function bitsOf(text: string): string {
  if (!text.includes(':'))
    return text
      .split('.')
      .map((octet) => Number(octet).toString(2).padStart(8, '0'))
      .join('');
  const [head = '', tail = ''] = text.split('::');
  const groups = [head.split(':').filter(Boolean), tail.split(':').filter(Boolean)];
  const zeros = Array<string>(8 - (groups[0]?.length ?? 0) - (groups[1]?.length ?? 0)).fill('0');
  return [...(groups[0] ?? []), ...zeros, ...(groups[1] ?? [])].map((group) => Number.parseInt(group, 16).toString(2).padStart(16, '0')).join('');
}
function isWithin(inner: string, outer: string): boolean {
  const [address = '', length = ''] = outer.split('/');
  return bitsOf(inner.split('/')[0] ?? '').startsWith(bitsOf(address).slice(0, Number(length)));
}

function peer(random: Random, of: FuzzCluster): Manifest {
  switch (random.integer(0, 3)) {
    case 0:
      return { podSelector: podSelector(random) };
    case 1:
      return { namespaceSelector: namespaceSelector(random) };
    case 2:
      return { namespaceSelector: namespaceSelector(random), podSelector: podSelector(random) };
    default:
      return { ipBlock: block(random, of) };
  }
}

function port(random: Random): Manifest {
  const protocol = random.one(protocols);
  const first = random.one([...portNumbers, 1]);
  const ofProtocol = random.chance(0.85) ? { protocol } : {};
  switch (random.integer(0, 3)) {
    case 0:
      return { protocol };
    case 1:
      return { ...ofProtocol, port: random.one(portNames) };
    case 2:
      return { ...ofProtocol, port: first, endPort: first + random.one([0, 1, 8000]) };
    default:
      return { ...ofProtocol, port: first };
  }
}

const rule = (random: Random, peers: 'from' | 'to', of: FuzzCluster): Manifest => ({
  ...(random.chance(0.75) ? { [peers]: random.list(random.chance(0.1) ? 0 : 1, 3, () => peer(random, of)) } : {}),
  ...(random.chance(0.6) ? { ports: random.list(random.chance(0.1) ? 0 : 1, 3, () => port(random)) } : {}),
});

function networkPolicy(random: Random, name: string, of: FuzzCluster): Manifest {
  const types = random.chance(0.75) ? { policyTypes: random.some(['Ingress', 'Egress'], 1, 2) } : {};
  const hasSecond = of.networks.length > 1;
  const isMulti = hasSecond && random.chance(0.4);
  const metadata = {
    name,
    namespace: random.one(namespaceNames),
    ...(isMulti ? { annotations: { 'k8s.v1.cni.cncf.io/policy-for': secondNetwork } } : {}),
  };
  return {
    ...(isMulti
      ? { apiVersion: 'k8s.cni.cncf.io/v1beta1', kind: 'MultiNetworkPolicy' }
      : { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' }),
    metadata,
    spec: {
      ...(random.chance(0.9) ? { podSelector: podSelector(random) } : { podSelector: {} }),
      ...types,
      ...(random.chance(0.8) ? { ingress: random.list(0, 3, () => rule(random, 'from', of)) } : {}),
      ...(random.chance(0.8) ? { egress: random.list(0, 3, () => rule(random, 'to', of)) } : {}),
    },
  };
}

const subject = (random: Random): Manifest =>
  random.chance(0.5)
    ? { namespaces: namespaceSelector(random) }
    : { pods: { namespaceSelector: namespaceSelector(random), podSelector: podSelector(random) } };

function clusterPeer(random: Random, direction: 'ingress' | 'egress', mayName: boolean, of: FuzzCluster): Manifest {
  switch (direction === 'ingress' ? random.integer(0, 1) : random.integer(0, mayName ? 4 : 3)) {
    case 0:
      return { namespaces: namespaceSelector(random) };
    case 1:
      return { pods: { namespaceSelector: namespaceSelector(random), podSelector: podSelector(random) } };
    case 2:
      return { networks: random.list(1, 2, () => String(block(random, of)['cidr'])) };
    case 3:
      return { nodes: selector(random, { role: ['worker', 'control'] }) };
    default:
      return { domainNames: random.some(['*.example.com', 'api.example.com', 'www.example.com', '*.api.example.com'], 1, 2) };
  }
}

function clusterPort(random: Random, named: boolean): Manifest {
  const number = random.one(portNumbers);
  const destinationPort = random.chance(0.6) ? { number } : { range: { start: number, end: number + random.one([1, 1000]) } };
  return named && random.chance(0.4)
    ? { destinationNamedPort: random.one(portNames) }
    : { [random.one(protocols).toLowerCase()]: { destinationPort } };
}

function adminPort(random: Random, named: boolean): Manifest {
  const port = random.one(portNumbers);
  const protocol = random.one(protocols);
  if (named && random.chance(0.4)) return { namedPort: random.one(portNames) };
  return random.chance(0.5) ? { portNumber: { protocol, port } } : { portRange: { protocol, start: port, end: port + 1 } };
}

function clusterRules(random: Random, direction: 'ingress' | 'egress', old: boolean, hasPass: boolean, of: FuzzCluster): Manifest[] {
  const accept = old ? 'Allow' : 'Accept';
  return random.list(0, 3, () => {
    const action = random.one([accept, 'Deny', ...(hasPass ? ['Pass'] : [])]);
    const peers = random.list(1, 2, () => clusterPeer(random, direction, action === accept && hasPass, of));
    const named = peers.every((one) => 'namespaces' in one || 'pods' in one);
    const ports = random.chance(0.5)
      ? { [old ? 'ports' : 'protocols']: random.list(1, 2, () => (old ? adminPort : clusterPort)(random, named)) }
      : {};
    return { action, [direction === 'ingress' ? 'from' : 'to']: peers, ...ports };
  });
}

function clusterPolicy(random: Random, name: string, of: FuzzCluster): Manifest {
  const old = random.chance(0.25);
  const spec = (hasPass: boolean): Manifest => ({
    subject: subject(random),
    ingress: clusterRules(random, 'ingress', old, hasPass, of),
    egress: clusterRules(random, 'egress', old, hasPass, of),
  });
  // Priorities are different: of equal ones any order is right (R49).
  const priority = Number(name.slice(1));
  return old
    ? { apiVersion: 'policy.networking.k8s.io/v1alpha1', kind: 'AdminNetworkPolicy', metadata: { name }, spec: { priority, ...spec(true) } }
    : {
        apiVersion: 'policy.networking.k8s.io/v1alpha2',
        kind: 'ClusterNetworkPolicy',
        metadata: { name },
        spec: { tier: random.one(['Admin', 'Baseline']), priority, ...spec(true) },
      };
}

/** The policies of one case. */
export function policies(random: Random, of: FuzzCluster): Manifest[] {
  const ofPods = random.list(1, 5, () => 0).map((_, index) => networkPolicy(random, `n${index}`, of));
  const ofCluster = random.chance(0.5) ? random.list(1, 3, () => 0).map((_, index) => clusterPolicy(random, `c${index + 1}`, of)) : [];
  const baseline = random.chance(0.15)
    ? [
        {
          apiVersion: 'policy.networking.k8s.io/v1alpha1',
          kind: 'BaselineAdminNetworkPolicy',
          metadata: { name: 'default' },
          spec: {
            subject: subject(random),
            ingress: clusterRules(random, 'ingress', true, false, of),
            egress: clusterRules(random, 'egress', true, false, of),
          },
        },
      ]
    : [];
  return [...ofPods, ...ofCluster, ...baseline];
}
