/** policy.md rules 47-65: ClusterNetworkPolicy, AdminNetworkPolicy, BaselineAdminNetworkPolicy, MultiNetworkPolicy. One test a rule. */
import { describe, expect, test } from 'vitest';
import { domainMatches } from '../../../src/policy/decision/match.ts';
import { lint } from '../../../src/policy/lint/lint.ts';
import { asker, cnp, faultsOf, grid, lab, np, read } from './ask.ts';

const all = 'subject: {namespaces: {}}';
const onA = 'subject: {pods: {namespaceSelector: {matchLabels: {ns: x}}, podSelector: {matchLabels: {pod: a}}}}';
const every = '[{namespaces: {}}]';
const admin = (rules: string, priority = 10, name = 'p', subject = onA): string =>
  cnp(`{tier: Admin, priority: ${priority}, ${subject}, ${rules}}`, name);
const baseline = (rules: string, priority = 10, name = 'b'): string => cnp(`{tier: Baseline, priority: ${priority}, ${onA}, ${rules}}`, name);
const rule = (action: string, peers = every, rest = ''): string => `{action: ${action}, from: ${peers}${rest}}`;
const inA = (...rules: string[]): string => `ingress: [${rules.join(', ')}]`;
const faults = (manifest: string): readonly string[] => faultsOf(() => read(grid, manifest));

const anp = (spec: string, kind = 'AdminNetworkPolicy', name = 'p'): string =>
  `\n---\napiVersion: policy.networking.k8s.io/v1alpha1\nkind: ${kind}\nmetadata: {name: ${name}}\nspec: ${spec}\n`;

describe('ClusterNetworkPolicy and its relatives', () => {
  test('47: cluster-scoped; tier, priority 0 to 1000, subject; 25 of each at most', () => {
    expect(faults(admin(inA(rule('Deny'))))).toEqual([]);
    expect(faults(admin(inA(rule('Deny'))).replace('{name: p}', '{name: p, namespace: x}'))[0]).toContain('metadata.namespace');
    expect(faults(cnp(`{priority: 1001, tier: Middle, ${all}}`))).toHaveLength(2);
    expect(faults(cnp('{}'))).toHaveLength(3);
    const many = (count: number, item: string): string => Array.from({ length: count }, () => item).join(', ');
    expect(faults(admin(`ingress: [${many(25, rule('Deny'))}]`))).toEqual([]);
    expect(faults(admin(`ingress: [${many(26, rule('Deny'))}]`))[0]).toContain('has 26 items, 25 at most');
    expect(faults(admin(inA(rule('Deny', `[${many(26, '{namespaces: {}}')}]`))))).toHaveLength(1);
    expect(faults(admin(`egress: [{action: Deny, to: [{networks: [${many(26, '10.0.0.0/8')}]}]}]`))).toHaveLength(1);
  });

  test('48: Admin, then NetworkPolicy, then Baseline, then allowed', () => {
    const deny = np('{podSelector: {matchLabels: {pod: a}}}');
    const allowAll = np('{podSelector: {matchLabels: {pod: a}}, ingress: [{}]}');
    expect(lab(admin(inA(rule('Accept'))) + deny)('y/b', 'x/a')).toBe('allow');
    expect(lab(admin(inA(rule('Deny'))) + allowAll)('y/b', 'x/a')).toBe('deny');
    expect(lab(baseline(inA(rule('Deny'))) + allowAll)('y/b', 'x/a')).toBe('allow');
    expect(lab(baseline(inA(rule('Accept'))) + deny)('y/b', 'x/a')).toBe('deny');
    expect(lab(baseline(inA(rule('Deny'))))('y/b', 'x/a')).toBe('deny');
    expect(lab(admin(inA(rule('Deny', '[{namespaces: {matchLabels: {ns: z}}}]'))))('y/b', 'x/a')).toBe('allow');
  });

  test('49: the lower number goes first; equal numbers that disagree are ambiguous, and lint says so', () => {
    const two = (first: number, second: number): string => admin(inA(rule('Deny')), first, 'deny') + admin(inA(rule('Accept')), second, 'accept');
    expect([lab(two(1, 2))('y/b', 'x/a'), lab(two(2, 1))('y/b', 'x/a')]).toEqual(['deny', 'allow']);
    const { ingress } = asker(read(grid, two(5, 5)).world)('y/b', 'x/a');
    expect([ingress.verdict, ingress.ambiguous?.map(({ name }) => name)]).toEqual(['allow', ['accept', 'deny']]);
    expect(lint(read(grid, two(5, 5))).filter(({ code }) => code === 'equal-priority')).toHaveLength(2);
    // Both end in the same: nothing is ambiguous.
    const same = admin(inA(rule('Accept')), 5, 'accept') + admin(inA(rule('Pass')), 5, 'pass');
    expect(asker(read(grid, same).world)('y/b', 'x/a').ingress.ambiguous).toBeUndefined();
    const differs = same + np('{}');
    expect(asker(read(grid, differs).world)('y/b', 'x/a').ingress.ambiguous).toHaveLength(2);
    // One priority in two tiers is no conflict.
    expect(asker(read(grid, admin(inA(rule('Accept'))) + baseline(inA(rule('Deny')))).world)('y/b', 'x/a').ingress.ambiguous).toBeUndefined();
  });

  test('50: the first rule that matches decides; what no rule matches falls on', () => {
    const y = '[{namespaces: {matchLabels: {ns: y}}}]';
    const ask = lab(admin(inA(rule('Accept', y), rule('Deny', y), rule('Deny', '[{namespaces: {matchLabels: {ns: z}}}]'))));
    expect([ask('y/b', 'x/a'), ask('z/b', 'x/a'), ask('x/b', 'x/a')]).toEqual(['allow', 'deny', 'allow']);
    expect(lab(admin(inA(rule('Deny', y), rule('Accept', y))))('y/b', 'x/a')).toBe('deny');
  });

  test('51: Pass skips the rest of its tier; in Baseline it ends in allowed', () => {
    const pass = admin(inA(rule('Pass')), 1, 'pass') + admin(inA(rule('Deny')), 2, 'deny');
    expect(lab(pass)('y/b', 'x/a')).toBe('allow');
    expect(lab(pass + np('{}'))('y/b', 'x/a')).toBe('deny');
    expect(lab(pass + baseline(inA(rule('Deny'))))('y/b', 'x/a')).toBe('deny');
    expect(lab(baseline(inA(rule('Pass')), 1, 'pass') + baseline(inA(rule('Deny')), 2, 'deny'))('y/b', 'x/a')).toBe('allow');
  });

  test('52: Accept in one direction does not spare the other end', () => {
    const accept = admin('egress: [{action: Accept, to: [{namespaces: {}}]}]');
    expect(lab(accept + np('{}', 'p', 'y'))('x/a', 'y/b')).toBe('deny');
    expect(lab(accept + np('{policyTypes: [Egress]}'))('x/a', 'y/b')).toBe('allow');
  });

  test('53: NetworkPolicy hides Baseline per direction; a switch hides it per pod', () => {
    const egressOnly = np('{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress]}');
    const policies = egressOnly + baseline(inA(rule('Deny')));
    expect([lab(policies)('y/b', 'x/a'), lab(policies, { switches: { baseline: 'per-pod' } })('y/b', 'x/a')]).toEqual(['deny', 'allow']);
    const ingressOnly = np('{podSelector: {matchLabels: {pod: a}}, ingress: [{}]}');
    expect(lab(ingressOnly + baseline(inA(rule('Deny'))))('y/b', 'x/a')).toBe('allow');
  });

  test('54: subject is exactly one of namespaces and pods; hostNetwork pods never are', () => {
    const subject = (text: string): readonly string[] => faults(cnp(`{tier: Admin, priority: 1, subject: ${text}}`));
    expect([subject('{}'), subject('{namespaces: {}, pods: {namespaceSelector: {}, podSelector: {}}}')].map(({ length }) => length)).toEqual([1, 1]);
    expect(subject('{pods: {podSelector: {}}}')[0]).toContain('spec.subject.pods.namespaceSelector: is missing');
    const first = `${grid}- {ns: x, name: h, labels: {pod: a}, hostNetwork: true}`;
    const policies = admin(inA(rule('Deny')), 1, 'p', all);
    expect(lab(policies, { first })('y/b', 'x/h')).toBe('allow');
    expect(lab(policies, { first, switches: { hostNetwork: 'pod' } })('y/b', 'x/h')).toBe('allow');
    expect(lab(policies, { first, switches: { hostNetwork: 'pod' } })('x/h', 'x/a')).toBe('allow');
    expect(lab(policies, { first })('y/b', 'z/c')).toBe('deny');
  });

  test('55: ingress peers are namespaces or pods; egress peers also nodes, networks, domainNames; one field each', () => {
    const pods = '[{pods: {namespaceSelector: {matchLabels: {ns: y}}, podSelector: {matchLabels: {pod: b}}}}]';
    const ask = lab(admin(inA(rule('Deny', pods))));
    expect([ask('y/b', 'x/a'), ask('y/c', 'x/a'), ask('z/b', 'x/a')]).toEqual(['deny', 'allow', 'allow']);
    for (const field of ['networks: [10.0.0.0/8]', 'nodes: {}', 'domainNames: [example.com]'])
      expect(faults(admin(inA(rule('Accept', `[{${field}}]`))))[0]).toContain('is a peer of egress rules only');
    expect(faults(admin(inA(rule('Deny', '[{namespaces: {}, pods: {namespaceSelector: {}, podSelector: {}}}]'))))[0]).toContain(
      'each peer is exactly one',
    );
  });

  test('56: from and to are required, with one item at least', () => {
    expect(faults(admin('ingress: [{action: Deny}]'))[0]).toContain('spec.ingress[0].from: is missing');
    expect(faults(admin('egress: [{action: Deny, to: []}]'))[0]).toContain('spec.egress[0].to: needs at least one item');
  });

  test('57: networks mean pods too; a Pass before spares them', () => {
    const deny = '{action: Deny, to: [{networks: [0.0.0.0/0, "::/0"]}]}';
    const ask = lab(admin(`egress: [${deny}]`));
    expect([ask('x/a', 'y/b'), ask('x/a', 'outside'), ask('x/a', 'y/b', 'TCP/80', 6), ask('x/b', 'outside')]).toEqual([
      'deny',
      'deny',
      'deny',
      'allow',
    ]);
    const spared = lab(admin(`egress: [{action: Pass, to: [{namespaces: {}}]}, ${deny}]`));
    expect([spared('x/a', 'y/b'), spared('x/a', 'outside')]).toEqual(['allow', 'deny']);
  });

  test('58: nodes mean addresses of nodes, the own one too; {} is all', () => {
    const first = `${grid}\nnodes: [{name: n1, labels: {role: cp}, ip: 192.0.2.1}, {name: n2, ip: 192.0.2.2}]`;
    const ask = lab(admin('egress: [{action: Deny, to: [{nodes: {matchLabels: {role: cp}}}]}]'), { first });
    expect([ask('x/a', 'node/n1'), ask('x/a', 'node/n2'), ask('x/a', 'host'), ask('x/a', 'y/b')]).toEqual(['deny', 'allow', 'allow', 'allow']);
    const every = lab(admin('egress: [{action: Deny, to: [{nodes: {}}]}]'), { first });
    expect([every('x/a', 'node/n2'), every('x/a', 'host'), every('x/a', '192.0.2.2'), every('x/a', 'outside')]).toEqual([
      'deny',
      'deny',
      'deny',
      'allow',
    ]);
  });

  test('59: protocols: one of tcp, udp, sctp, destinationNamedPort each; none is every protocol', () => {
    const ask = (protocols: string): ReturnType<typeof lab> => lab(admin(inA(rule('Deny', every, `, protocols: [${protocols}]`))));
    const one = ask('{tcp: {destinationPort: {number: 80}}}, {udp: {destinationPort: {range: {start: 80, end: 81}}}}');
    expect(['TCP/80', 'TCP/81', 'UDP/80', 'UDP/81', 'UDP/82', 'SCTP/80'].map((port) => one('y/b', 'x/a', port))).toEqual([
      'deny',
      'allow',
      'deny',
      'deny',
      'allow',
      'allow',
    ]);
    const named = ask('{destinationNamedPort: serve-81-sctp}');
    expect(['SCTP/81', 'TCP/81', 'SCTP/80'].map((port) => named('y/b', 'x/a', port))).toEqual(['deny', 'allow', 'allow']);
    expect(lab(admin(inA(rule('Deny'))))('y/b', 'x/a', 'SCTP/9')).toBe('deny');
    const wrong = (item: string): readonly string[] => faults(admin(inA(rule('Deny', every, `, protocols: [${item}]`))));
    expect(wrong('{tcp: {}}')[0]).toContain('tcp.destinationPort: is missing');
    expect(wrong('{tcp: {destinationPort: {range: {start: 80, end: 80}}}}')[0]).toContain('80 is not greater than start 80');
    expect(wrong('{tcp: {destinationPort: {number: 80, range: {start: 1, end: 2}}}}')).toHaveLength(1);
    expect(wrong('{tcp: {destinationPort: {number: 1}}, udp: {destinationPort: {number: 1}}}')[0]).toContain('each item is exactly one');
    expect(wrong('')).toHaveLength(1);
  });

  test('60: a named port does not go with networks, nodes or domainNames', () => {
    for (const peer of ['{networks: [10.0.0.0/8]}', '{nodes: {}}', '{domainNames: [example.com]}'])
      expect(faults(admin(`egress: [{action: Accept, to: [${peer}], protocols: [{destinationNamedPort: web}]}]`))[0]).toContain(
        "a named port is a pod's",
      );
  });

  test('61: domainNames: Accept only; exact, or "*." for one or more whole labels', () => {
    expect(['a.example.com', 'a.b.Example.com.', 'example.com', 'badexample.com'].map((name) => domainMatches('*.example.com', name))).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect([domainMatches('example.com', 'EXAMPLE.com'), domainMatches('example.com', 'a.example.com')]).toEqual([true, false]);
    const first = `${grid}\noutside: [{name: api, ip: 203.0.113.5, domains: [api.example.com]}, {name: other, ip: 203.0.113.6}]`;
    const egress = (names: string): string =>
      `egress: [{action: Accept, to: [{domainNames: [${names}]}]}, {action: Deny, to: [{networks: [0.0.0.0/0]}]}]`;
    const ask = lab(admin(egress('"*.example.com"')), { first });
    expect([ask('x/a', 'outside/api'), ask('x/a', 'outside/other')]).toEqual(['allow', 'deny']);
    expect(faults(admin('egress: [{action: Deny, to: [{domainNames: [example.com]}]}]'))[0]).toContain('go with Accept only');
    expect(faults(admin(egress('"a.*.com"')))).toHaveLength(1);
  });

  test('62: a peer that is not known fails closed: Accept matches nothing, Deny and Pass deny everything', () => {
    for (const peer of ['{}', '{serviceAccounts: {}}', '{namespaces: {}, serviceAccounts: {}}']) {
      const accept = lab(admin(inA(rule('Accept', `[{namespaces: {}}, ${peer}]`))) + np('{}'));
      expect(accept('y/b', 'x/a')).toBe('deny');
      for (const action of ['Deny', 'Pass']) {
        const ask = lab(
          admin(inA(rule(action, `[{namespaces: {matchLabels: {ns: z}}}, ${peer}]`, ', protocols: [{tcp: {destinationPort: {number: 1}}}]'))),
        );
        expect([ask('y/b', 'x/a'), ask('outside', 'x/a', 'UDP/9')]).toEqual(['deny', 'deny']);
      }
    }
    expect(lint(read(grid, admin(inA(rule('Deny', '[{serviceAccounts: {}}]'))))).filter(({ code }) => code === 'note')).toHaveLength(1);
  });

  test('63: a pod is not subject to policies on the way to itself', () => {
    expect(lab(admin(inA(rule('Deny', every)) + ', egress: [{action: Deny, to: [{namespaces: {}}]}]'))('x/a', 'x/a')).toBe('allow');
  });

  test('64: AdminNetworkPolicy and BaselineAdminNetworkPolicy v1alpha1 are translated', () => {
    const from = 'from: [{namespaces: {}}]';
    const spec = (action: string, ports = ''): string => `{priority: 5, ${onA}, ingress: [{action: ${action}, ${from}${ports}}]}`;
    const base = (action: string): string => anp(`{${onA}, ingress: [{action: ${action}, ${from}}]}`, 'BaselineAdminNetworkPolicy', 'default');
    expect(lab(anp(spec('Allow')) + np('{}'))('y/b', 'x/a')).toBe('allow');
    expect(lab(anp(spec('Pass')) + np('{}'))('y/b', 'x/a')).toBe('deny');
    expect([lab(base('Deny'))('y/b', 'x/a'), lab(base('Deny') + np('{ingress: [{}]}'))('y/b', 'x/a')]).toEqual(['deny', 'allow']);
    // Baseline policies with a priority go before the one without.
    expect(lab(base('Deny') + baseline(inA(rule('Accept')), 1000))('y/b', 'x/a')).toBe('allow');
    const ports = ', ports: [{portNumber: {protocol: TCP, port: 80}}, {portRange: {protocol: UDP, start: 80, end: 81}}, {namedPort: serve-81-sctp}]';
    const ask = lab(anp(spec('Deny', ports)));
    expect(['TCP/80', 'TCP/81', 'UDP/81', 'SCTP/81', 'SCTP/80'].map((port) => ask('y/b', 'x/a', port))).toEqual([
      'deny',
      'allow',
      'deny',
      'deny',
      'allow',
    ]);
    expect(faults(anp(spec('Accept')))[0]).toContain('"Accept" is not one of Allow, Deny, Pass');
    expect(faults(base('Pass'))).toHaveLength(1);
    expect(faults(base('Deny').replace('name: default', 'name: other'))[0]).toContain('is called default');
    expect(faults(base('Deny').replace('spec: {', 'spec: {priority: 1, '))[0]).toContain('has no priority');
    expect(faults(anp(spec('Deny').replace('{namespaces: {}}', '{namespaces: {sameLabels: [a]}}')))[0]).toContain('removed in v0.1.7');
    const many = Array.from({ length: 100 }, () => `{action: Deny, ${from}}`).join(', ');
    expect(faults(anp(`{priority: 5, ${onA}, ingress: [${many}]}`))).toEqual([]);
    expect(faults(anp(`{priority: 5, ${onA}, ingress: [${many}, {action: Deny, ${from}}]}`))).toHaveLength(1);
  });

  test('65: MultiNetworkPolicy is for the networks of its annotation, and means addresses there', () => {
    const first = `
networks: [{name: lan}, {name: store, subnet: 10.9.0.0/24}, {name: lab, subnet: 10.8.0.0/24}]
pods:
- {ns: x, name: a, labels: {pod: a}, networks: [lan, {name: store, ip: 10.9.0.5}, lab]}
- {ns: x, name: b, labels: {pod: b}, networks: [lan, {name: store, ip: 10.9.0.6}, lab]}
- {ns: x, name: c, labels: {pod: c}, networks: [lan, {name: store, ip: 10.9.0.7}, lab]}
`;
    const mnp = (spec: string, annotation = 'annotations: {k8s.v1.cni.cncf.io/policy-for: store}'): string =>
      `\n---\napiVersion: k8s.cni.cncf.io/v1beta1\nkind: MultiNetworkPolicy\nmetadata: {name: m, namespace: x, ${annotation}}\nspec: ${spec}\n`;
    const verdicts = (manifests: string, from: string): string[] => {
      const { world } = read(first, manifests);
      const ips = world.pods.map(({ interfaces }) => interfaces.map(({ ips }) => ips[0]?.text ?? ''));
      const [target = [], , other = []] = ips;
      const source = from === 'c' ? other : (ips[1] ?? []);
      return [0, 1, 2].map((index) => asker(world)(source[index] ?? '', target[index] ?? '').verdict);
    };
    const fromB = '{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}';
    // On lan, store and lab, in this order.
    expect(verdicts(mnp(fromB), 'c')).toEqual(['allow', 'deny', 'allow']);
    expect(verdicts(mnp(fromB), 'b')).toEqual(['allow', 'allow', 'allow']);
    expect(verdicts(np(fromB), 'c')).toEqual(['deny', 'allow', 'allow']);
    expect(verdicts(mnp(fromB, 'annotations: {k8s.v1.cni.cncf.io/policy-for: "store, lab"}'), 'c')).toEqual(['allow', 'deny', 'deny']);
    expect(verdicts(mnp('{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.9.0.7/32}}]}]}'), 'c')).toEqual(['allow', 'allow', 'allow']);
    expect(verdicts(mnp(fromB, 'labels: {}'), 'c')).toEqual(['allow', 'allow', 'allow']);
    // A network that only Multus' annotation names is the namespace's own.
    const pod = (name: string): string =>
      `\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: x, labels: {pod: ${name}}, annotations: {k8s.v1.cni.cncf.io/networks: "store@net1, y/far"}}\n`;
    const { world } = read('{}', pod('a') + pod('c') + mnp(fromB));
    expect(world.networks.map(({ id }) => id)).toEqual(['pods', 'x/store', 'y/far']);
    const [a, c] = world.pods.map(({ interfaces }) => interfaces.map(({ ips }) => ips[0]?.text ?? ''));
    expect([0, 1, 2].map((index) => asker(world)(c?.[index] ?? '', a?.[index] ?? '').verdict)).toEqual(['allow', 'deny', 'allow']);
  });
});
