/** What network policies cost as pods get more: the transaction that puts them in place, and a new flow that meets them. */
import { measure } from '../../src/lab/measure.ts';
import { readExperiment } from '../../src/policy/manifests/experiment.ts';
import type { World } from '../../src/policy/model/experiment.ts';
import type { Endpoint, Flow } from '../../src/policy/model/flow.ts';
import type { Pod } from '../../src/policy/model/values.ts';

export interface PolicyCost {
  readonly pods: number;
  /** of the transaction, the least of all rounds */
  readonly loadMs: number;
  /** of a UDP flow from its first packet to its answer, sockets included, the least of all rounds */
  readonly flowUs: number;
}

const podsPerApp = 10;
const flowsPerRound = 2_000;

/** Every app is isolated both ways and talks to itself: a class of its own in either direction. */
function worldOf(pods: number): World {
  const apps = Math.ceil(pods / podsPerApp);
  const text = JSON.stringify({
    networks: [{ name: 'pods', subnet: '10.20.0.0/16' }],
    pods: Array.from({ length: pods }, (_, i) => ({ name: `p${i}`, labels: { app: `a${Math.floor(i / podsPerApp)}` }, ports: [80] })),
    policies: Array.from({ length: apps }, (_, i) => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: `a${i}` },
      spec: {
        podSelector: { matchLabels: { app: `a${i}` } },
        policyTypes: ['Ingress', 'Egress'],
        ingress: [{ from: [{ podSelector: { matchLabels: { app: `a${i}` } } }], ports: [{ protocol: 'UDP' }] }],
        egress: [{ to: [{ podSelector: { matchLabels: { app: `a${i}` } } }], ports: [{ protocol: 'UDP' }] }],
      },
    })),
  });
  const none = { files: [], expand: () => [], read: () => ({ fault: 'one file' }) };
  return readExperiment({ name: 'bench', experiment: { file: 'bench', text }, ...none }).world;
}

const endOf = (pod: Pod | undefined): Endpoint => {
  const [place] = pod?.interfaces ?? [];
  const ip = place?.ips.find(({ family }) => family === 4);
  if (pod === undefined || place === undefined || ip === undefined) throw new Error('a pod without an address');
  return { kind: 'pod', pod, network: place.network, ip };
};

/** The two pods that packets go between are the last ones: what is looked through from the front finds them last. */
export function measurePolicies(sizes: readonly number[], rounds: number): PolicyCost[] {
  return sizes.map((pods) => {
    const enforced = worldOf(pods);
    const two = enforced.pods.slice(-2);
    const flows = Array.from({ length: flowsPerRound }, (_, i): Flow => ({
      from: endOf(two[0]),
      to: endOf(two[1]),
      protocol: 'UDP',
      port: 1_000 + i,
    }));
    const stages = measure(
      Array.from({ length: rounds }, () => ({ world: { ...enforced, pods: two }, flows, enforced })),
      { joining: 'routed' },
    );
    if (stages.some((stage) => stage.flows.some(({ verdict }) => verdict !== 'allowed'))) throw new Error('a flow was not let through');
    return {
      pods,
      loadMs: Math.min(...stages.map(({ applyMs }) => applyMs)),
      flowUs: (1000 * Math.min(...stages.map(({ probeMs }) => probeMs))) / flowsPerRound,
    };
  });
}
