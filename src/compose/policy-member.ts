/** What the command line says of a pod and network policies → what the policies see of it. */
import { RuntimeError } from '../model/errors.ts';
import type { RunOptions } from '../model/options.ts';
import type { NetPlan } from '../model/plan.ts';
import type { PodManifest } from '../model/pod.ts';
import type { MemberPort, PolicyMember } from '../model/policy-member.ts';
import { policySetText } from '../policy/model/json.ts';

const dnsLabel = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const labelKey = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const labelValue = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;
const portName = /^(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*$/;

/**
 * Undefined for a pod that takes no part. Manifests are read here, before anything is touched.
 * @throws ERR_POLICY_POD naming every fault, ERR_LAB_INPUT with those of the manifests
 */
export async function memberOf({ policy, podName }: RunOptions, id: string, manifest: PodManifest, plan: NetPlan): Promise<PolicyMember | undefined> {
  if (policy === undefined) return undefined;
  const faults: string[] = [];
  const { namespace = 'default' } = policy;
  if (!dnsLabel.test(namespace)) faults.push(`--namespace=${namespace}: no name of a namespace (lower-case letters, digits, dashes)`);
  const labels = Object.fromEntries(policy.labels.flatMap((text) => readLabel(text, faults)));
  const named = policy.namedPorts.flatMap((text) => readPort(text, faults));
  const network = networkFault(plan);
  if (network !== undefined) faults.push(network);
  if (faults.length > 0)
    throw new RuntimeError(
      'ERR_POLICY_POD',
      faults.length === 1 ? (faults[0] ?? '') : `${faults.length} faults in what is asked of network policies`,
      {
        details: faults.length === 1 ? [] : faults,
        hint: 'rkt help run shows the forms; policies hold on networks of type bridge (with isGateway) and ptp',
      },
    );
  const ofImages = manifest.apps.flatMap(({ app }) =>
    (app.ports ?? []).map(({ name, port, protocol }): MemberPort => ({ name, port, protocol: protocolNames[protocol] })),
  );
  return { namespace, name: podName ?? id.slice(0, 8), labels, ports: [...named, ...ofImages], brought: await broughtBy(policy.policies) };
}

const protocolNames = { tcp: 'TCP', udp: 'UDP', sctp: 'SCTP' } as const;

function readLabel(text: string, faults: string[]): [string, string][] {
  const at = text.indexOf('=');
  const [key, value] = at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
  if (at > 0 && labelKey.test(key) && labelValue.test(value)) return [[key, value]];
  faults.push(`--label=${text}: not KEY=VALUE as Kubernetes has labels`);
  return [];
}

function readPort(text: string, faults: string[]): MemberPort[] {
  const [, name = '', number = '', protocol = 'tcp'] = /^([^=]+)=(\d{1,5})(?:\/(tcp|udp|sctp))?$/i.exec(text) ?? [];
  const port = Number(number);
  if (portName.test(name) && name.length <= 15 && port >= 1 && port <= 65_535)
    return [{ name, port, protocol: protocolNames[protocol.toLowerCase() as keyof typeof protocolNames] }];
  faults.push(`--named-port=${text}: not NAME=PORT[/tcp|udp|sctp] with a name of at most 15 lower-case letters, digits and dashes`);
  return [];
}

/** Why no rule of the host would see the pod's packets; undefined: they do. */
function networkFault({ mode, networks }: NetPlan): string | undefined {
  if (mode === 'host' || mode === 'ns') return `--net=${mode}: network policies are for pods with a network of their own`;
  const [first] = networks;
  const type = first?.plugins[0]?.type;
  if (first === undefined || type === 'ptp' || (type === 'bridge' && first.expects.gateway)) return undefined;
  const why = type === 'bridge' ? 'is a bridge without a gateway' : `is of type ${type ?? 'unknown'}`;
  return `network "${first.name}" ${why}: what its pods send to each other is seen by no rule of the host`;
}

/** The reader of YAML is loaded for those who bring some. */
async function broughtBy(paths: readonly string[]): Promise<string> {
  if (paths.length === 0) return '';
  const { readPolicies } = await import('./policy-files.ts');
  const sets = paths.map(readPolicies);
  return policySetText({ namespaces: sets.flatMap(({ namespaces }) => namespaces), policies: sets.flatMap(({ policies }) => policies) });
}
