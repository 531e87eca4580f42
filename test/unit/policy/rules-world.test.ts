/** policy.md rules 34-46: nodes, families, labels, changes of the world. One test a rule. */
import { describe, expect, test } from 'vitest';
import { lint } from '../../../src/policy/lint/lint.ts';
import { asker, faultsOf, grid, lab, np, read, worldsOf } from './ask.ts';

const selectA = 'podSelector: {matchLabels: {pod: a}}';
const closed = np('{policyTypes: [Ingress, Egress]}');

/** Verdicts of one question before the steps and after each. */
const history = (first: string, manifests: string, question: readonly [string, string]): string[] => {
  const { world, steps } = read(first, manifests);
  return worldsOf(world, steps).map((at) => asker(at)(...question).verdict);
};

describe('NetworkPolicy: the world around', () => {
  test("34: a pod's own node always reaches it; other nodes are addresses", () => {
    const first = `${grid}\nnodes: [{name: n2, ip: 192.0.2.9}]`;
    const ask = lab(closed, { first });
    expect([ask('host', 'x/a'), ask('node/n2', 'x/a')]).toEqual(['allow', 'deny']);
    expect(lab(np('{ingress: [{from: [{ipBlock: {cidr: 192.0.2.9/32}}]}]}'), { first })('node/n2', 'x/a')).toBe('allow');
  });

  test('35: NetworkPolicy does not cut a pod off from its own node; a switch polices that', () => {
    expect([lab(closed)('x/a', 'host'), lab(closed, { switches: { podToNode: 'police' } })('x/a', 'host')]).toEqual(['allow', 'deny']);
    expect(asker(read(grid, closed).world)('x/a', 'host').egress.reason).toBe('own-node');
  });

  test("36: selectors do not see hostNetwork pods, whose traffic is the node's; a switch makes them selectable", () => {
    const first = `${grid}- {ns: x, name: h, labels: {pod: a}, hostNetwork: true}`;
    const policies = np(`{podSelector: {matchLabels: {pod: a}}, policyTypes: [Ingress, Egress]}`);
    expect([lab(policies, { first })('x/b', 'x/h'), lab(policies, { first })('x/h', 'x/a')]).toEqual(['allow', 'allow']);
    expect(asker(read(first, policies).world)('x/b', 'x/h').ingress.reason).toBe('not-a-pod');
    const selectable = { hostNetwork: 'pod' } as const;
    expect([lab(policies, { first, switches: selectable })('x/b', 'x/h'), lab(policies, { first, switches: selectable })('x/h', 'x/a')]).toEqual([
      'deny',
      'deny',
    ]);
  });

  test('37: port-forward comes from the node, exec from inside: neither is policed', () => {
    expect([lab(closed)('host', 'x/a'), lab(closed)('x/a', 'x/a')]).toEqual(['allow', 'allow']);
  });

  test('38: connections are to pods and to the port at the pod; a Service is passed over and counted', () => {
    const service = '\n---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 8000, targetPort: 80}]}';
    expect(read(grid, service).skipped).toEqual({ Service: 1 });
    const policies = np(`{${selectA}, ingress: [{ports: [{port: 80}]}]}`) + service;
    expect([lab(policies)('y/a', 'x/a', 'TCP/80'), lab(policies)('y/a', 'x/a', 'TCP/8000')]).toEqual(['allow', 'deny']);
  });

  test('39: selectors cover both families; a block covers its own', () => {
    const selector = lab(np(`{${selectA}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}`));
    expect([selector('x/b', 'x/a', 'TCP/80', 6), selector('x/c', 'x/a', 'TCP/80', 6)]).toEqual(['allow', 'deny']);
    const block = lab(np(`{${selectA}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}`));
    expect([block('x/b', 'x/a', 'TCP/80', 4), block('x/b', 'x/a', 'TCP/80', 6)]).toEqual(['allow', 'deny']);
    const six = lab(np(`{${selectA}, ingress: [{from: [{ipBlock: {cidr: "fd00::/64", except: ["fd00::1:10/128"]}}]}]}`));
    expect([six('x/b', 'x/a', 'TCP/80', 6), six('y/a', 'x/a', 'TCP/80', 6), six('x/b', 'x/a')]).toEqual(['allow', 'deny', 'deny']);
  });

  test('40: every namespace has kubernetes.io/metadata.name, declared or not', () => {
    const select = 'namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: y}}';
    const policies = np(`{${selectA}, ingress: [{from: [{${select}}]}]}`);
    expect([lab(policies)('y/b', 'x/a'), lab(policies)('z/b', 'x/a')]).toEqual(['allow', 'deny']);
    const undeclared = 'pods: [{ns: x, name: a, labels: {pod: a}}, {ns: y, name: b}]';
    expect(lab(policies, { first: undeclared })('y/b', 'x/a')).toBe('allow');
    expect(faultsOf(() => read('namespaces: {y: {kubernetes.io/metadata.name: y}}'))).toEqual([]);
  });

  test('41: labels of pods and namespaces may change, for subjects and peers', () => {
    const policies = np('{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}}]}]}');
    const steps = (change: string): string => `${grid}\nsteps:\n- ${change}`;
    expect(history(steps('labelPod: {pod: x/a, labels: {pod: other}}'), policies, ['z/b', 'x/a'])).toEqual(['deny', 'allow']);
    expect(history(steps('labelPod: {pod: x/b, labels: {pod: a}}'), policies, ['z/b', 'x/b'])).toEqual(['allow', 'deny']);
    expect(history(steps('labelNamespace: {namespace: z, labels: {ns: y}}'), policies, ['z/b', 'x/a'])).toEqual(['deny', 'allow']);
    expect(history(steps('labelNamespace: {namespace: y, labels: {ns: null}}'), policies, ['y/b', 'x/a'])).toEqual(['allow', 'deny']);
  });

  test('42: pods that have ended are no subjects and no peers, and their address may be used again', () => {
    const ended = (phase: string): string =>
      `apiVersion: v1\nkind: Pod\nmetadata: {name: old, namespace: x, labels: {pod: b}}\nstatus: {phase: ${phase}, podIP: 10.0.0.11}`;
    const policies = np(`{${selectA}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}`);
    for (const phase of ['Succeeded', 'Failed']) {
      const first = grid.replace(/- \{ns: x, name: b, labels: \{pod: b\}/, '- {ns: x, name: b, labels: {pod: z}');
      const { world } = read(first, `${ended(phase)}\n${policies}`);
      expect(asker(world)('x/b', 'x/a').verdict).toBe('deny');
      expect(() => asker(world)('x/old', 'x/a')).toThrow('there is no x/old');
    }
  });

  test('43: a pod that is created is isolated from the first: it is not there without its policies', () => {
    const first = `${grid}\nsteps:\n- createPod: {ns: x, name: late, labels: {pod: a}, ip: 10.0.0.99}`;
    const { world, steps } = read(first, np(`{${selectA}}`));
    const after = worldsOf(world, steps)[1];
    expect(after === undefined ? '' : asker(after)('y/b', 'x/late').verdict).toBe('deny');
  });

  test('44: a deleted policy isolates no more; the last one opens the pod', () => {
    const first = `${grid}\nsteps:\n- delete: x/one\n- delete: NetworkPolicy x/two`;
    const two = np('{ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}', 'two');
    expect(history(first, np('{}', 'one') + two, ['y/b', 'x/a'])).toEqual(['deny', 'deny', 'allow']);
  });

  test('45: pods that are isolated for egress lose DNS unless something allows port 53: lint says so', () => {
    const codes = (policies: string): string[] => lint(read(grid, policies)).map(({ code }) => code);
    expect(codes(np('{policyTypes: [Egress]}'))).toContain('no-dns');
    expect(codes(np('{policyTypes: [Egress], egress: [{ports: [{port: 443}]}]}'))).toContain('no-dns');
    expect(codes(np('{policyTypes: [Egress], egress: [{ports: [{port: 53, protocol: UDP}]}]}'))).not.toContain('no-dns');
    expect(codes(np('{policyTypes: [Egress]}') + np('{policyTypes: [Egress], egress: [{}]}', 'all'))).not.toContain('no-dns');
  });

  test('46: no priority, action, name or node selector in v1: each is refused by its name', () => {
    const spec = (text: string): string => faultsOf(() => lab(np(text)))[0] ?? '';
    expect(spec('{priority: 3}')).toContain('spec.priority: is no field');
    expect(spec('{ingress: [{action: Deny}]}')).toContain('spec.ingress[0].action: is no field');
    expect(spec('{egress: [{to: [{fqdn: example.com}]}]}')).toContain('spec.egress[0].to[0].fqdn: is no field');
    expect(spec('{egress: [{to: [{nodes: {}}]}]}')).toContain('spec.egress[0].to[0].nodes: is no field');
  });
});
