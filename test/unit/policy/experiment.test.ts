/** experiment.yaml and folders of manifests → experiments. */
import { describe, expect, test } from 'vitest';
import { flowsOf, endpointName } from '../../../src/policy/decision/cells.ts';
import { readExperiment } from '../../../src/policy/manifests/experiment.ts';
import type { World } from '../../../src/policy/model/experiment.ts';
import { policyKey } from '../../../src/policy/model/policy.ts';
import { podKey } from '../../../src/policy/model/values.ts';
import { faultsOf, grid, np, read, worldsOf } from './ask.ts';

const ipsOf = (world: World): Record<string, string[]> =>
  Object.fromEntries(world.pods.map((pod) => [podKey(pod), pod.interfaces.flatMap(({ ips }) => ips.map(({ text }) => text))]));
const workload = (kind: string, name: string, spec: string, apiVersion = 'apps/v1'): string =>
  `\n---\napiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: ${name}, namespace: x}\nspec: ${spec}\n`;
const template = 'template: {metadata: {labels: {app: w}}, spec: {containers: [{name: c, image: i, ports: [{name: http, containerPort: 8080}]}]}}';

describe('pods', () => {
  test('every workload makes pods with its template, StatefulSets numbered from 0', () => {
    const manifests = [
      workload('Deployment', 'one', `{${template}}`),
      workload('Deployment', 'two', `{replicas: 2, ${template}}`),
      workload('Deployment', 'none', `{replicas: 0, ${template}}`),
      workload('StatefulSet', 'db', `{replicas: 2, ${template}}`),
      workload('DaemonSet', 'agent', `{${template}}`),
      workload('ReplicaSet', 'rs', `{${template}}`),
      workload('Job', 'job', `{${template}}`, 'batch/v1'),
      workload('CronJob', 'cron', `{schedule: "@daily", jobTemplate: {spec: {${template}}}}`, 'batch/v1'),
      workload('Job', 'one', `{${template}}`, 'batch/v1'),
    ].join('');
    const { world } = read('{}', manifests);
    expect(world.pods.map(({ name }) => name)).toEqual(['one', 'two-1', 'two-2', 'db-0', 'db-1', 'agent', 'rs', 'job', 'cron', 'one-job']);
    expect(world.pods.every(({ labels, ports }) => labels['app'] === 'w' && ports[0]?.name === 'http')).toBe(true);
  });

  test('a pod has the addresses of its status, else one of each family; nobody gets one twice', () => {
    const pod = (name: string, status: string): string => `\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: ${name}}\nstatus: ${status}\n`;
    const { world } = read(
      'pods: [{name: short, ip: 10.244.0.2}, {name: none}]',
      pod('four', '{podIP: 10.244.0.1}') + pod('both', '{podIPs: [{ip: 10.244.0.4}, {ip: "fd00:244::4"}]}') + pod('later', '{}'),
    );
    expect(ipsOf(world)).toEqual({
      'default/four': ['10.244.0.1'],
      'default/both': ['10.244.0.4', 'fd00:244::4'],
      'default/later': ['10.244.0.5', 'fd00:244::2'],
      'default/short': ['10.244.0.2'],
      'default/none': ['10.244.0.6', 'fd00:244::3'],
    });
    expect(world.nodes[0]?.ips.map(({ text }) => text)).toEqual(['10.244.0.3', 'fd00:244::1']);
    expect(faultsOf(() => read('pods: [{name: a, ip: 10.0.0.1}, {name: b, ip: 10.0.0.1}]'))).toEqual([
      'experiment.yaml:1: pod default/b has the address 10.0.0.1 of default/a',
    ]);
    expect(faultsOf(() => read('networks: [{name: n, subnet: 10.0.0.0/30}]\npods: [{name: a}, {name: b}]'))[0]).toContain('no address left');
  });

  test('networks: short form, CNI configuration, one that only pods name', () => {
    const { world } = read(`
networks:
- {name: lan, subnets: [10.5.0.0/24, "fd05::/64"]}
- {cniVersion: 1.0.0, name: ptp, plugins: [{type: ptp, ipam: {type: host-local, ranges: [[{subnet: 10.6.0.0/24}]]}}]}
pods:
- {name: a, networks: [lan, ptp, other]}
- {name: b}
`);
    expect(world.networks.map(({ id, type }) => `${id} ${type}`)).toEqual(['lan bridge', 'ptp ptp', 'default/other bridge']);
    expect(ipsOf(world)).toEqual({
      'default/a': ['10.5.0.2', 'fd05::2', '10.6.0.2', '10.246.0.2', 'fd00:246::2'],
      'default/b': ['10.5.0.3', 'fd05::3'],
    });
  });

  test('named ports of sidecars count, those of init containers do not', () => {
    const { world } = read(
      '{}',
      `{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {initContainers: [{name: s, restartPolicy: Always, ports: [{name: side, containerPort: 1}]}, {name: i, ports: [{name: init, containerPort: 2}]}], containers: [{name: c}]}}`,
    );
    expect(world.pods[0]?.ports).toEqual([{ name: 'side', port: 1, protocol: 'TCP' }]);
  });
});

describe('documents', () => {
  test('an empty namespace is the default one', () => {
    expect(read('{}', np('{}').replace('namespace: x', 'namespace: ""')).world.policies.map(policyKey)).toEqual(['NetworkPolicy default/p']);
  });

  test('lists, typed lists, JSON, empty documents, other kinds', () => {
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' } }] });
    const typed = JSON.stringify({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicyList', items: [{ metadata: { name: 'p' }, spec: {} }] });
    const others = `---\n---\n# nothing\n---\nkey: value\n---\napiVersion: v1\nkind: Secret\n---\napiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: c}\n`;
    const { world, skipped } = read('{}', others, { 'list.json': list, 'typed.json': typed });
    expect([world.pods.map(podKey), world.policies.map(policyKey)]).toEqual([['default/a'], ['NetworkPolicy default/p']]);
    expect(skipped).toEqual({ '(no kind)': 1, 'NetworkPolicy (projectcalico.org/v3)': 1, Secret: 1 });
  });

  test('a namespace may be declared twice if its labels are the same', () => {
    const ns = (labels: string): string => `\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: x, labels: ${labels}}\n`;
    expect(faultsOf(() => read('{}', ns('{a: b}') + ns('{a: b}')))).toEqual([]);
    expect(faultsOf(() => read('{}', ns('{a: b}') + ns('{a: c}')))).toEqual(['policies.yaml:8: namespace x has other labels in policies.yaml:3']);
  });

  test('"policies" chooses files; without it all are read that no step applies', () => {
    const files = { 'a.yaml': np('{}', 'a'), 'b.yaml': np('{}', 'b') };
    expect(read('{}', '', files).world.policies).toHaveLength(2);
    expect(read('policies: [b.yaml]', np('{}', 'no'), files).world.policies.map(policyKey)).toEqual(['NetworkPolicy x/b']);
    expect(read('steps: [{apply: b.yaml}]', '', files).world.policies.map(policyKey)).toEqual(['NetworkPolicy x/a']);
    expect(faultsOf(() => read('policies: [c.yaml]', '', files))).toEqual(['experiment.yaml:1: policies[0]: no file is meant by "c.yaml"']);
  });
});

describe('steps', () => {
  const first = `${grid}
steps:
- apply: {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: x}, spec: {}}
- {name: update, apply: later.yaml, labelPod: {pod: x/a, labels: {extra: "1"}}}
- deletePod: x/a
  createPod: {ns: x, name: a, labels: {pod: new}, ip: 10.0.0.10}
- delete: p
  createNamespace: {name: w, labels: {ns: w}}
- createPod: {apiVersion: v1, kind: Pod, metadata: {name: q, namespace: w}}
- deleteNamespace: w
`;
  const later = np('{policyTypes: [Egress]}') + '\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: z, labels: {ns: z, more: "1"}}\n';

  test('each makes the world that comes after it', () => {
    const { world, steps } = read(first, '', { 'later.yaml': later });
    const worlds = worldsOf(world, steps);
    expect(steps.map(({ name, changes }) => `${name}: ${changes.map(({ kind }) => kind).join(' ')}`)).toEqual([
      'step 1: apply',
      'update: labelNamespace apply labelPod',
      'step 3: deletePod createPod',
      'step 4: delete createNamespace',
      'step 5: createPod',
      'step 6: deleteNamespace',
    ]);
    expect(worlds.map(({ policies }) => policies.map(({ directions }) => directions.join()).join())).toEqual([
      '',
      'ingress',
      'egress',
      'egress',
      '',
      '',
      '',
    ]);
    const labelsOfA = worlds.map(({ pods }) => pods.find((pod) => podKey(pod) === 'x/a')?.labels);
    expect(labelsOfA.map((labels) => `${labels?.['pod'] ?? ''}${labels?.['extra'] ?? ''}`)).toEqual(['a', 'a', 'a1', 'new', 'new', 'new', 'new']);
    expect(worlds.map(({ pods, namespaces }) => [pods.length, namespaces.length])).toEqual([
      [9, 3],
      [9, 3],
      [9, 3],
      [9, 3],
      [9, 4],
      [10, 4],
      [9, 3],
    ]);
  });

  test('labels are added, taken away by null, or replaced', () => {
    const { world, steps } = read(`
pods: [{name: a, labels: {one: "1", two: "2"}}]
steps:
- labelPod: {pod: a, labels: {two: null, three: "3"}}
- labelPod: {pod: a, labels: {four: "4"}, replace: true}
- labelNamespace: {namespace: default, labels: {n: "1"}, replace: true}
`);
    const worlds = worldsOf(world, steps);
    expect(worlds.map(({ pods }) => Object.keys(pods[0]?.labels ?? {}).join())).toEqual(['one,two', 'one,three', 'four', 'four']);
    expect(worlds.at(-1)?.namespaces[0]?.labels).toEqual({ n: '1', 'kubernetes.io/metadata.name': 'default' });
  });

  test('what they speak of must be there by then', () => {
    const faults = faultsOf(() =>
      read(`
pods: [{name: a, ip: 10.0.0.1}]
steps:
- {delete: gone, deletePod: b}
- labelPod: {pod: x/a, labels: {}}
- labelNamespace: {namespace: nope, labels: {}}
- deleteNamespace: nope
- createPod: {name: a}
- createPod: {name: c, ip: 10.0.0.1}
- {remove: a, apply: nothing.yaml}
`),
    );
    expect(faults).toEqual([
      'experiment.yaml:10: steps[6].remove: is no field that is known here: known are name, apply, delete, labelPod, labelNamespace, createPod, deletePod, createNamespace, deleteNamespace, expect',
      'experiment.yaml:10: steps[6].apply: no file is meant by "nothing.yaml"',
    ]);
    const settled = faultsOf(() =>
      read(`
pods: [{name: a, ip: 10.0.0.1}]
steps:
- {delete: gone, deletePod: b}
- labelPod: {pod: x/a, labels: {}}
- labelNamespace: {namespace: nope, labels: {}}
- deleteNamespace: nope
- createPod: {name: a}
- createPod: {name: c, ip: 10.0.0.1}
`),
    );
    expect(settled).toEqual([
      'experiment.yaml:4: steps[0].delete: there is no policy "gone" then',
      'experiment.yaml:4: steps[0].deletePod: there is no pod default/b then',
      'experiment.yaml:5: steps[1].labelPod: there is no pod x/a then',
      'experiment.yaml:6: steps[2].labelNamespace: there is no namespace nope then',
      'experiment.yaml:7: steps[3].deleteNamespace: there is no namespace nope then',
      'experiment.yaml:8: pod default/a is there already',
      'experiment.yaml:9: pod default/c has an address of default/a',
    ]);
  });
});

describe('probes, expectations, links', () => {
  const names = (first: string, manifests = ''): string[] => {
    const { world, probes } = read(first, manifests);
    return flowsOf(world, probes)
      .filter(({ from }) => from.ip.family === 4)
      .map(({ from, to, protocol, port }) => `${endpointName(from)}>${endpointName(to)} ${protocol}/${port}`);
  };

  test("ports: a pod's own, else any pod's, else 80; or what the experiment says", () => {
    expect(names('pods: [{name: a, ports: [81, {port: 80, protocol: UDP}]}, {name: b}]').filter((flow) => flow.startsWith('default/a'))).toEqual([
      'default/a>default/a TCP/81',
      'default/a>default/a UDP/80',
      'default/a>default/b TCP/81',
      'default/a>default/b UDP/80',
    ]);
    expect(names('pods: [{name: a}]')).toEqual(['SCTP/80', 'TCP/80', 'UDP/80'].map((port) => `default/a>default/a ${port}`));
    expect(names('pods: [{name: a}]\nprobes: {ports: [9, 7], protocols: [UDP]}')).toEqual(
      ['UDP/7', 'UDP/9'].map((port) => `default/a>default/a ${port}`),
    );
    expect(names('pods: [{name: a, ports: [5]}]\nprobes: {protocols: [UDP, SCTP]}')).toEqual(
      ['SCTP/5', 'UDP/5'].map((port) => `default/a>default/a ${port}`),
    );
  });

  test('who is no pod has names and addresses of his own; a second address of a family is an end of its own', () => {
    const text = `pods: [{name: a, ip: 192.0.2.9}, {name: b, ip: 203.0.113.4}]
nodes: [{name: n, ip: 192.0.2.9}]
outside:
- {name: o, ips: [203.0.113.1, 203.0.113.2, 203.0.113.2]}
- {name: p, ip: 203.0.113.1}
- {name: p, ip: 203.0.113.3}`;
    expect(faultsOf(() => read(text))).toEqual([
      'experiment.yaml:4: outside[0]: has the address 203.0.113.2 twice',
      'experiment.yaml:5: outside[1]: has the address 203.0.113.1 of o',
      'experiment.yaml:6: outside[2]: is a second outside called "p"',
    ]);
    expect(faultsOf(() => read('pods: [{name: a, ip: 192.0.2.9}]\nnodes: [{name: n, ip: 192.0.2.9}]\noutside: [{name: o, ip: 192.0.2.9}]'))).toEqual([
      'experiment.yaml:1: pod default/a has the address 192.0.2.9 of node n',
      'experiment.yaml:3: outside: o has the address 192.0.2.9 of node n',
    ]);
    expect(
      names(`pods: [{name: a, ports: [1]}]
outside: [{name: o, ips: [203.0.113.1, 203.0.113.2]}]
probes: {pairs: [outside/o -> default/a], from: [outside]}`),
    ).toEqual(['outside/o>default/a TCP/1', 'outside/o@203.0.113.2>default/a TCP/1']);
  });
  test('host and outside on request, both ways; pairs by name and by label', () => {
    expect(names('pods: [{name: a, ports: [1]}]\nprobes: {from: [host, outside]}')).toEqual([
      'default/a>default/a TCP/1',
      'default/a>host TCP/1',
      'default/a>outside TCP/1',
      'host>default/a TCP/1',
      'outside>default/a TCP/1',
    ]);
    const pods = 'pods: [{name: a, ports: [1], labels: {r: x}}, {name: b, ports: [1]}, {ns: n, name: c, ports: [1]}]';
    expect(names(`${pods}\nprobes: {pairs: [{from: default/a, to: "n/*"}, {from: {labels: {r: x}}, to: default/b}]}`)).toEqual([
      'default/a>default/b TCP/1',
      'default/a>n/c TCP/1',
    ]);
  });

  test('an expectation must be about something that is there', () => {
    const expectation = (text: string): readonly string[] => faultsOf(() => read(`${grid}\nexpect: [${text}]`));
    expect(expectation('{allow: {from: x/a, to: "y/*", port: 80, protocol: TCP}}, {deny: {from: host, to: {ns: z}}}')).toEqual([]);
    expect(expectation('{allow: {from: x/aa, to: x/b}}')[0]).toContain('from: "x/aa" is no pod that is there then');
    expect(expectation('{deny: {from: x/a, to: {podSelector: {matchLabels: {pod: q}}}}}')[0]).toContain('to: selects no pod');
    expect(expectation('{allow: {}, deny: {}}')[0]).toContain('exactly one of allow and deny');
    expect(expectation('{permit: {}}')).toHaveLength(1);
  });

  test('what an expectation speaks of is asked, whatever the probes are', () => {
    const pods = 'pods: [{name: a, ports: [80]}, {name: b, ports: [80, {port: 53, protocol: UDP}]}]';
    expect(names(`${pods}\nprobes: {pairs: ["default/a -> default/b"]}\nexpect: [{deny: {from: default/b, to: default/a, port: 22}}]`)).toEqual([
      'default/a>default/b TCP/80',
      'default/a>default/b UDP/53',
      'default/b>default/a TCP/22',
    ]);
    expect(names(`${pods}\nsteps: [{expect: [{allow: {from: host, to: default/a, port: 53}}]}]`).filter((flow) => flow.startsWith('host'))).toEqual([
      'host>default/a TCP/80',
      'host>default/a UDP/53',
      'host>default/b TCP/80',
      'host>default/b UDP/53',
    ]);
    expect(faultsOf(() => read(`${pods}\nprobes: {pairs: [a]}`))).toHaveLength(1);
  });

  test('links', () => {
    const { links } = read(`pods: [{name: a}]
links:
- {pod: default/a, loss: "10%", seed: 7, rate: 20mbit, delay: 10ms, jitter: 1ms}
- {network: pods, loss: every 7, partition: true, flap: {up: 1s, down: 100ms}}`);
    expect(links).toMatchObject([
      { pod: 'default/a', lossPermille: 100, seed: 7, rateBitsPerSecond: 20_000_000, delayMs: 10, jitterMs: 1 },
      { network: 'pods', lossEvery: 7, partition: true, flapMs: { up: 1000, down: 100 } },
    ]);
    const faults = faultsOf(() =>
      read('links: [{pod: default/a}, {network: n}, {loss: "10%"}, {pod: a, network: n}, {pod: a, loss: much, rate: fast, delay: "5"}]'),
    );
    expect(faults).toHaveLength(5);
  });

  test('unknown fields are named everywhere', () => {
    const faults = faultsOf(() =>
      read(`
pod: []
pods: [{name: a, label: {}}]
probes: {port: [1]}
switches: {loopback: maybe, other: 1}
nodes: [{name: n, addr: 1}]
outside: [{name: o}]
networks: [{name: n, subnet: 10.0.0.0/8, vlan: 3}]
expect: [{allow: {form: a}}]
`),
    );
    expect(faults.map((fault) => fault.replace(/: (is no field|is missing|").*/, ''))).toEqual([
      'experiment.yaml:2: pod',
      'experiment.yaml:3: pods[0].label',
      'experiment.yaml:4: probes.port',
      'experiment.yaml:5: switches.other',
      'experiment.yaml:5: switches.loopback',
      'experiment.yaml:6: nodes[0].addr',
      'experiment.yaml:7: outside[0].ip',
      'experiment.yaml:8: networks[0].vlan',
      'experiment.yaml:9: expect[0].allow.form',
    ]);
  });

  test('a second document in experiment.yaml is refused', () => {
    expect(faultsOf(() => read('{}\n---\n{}'))).toEqual(['experiment.yaml:3: an experiment is one document']);
    expect(readExperiment({ name: 'empty', files: [], expand: () => [], read: () => ({ fault: '' }) }).world.pods).toEqual([]);
  });
});
