/** Published examples with the reachability that their authors state: the recipes (policy.md 3d) and CNP conformance pairs (3c). */
import { describe, expect, test } from 'vitest';
import { asker, cnp, lab, np, read } from './ask.ts';

const first = `
namespaces: {default: {}, other: {}, prod: {purpose: production}, dev: {purpose: testing}, kube-system: {}, ops: {team: operations}}
pods:
- {name: web, labels: {app: web}}
- {name: api, labels: {app: bookstore, role: api}, ports: [{name: p, port: 5000}, {port: 8000}]}
- {name: shop, labels: {app: bookstore, role: frontend}}
- {name: search, labels: {app: bookstore, role: search}}
- {name: inventory, labels: {app: inventory, role: web}}
- {name: db, labels: {app: bookstore, role: db}}
- {name: monitor, labels: {role: monitoring}}
- {name: foo, labels: {app: foo}}
- {ns: other, name: any, labels: {type: monitoring}}
- {ns: prod, name: any}
- {ns: dev, name: any}
- {ns: ops, name: mon, labels: {type: monitoring}}
- {ns: ops, name: any}
- {ns: kube-system, name: dns, labels: {k8s-app: kube-dns}, ports: [{port: 53, protocol: UDP}, {port: 53}]}
`;
const recipe = (spec: string, name = 'r'): string => np(spec, name, 'default');
/** Who of these reaches the target. */
const reach = (policies: string, target: string, sources: readonly string[], port = 'TCP/80'): string[] => {
  const ask = lab(policies, { first });
  return sources.filter((source) => ask(source, target, port) === 'allow');
};
const some = ['default/shop', 'default/monitor', 'other/any', 'prod/any', 'ops/mon', 'outside'];
const web = 'podSelector: {matchLabels: {app: web}}';

describe('recipes', () => {
  const deny = recipe(`{${web}, ingress: []}`, 'deny');

  test('01 deny all to an application, 02a allow all over it', () => {
    expect(reach(deny, 'default/web', some)).toEqual([]);
    expect(reach(deny + recipe(`{${web}, ingress: [{}]}`, 'allow'), 'default/web', some)).toEqual(some);
  });

  test('02 limit to an application', () => {
    const limit = recipe(
      '{podSelector: {matchLabels: {app: bookstore, role: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: bookstore}}}]}]}',
    );
    expect(reach(limit, 'default/api', some)).toEqual(['default/shop']);
  });

  test('03 deny all in a namespace, 04 deny other namespaces', () => {
    expect(reach(recipe('{podSelector: {}, ingress: []}'), 'default/shop', some.slice(1))).toEqual([]);
    expect(reach(recipe('{podSelector: {matchLabels: {}}, ingress: [{from: [{podSelector: {}}]}]}'), 'default/web', some)).toEqual([
      'default/shop',
      'default/monitor',
    ]);
  });

  test('05 all namespaces, 06 a namespace, 07 pods of a namespace', () => {
    const from = (peer: string): string => recipe(`{${web}, ingress: [{from: [${peer}]}]}`);
    expect(reach(from('{namespaceSelector: {}}'), 'default/web', some)).toEqual(some.slice(0, -1));
    expect(reach(from('{namespaceSelector: {matchLabels: {purpose: production}}}'), 'default/web', [...some, 'dev/any'])).toEqual(['prod/any']);
    const both = from('{namespaceSelector: {matchLabels: {team: operations}}, podSelector: {matchLabels: {type: monitoring}}}');
    expect(reach(both, 'default/web', [...some, 'ops/any'])).toEqual(['ops/mon']);
  });

  test('08 external traffic, 09 a port, 10 several selectors', () => {
    expect(reach(recipe(`{${web}, ingress: [{from: []}]}`), 'default/web', some)).toEqual(some);
    const port = recipe(
      '{podSelector: {matchLabels: {role: api}}, ingress: [{ports: [{port: 5000}], from: [{podSelector: {matchLabels: {role: monitoring}}}]}]}',
    );
    expect([reach(port, 'default/api', some, 'TCP/5000'), reach(port, 'default/api', some, 'TCP/8000')]).toEqual([['default/monitor'], []]);
    const peers = ['{app: bookstore, role: search}', '{app: bookstore, role: api}', '{app: inventory, role: web}'].map(
      (labels) => `{podSelector: {matchLabels: ${labels}}}`,
    );
    const several = recipe(`{podSelector: {matchLabels: {app: bookstore, role: db}}, ingress: [{from: [${peers.join(', ')}]}]}`);
    expect(reach(several, 'default/db', [...some, 'default/search', 'default/api', 'default/inventory'])).toEqual([
      'default/search',
      'default/api',
      'default/inventory',
    ]);
  });

  test('11 deny egress of an application, 12 of a namespace, 14 all but DNS', () => {
    const targets = ['default/web', 'prod/any', 'outside', 'kube-system/dns'];
    const reached = (policies: string, from: string, port = 'TCP/80'): string[] => {
      const ask = lab(policies, { first });
      return targets.filter((target) => ask(from, target, port) === 'allow');
    };
    const foo = recipe('{podSelector: {matchLabels: {app: foo}}, policyTypes: [Egress], egress: []}');
    expect([reached(foo, 'default/foo'), reached(foo, 'default/foo', 'UDP/53'), reached(foo, 'default/shop')]).toEqual([[], [], targets]);
    expect(reached(recipe('{podSelector: {}, policyTypes: [Egress], egress: []}'), 'default/shop')).toEqual([]);
    const dns = recipe(
      '{podSelector: {matchLabels: {app: foo}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]}]}',
    );
    expect([reached(dns, 'default/foo'), reached(dns, 'default/foo', 'UDP/53'), reached(dns, 'default/foo', 'TCP/53')]).toEqual([
      [],
      ['kube-system/dns'],
      ['kube-system/dns'],
    ]);
  });
});

describe('CNP conformance', () => {
  const houses = ['gryffindor', 'slytherin', 'hufflepuff', 'ravenclaw'];
  const students: Readonly<Record<string, string>> = {
    gryffindor: 'harry-potter',
    slytherin: 'draco-malfoy',
    hufflepuff: 'cedric-diggory',
    ravenclaw: 'luna-lovegood',
  };
  const hogwarts = `namespaces: {${houses.map((house) => `${house}: {conformance-house: ${house}}`).join(', ')}}
pods: [${houses
    .flatMap((house) =>
      [0, 1].map(
        (n) =>
          `{ns: ${house}, name: ${students[house] ?? ''}-${n}, labels: {conformance-house: ${house}}, ports: [{name: web, port: 80}, {port: 8080}, {name: dns, port: 53, protocol: UDP}, {port: 5353, protocol: UDP}, {port: 9003, protocol: SCTP}, {port: 9005, protocol: SCTP}]}`,
      ),
    )
    .join(', ')}]`;
  const house = (name: string): string => `[{namespaces: {matchLabels: {conformance-house: ${name}}}}]`;
  const subject = 'subject: {namespaces: {matchLabels: {conformance-house: gryffindor}}}';
  const tcp = (port: number): string => `, protocols: [{tcp: {destinationPort: {number: ${port}}}}]`;
  const rules = [
    `{action: Accept, from: ${house('ravenclaw')}}`,
    `{action: Deny, from: ${house('ravenclaw')}}`,
    `{action: Pass, from: ${house('ravenclaw')}}`,
    `{action: Deny, from: ${house('slytherin')}${tcp(80)}}`,
    `{action: Accept, from: ${house('hufflepuff')}${tcp(80)}}`,
    `{action: Deny, from: ${house('hufflepuff')}}`,
  ];
  const swapped = [rules[1], rules[0], ...rules.slice(2)].join(', ');
  const verdicts = (manifests: string, from: string, ports: readonly string[]): string[] =>
    ports.map((port) => asker(read(hogwarts, manifests).world)(from, 'gryffindor/harry-potter-0', port).verdict);
  const tier = (kind: string, list: string): string => cnp(`{tier: ${kind}, priority: 10, ${subject}, ingress: [${list}]}`);

  test('Admin tier, ingress over TCP: order is respected, ports are', () => {
    const ports = ['TCP/80', 'TCP/8080'];
    expect(verdicts(tier('Admin', rules.join(', ')), 'ravenclaw/luna-lovegood-0', ports)).toEqual(['allow', 'allow']);
    expect(verdicts(tier('Admin', swapped), 'ravenclaw/luna-lovegood-0', ports)).toEqual(['deny', 'deny']);
    expect(verdicts(tier('Admin', rules.join(', ')), 'hufflepuff/cedric-diggory-0', ports)).toEqual(['allow', 'deny']);
    expect(verdicts(tier('Admin', rules.join(', ')), 'slytherin/draco-malfoy-0', ports)).toEqual(['deny', 'allow']);
  });

  test('integration: Admin denies over NetworkPolicy; Pass hands over to it, and to Baseline when it is gone', () => {
    const passAll = cnp(`{tier: Admin, priority: 5, ${subject}, ingress: [{action: Pass, from: [{namespaces: {}}]}]}`, 'pass');
    const denyNp = np('{podSelector: {}}', 'np', 'gryffindor');
    const acceptBase = cnp(`{tier: Baseline, priority: 5, ${subject}, ingress: [{action: Deny, from: ${house('slytherin')}}]}`, 'base');
    const allowNp = np('{podSelector: {}, ingress: [{}]}', 'np', 'gryffindor');
    expect(verdicts(tier('Admin', rules[1] ?? '') + allowNp, 'ravenclaw/luna-lovegood-1', ['TCP/80'])).toEqual(['deny']);
    expect(verdicts(passAll + tier('Admin', rules[0] ?? '') + denyNp, 'ravenclaw/luna-lovegood-1', ['TCP/80'])).toEqual(['deny']);
    expect(verdicts(passAll + acceptBase + allowNp, 'slytherin/draco-malfoy-1', ['UDP/53'])).toEqual(['allow']);
    expect(verdicts(passAll + acceptBase, 'slytherin/draco-malfoy-1', ['UDP/53'])).toEqual(['deny']);
    expect(verdicts(passAll + acceptBase, 'hufflepuff/cedric-diggory-1', ['SCTP/9003'])).toEqual(['allow']);
  });

  test('priority: lowering a number hands over to another policy', () => {
    const one = (priority: number, action: string, name: string): string =>
      cnp(`{tier: Admin, priority: ${priority}, ${subject}, ingress: [{action: ${action}, from: ${house('ravenclaw')}}]}`, name);
    const base = cnp(`{tier: Baseline, priority: 10, ${subject}, ingress: [{action: Accept, from: ${house('ravenclaw')}}]}`, 'base');
    expect(verdicts(one(50, 'Deny', 'a') + one(60, 'Pass', 'b') + base, 'ravenclaw/luna-lovegood-0', ['TCP/80'])).toEqual(['deny']);
    expect(verdicts(one(50, 'Deny', 'a') + one(40, 'Pass', 'b') + base, 'ravenclaw/luna-lovegood-0', ['TCP/80'])).toEqual(['allow']);
  });

  test('egress to networks: houses by selector first, single addresses put before the Deny', () => {
    const { world } = read(hogwarts);
    const ipOf = (name: string): string[] =>
      world.pods
        .find((pod) => pod.name === name)
        ?.interfaces.flatMap(({ ips }) => ips.map(({ text, family }) => `"${text}/${family === 4 ? 32 : 128}"`)) ?? [];
    const spec = (rulesText: string): string => cnp(`{tier: Admin, priority: 10, ${subject}, egress: [${rulesText}]}`);
    const deny = '{action: Deny, to: [{networks: [0.0.0.0/0, "::/0"]}]}';
    const slytherin = `{action: Accept, to: ${house('slytherin')}}`;
    const ask = (policies: string, to: string): string[] =>
      ([4, 6] as const).map((family) => asker(read(hogwarts, policies).world)('gryffindor/harry-potter-1', to, 'TCP/80', family).verdict);
    expect(ask(spec(`${slytherin}, ${deny}`), 'slytherin/draco-malfoy-0')).toEqual(['allow', 'allow']);
    expect(ask(spec(`${slytherin}, ${deny}`), 'hufflepuff/cedric-diggory-0')).toEqual(['deny', 'deny']);
    const inline = `{action: Accept, to: [{networks: [${ipOf('luna-lovegood-0').join(', ')}]}]}`;
    expect([ask(spec(`${inline}, ${deny}`), 'ravenclaw/luna-lovegood-0'), ask(spec(`${inline}, ${deny}`), 'ravenclaw/luna-lovegood-1')]).toEqual([
      ['allow', 'allow'],
      ['deny', 'deny'],
    ]);
  });
});
