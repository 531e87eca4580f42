/** policy.md rules 1-18: whom a policy selects, when it isolates, what peers mean. One test a rule. */
import { describe, expect, test } from 'vitest';
import { asker, faultsOf, grid, lab, np, read } from './ask.ts';

const selectA = 'podSelector: {matchLabels: {pod: a}}';

describe('NetworkPolicy: selection, isolation, peers', () => {
  test('1: a policy selects pods of its own namespace only; no namespace is "default"', () => {
    const ask = lab(np(`{${selectA}}`));
    expect([ask('y/b', 'x/a'), ask('y/b', 'y/a')]).toEqual(['deny', 'allow']);
    const { world } = read('pods: [{name: p}, {name: q, ns: x}]', np('{}').replace(', namespace: x', ''));
    expect([asker(world)('x/q', 'default/p').verdict, asker(world)('default/p', 'x/q').verdict]).toEqual(['deny', 'allow']);
  });

  test('2: podSelector missing, null or {} is every pod; labels and expressions are ANDed', () => {
    for (const spec of ['{}', '{podSelector: null}', '{podSelector: {}}']) expect(lab(np(spec))('y/a', 'x/c')).toBe('deny');
    const both = np('{podSelector: {matchLabels: {pod: a}, matchExpressions: [{key: pod, operator: In, values: [a, b]}]}}');
    expect([lab(both)('y/a', 'x/a'), lab(both)('y/a', 'x/b')]).toEqual(['deny', 'allow']);
  });

  test('3: In, NotIn, Exists, DoesNotExist; the last and NotIn match an absent key', () => {
    const ask = (expression: string): string[] =>
      ['x/a', 'x/b', 'x/c'].map((pod) => lab(np(`{podSelector: {matchExpressions: [${expression}]}}`))('y/a', pod));
    expect(ask('{key: pod, operator: In, values: [a, c]}')).toEqual(['deny', 'allow', 'deny']);
    expect(ask('{key: pod, operator: NotIn, values: [a]}')).toEqual(['allow', 'deny', 'deny']);
    expect(ask('{key: gone, operator: NotIn, values: [a]}')).toEqual(['deny', 'deny', 'deny']);
    expect(ask('{key: pod, operator: Exists}')).toEqual(['deny', 'deny', 'deny']);
    expect(ask('{key: gone, operator: Exists}')).toEqual(['allow', 'allow', 'allow']);
    expect(ask('{key: gone, operator: DoesNotExist}')).toEqual(['deny', 'deny', 'deny']);
    // Names of a prototype are no labels.
    expect(ask('{key: constructor, operator: Exists}')).toEqual(['allow', 'allow', 'allow']);
    expect(faultsOf(() => lab(np('{podSelector: {matchExpressions: [{key: a, operator: In}]}}')))).toHaveLength(1);
    expect(faultsOf(() => lab(np('{podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}')))).toHaveLength(1);
  });

  test('4: isolation is per direction', () => {
    const ask = lab(np(`{${selectA}, policyTypes: [Ingress]}`));
    expect([ask('y/b', 'x/a'), ask('x/a', 'y/b')]).toEqual(['deny', 'allow']);
    const egress = lab(np(`{${selectA}, policyTypes: [Egress]}`));
    expect([egress('y/b', 'x/a'), egress('x/a', 'y/b')]).toEqual(['allow', 'deny']);
  });

  test('5: not isolated is everything allowed', () => {
    const decision = asker(read(grid, np(`{${selectA}}`)).world)('y/a', 'x/b');
    expect([decision.verdict, decision.ingress.reason]).toEqual(['allow', 'default']);
  });

  test('6: allow rules of all policies are a union, in any order', () => {
    const one = np(`{${selectA}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}`, 'one');
    const two = np(`{${selectA}, ingress: [{from: [{podSelector: {matchLabels: {pod: c}}}]}]}`, 'two');
    const none = np('{}', 'none');
    for (const all of [one + two + none, none + two + one]) {
      const ask = lab(all);
      expect([ask('x/b', 'x/a'), ask('x/c', 'x/a'), ask('y/b', 'x/a')]).toEqual(['allow', 'allow', 'deny']);
    }
  });

  test("7: source's egress and target's ingress must both allow; what is no pod has no check", () => {
    const out = np(`{${selectA}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {ns: y}}}]}]}`);
    const into = np('{podSelector: {matchLabels: {pod: b}}}', 'in', 'y');
    expect([lab(out)('x/a', 'y/b'), lab(into)('x/a', 'y/b'), lab(out + into)('x/a', 'y/b')]).toEqual(['allow', 'deny', 'deny']);
    expect(asker(read(grid, out).world)('outside', 'x/a').egress.reason).toBe('not-a-pod');
  });

  test('8: policyTypes missing: Ingress always, Egress if there is an egress rule', () => {
    const ask = (spec: string): string[] => [lab(np(spec))('y/b', 'x/a'), lab(np(spec))('x/a', 'y/b')];
    expect(ask(`{${selectA}}`)).toEqual(['deny', 'allow']);
    expect(ask(`{${selectA}, egress: []}`)).toEqual(['deny', 'allow']);
    expect(ask(`{${selectA}, policyTypes: [], egress: []}`)).toEqual(['deny', 'allow']);
    expect(ask(`{${selectA}, egress: [{ports: [{port: 53}]}]}`)).toEqual(['deny', 'deny']);
  });

  test('9: policyTypes given are exactly those', () => {
    const ask = lab(np(`{${selectA}, policyTypes: [Egress], ingress: [{from: [{podSelector: {}}]}]}`));
    expect([ask('y/b', 'x/a'), ask('x/a', 'y/b')]).toEqual(['allow', 'deny']);
    const ingress = lab(np(`{${selectA}, policyTypes: [Ingress], egress: [{ports: [{port: 1}]}]}`));
    expect(ingress('x/a', 'y/b')).toBe('allow');
  });

  test('10: ingress [], null and missing are one: isolated, nothing allowed', () => {
    for (const ingress of ['', ', ingress: []', ', ingress: null']) expect(lab(np(`{${selectA}${ingress}}`))('x/b', 'x/a')).toBe('deny');
  });

  test('11: one empty rule allows everything', () => {
    const ask = lab(np(`{${selectA}, ingress: [{}]}`));
    expect([ask('y/b', 'x/a', 'SCTP/9'), ask('outside', 'x/a')]).toEqual(['allow', 'allow']);
  });

  test('12: peers and ports are ANDed, items of each ORed; a protocol-wide item is not swallowed by a port', () => {
    const ask = lab(
      np(
        `{${selectA}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}, {namespaceSelector: {matchLabels: {ns: y}}}], ports: [{port: 80}, {port: 81, protocol: UDP}]}]}`,
      ),
    );
    expect([ask('x/b', 'x/a', 'TCP/80'), ask('y/c', 'x/a', 'UDP/81')]).toEqual(['allow', 'allow']);
    expect([ask('x/b', 'x/a', 'TCP/81'), ask('z/b', 'x/a', 'TCP/80')]).toEqual(['deny', 'deny']);
    expect(lab(np(`{${selectA}, ingress: [{ports: [{protocol: TCP}, {protocol: TCP, port: 80}]}]}`))('y/a', 'x/a', 'TCP/81')).toBe('allow');
  });

  test('13: peers missing or empty are everybody, ports missing or empty are all', () => {
    for (const rule of ['{ports: [{port: 80}]}', '{from: [], ports: [{port: 80}]}', '{from: null, ports: [{port: 80}]}']) {
      const ask = lab(np(`{${selectA}, ingress: [${rule}]}`));
      expect([ask('y/b', 'x/a'), ask('outside', 'x/a'), ask('outside', 'x/a', 'TCP/80', 6), ask('y/b', 'x/a', 'UDP/80')]).toEqual([
        'allow',
        'allow',
        'allow',
        'deny',
      ]);
    }
    const ask = lab(np(`{${selectA}, ingress: [{from: [{podSelector: {}}], ports: []}]}`));
    expect([ask('x/b', 'x/a', 'SCTP/7'), ask('y/b', 'x/a')]).toEqual(['allow', 'deny']);
  });

  test('14: a peer is an ipBlock alone, or selectors', () => {
    const peer = (text: string): readonly string[] => faultsOf(() => lab(np(`{ingress: [{from: [${text}]}]}`)));
    expect(peer('{}')[0]).toContain('spec.ingress[0].from[0]: must have podSelector, namespaceSelector or ipBlock');
    expect(peer('{podSelector: null}')[0]).toContain('a selector with nothing behind it is not there, write {}');
    expect(peer('{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}')[0]).toContain('ipBlock stands alone');
    expect(peer('{podSelector: {}, namespaceSelector: {}}')).toEqual([]);
  });

  test("15: podSelector alone stays in the policy's namespace, {} too", () => {
    const ask = lab(np(`{${selectA}, ingress: [{from: [{podSelector: {}}]}]}`));
    expect([ask('x/c', 'x/a'), ask('y/c', 'x/a'), ask('outside', 'x/a')]).toEqual(['allow', 'deny', 'deny']);
  });

  test('16: namespaceSelector alone is every pod of the namespaces it matches, {} of all', () => {
    const ask = lab(np(`{${selectA}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}}]}]}`));
    expect([ask('y/c', 'x/a'), ask('x/b', 'x/a')]).toEqual(['allow', 'deny']);
    const all = lab(np(`{${selectA}, ingress: [{from: [{namespaceSelector: {}}]}]}`));
    expect([all('y/c', 'x/a'), all('x/b', 'x/a')]).toEqual(['allow', 'allow']);
  });

  test('17: both in one item is AND, in two items OR', () => {
    const both = lab(np(`{${selectA}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}, namespaceSelector: {matchLabels: {ns: y}}}]}]}`));
    expect([both('y/b', 'x/a'), both('y/c', 'x/a'), both('x/b', 'x/a')]).toEqual(['allow', 'deny', 'deny']);
    const either = lab(np(`{${selectA}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}, {namespaceSelector: {matchLabels: {ns: y}}}]}]}`));
    expect([either('y/b', 'x/a'), either('y/c', 'x/a'), either('x/b', 'x/a'), either('z/b', 'x/a')]).toEqual(['allow', 'allow', 'allow', 'deny']);
  });

  test('18: selectors mean pods, never addresses outside', () => {
    const ask = lab(
      np(`{${selectA}, policyTypes: [Ingress, Egress], ingress: [{from: [{namespaceSelector: {}}]}], egress: [{to: [{namespaceSelector: {}}]}]}`),
    );
    expect([ask('outside', 'x/a'), ask('x/a', 'outside'), ask('x/a', 'z/c')]).toEqual(['deny', 'deny', 'allow']);
  });
});
