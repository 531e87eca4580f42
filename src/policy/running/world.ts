/** Running pods and the policies in force → a world, as the compiler and the decision know it. Pure. */
import { parseIp, type Ip } from '../../model/cidr.ts';
import type { PolicedPod } from '../../model/policy-member.ts';
import type { World } from '../model/experiment.ts';
import { policyKey, type Policy } from '../model/policy.ts';
import type { PolicySet } from '../model/json.ts';
import { defaultSwitches, podKey, type Namespace, type Pod } from '../model/values.ts';

/** The first network of every pod, whichever it is (R65). */
export const clusterNetwork = 'pods';
const nameLabel = 'kubernetes.io/metadata.name';

/** Of equal keys the last one counts: what was applied goes before what pods bring, pods in the order in which they came. */
export function setsInForce(applied: readonly PolicySet[], brought: readonly PolicySet[]): PolicySet {
  const policies = new Map<string, Policy>();
  const namespaces = new Map<string, Namespace>();
  for (const set of [...brought, ...applied]) {
    for (const policy of set.policies) policies.set(policyKey(policy), policy);
    for (const namespace of set.namespaces) namespaces.set(namespace.name, namespace);
  }
  return { policies: [...policies.values()], namespaces: [...namespaces.values()] };
}

const ipsOf = (texts: readonly string[]): Ip[] => texts.flatMap((text) => parseIp(text) ?? []);

function podOf({ namespace, name, labels, ports, interfaces, id }: PolicedPod): Pod {
  return {
    namespace,
    name,
    labels,
    ports,
    interfaces: interfaces.map(({ network, ips }) => ({ network: network === '' ? clusterNetwork : network, ips: ipsOf(ips) })),
    hostNetwork: false,
    ended: false,
    source: { file: `pod ${id}`, line: 1 },
  };
}

/** `host`: the machine the pods run on. */
export function runningWorld(
  pods: readonly PolicedPod[],
  { policies, namespaces }: PolicySet,
  host: { readonly name: string; readonly ips: readonly Ip[] },
): World {
  const others = new Set(pods.flatMap(({ interfaces }) => interfaces.map(({ network }) => network)));
  others.delete('');
  const known = new Set(namespaces.map(({ name }) => name));
  const implied = [...new Set([...pods, ...policies].map(({ namespace }) => namespace))].filter((name) => name !== '' && !known.has(name));
  return {
    networks: [clusterNetwork, ...[...others].sort()].map((id) => ({ id, type: 'ptp', subnets: [] })),
    namespaces: [...namespaces, ...implied.map((name) => ({ name, labels: { [nameLabel]: name } }))],
    pods: pods.map(podOf),
    policies,
    nodes: [{ name: host.name, labels: { 'kubernetes.io/hostname': host.name }, ips: host.ips, local: true }],
    outside: [],
    switches: defaultSwitches,
  };
}

/** The pod that `text` means: `ns/name`, or the beginning of a UUID. What it is called in the world; `text` itself when it means none. */
export function nameInWorld(pods: readonly PolicedPod[], text: string): string {
  const byId = /^[0-9a-f-]{4,36}$/.test(text) ? pods.filter(({ id }) => id.startsWith(text)) : [];
  const [only] = byId;
  return only !== undefined && byId.length === 1 ? podKey(only) : text;
}
