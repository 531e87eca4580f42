/** Policies compiled: the whole table, as text. `UPDATE_GOLDEN=1` writes the files anew; look at the difference. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Expression } from '../../src/model/ruleset/expressions.ts';
import type { TableValue } from '../../src/model/ruleset/table.ts';
import { type CompileOptions, compilePolicies } from '../../src/policy/compile/compile.ts';
import { readExperiment } from '../../src/policy/manifests/experiment.ts';
import type { World } from '../../src/policy/model/experiment.ts';

const dir = join(import.meta.dirname, 'policies');

const world = (text: string): World =>
  readExperiment({ name: 'x', experiment: { file: 'x', text }, files: [], expand: () => [], read: () => ({ fault: 'no' }) }).world;

const value = (item: unknown): string => (item instanceof Uint8Array ? Buffer.from(item).toString('hex') : String(item));
const expressionText = ({ op, ...rest }: Expression): string =>
  `${op}(${Object.entries(rest)
    .map(([key, item]) => `${key} ${value(item)}`)
    .join(', ')})`;

function tableText({ sets, chains }: TableValue): string {
  return [
    ...sets.map(
      ({ name, key, verdicts, dynamicSize, elements }) =>
        `set ${name} ${key.join(' . ')}${verdicts === true ? ' : verdict' : ''}${dynamicSize === undefined ? '' : ` dynamic ${dynamicSize}`}\n${elements
          .map((element) => `  ${value(element.key)}${element.chain === undefined ? '' : ` : ${element.chain}`}\n`)
          .join('')}`,
    ),
    ...chains.map(
      ({ name, base, rules }) =>
        `chain ${name}${base === undefined ? '' : ` ${base.type} ${base.hook} ${base.priority}`}\n${rules
          .map((rule) => `  ${rule.map(expressionText).join(' ')}\n`)
          .join('')}`,
    ),
  ].join('');
}

const pods = `
namespaces: {shop: {team: red}, dev: {team: blue}}
pods:
- {ns: shop, name: web, labels: {app: web}, ips: [10.1.0.10, "fd00:1::a"], ports: [{name: http, port: 80}]}
- {ns: shop, name: db, labels: {app: db}, ips: [10.1.0.11, "fd00:1::b"], ports: [{name: pg, port: 5432}, {name: http, port: 81}]}
- {ns: shop, name: db2, labels: {app: db}, ips: [10.1.0.12], ports: [{name: pg, port: 5433}]}
- {ns: dev, name: tool, labels: {app: tool}, ips: [10.1.0.20], ports: [80]}
`;
const networkPolicy = (name: string, spec: string): string =>
  `- {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: ${name}, namespace: shop}, spec: ${spec}}\n`;
const clusterPolicy = (name: string, spec: string): string =>
  `- {apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: ${name}}, spec: ${spec}}\n`;

const cases: Readonly<Record<string, readonly [string, CompileOptions]>> = {
  // One class of pods for db and db2, one more for web; both jump to the chain of policy all.
  classes: [
    `${pods}policies:\n${networkPolicy('all', '{policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}]}')}${networkPolicy(
      'db',
      '{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}}], ports: [{port: pg}, {port: 9000, endPort: 9010, protocol: UDP}]}]}',
    )}`,
    {},
  ],
  // Each block with its own excepts; a named port says nothing of a block; the family comes first.
  blocks: [
    `${pods}policies:\n${networkPolicy(
      'out',
      '{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.1.0.0/24, except: [10.1.0.11/32, 10.1.0.16/28]}}, {ipBlock: {cidr: "fd00:1::/64"}}], ports: [{port: 80}, {port: http}]}]}',
    )}`,
    {},
  ],
  // Three tiers, each with a map of its own; Pass returns to the next; pods meet Admin and Baseline on the way to their node, too.
  tiers: [
    `${pods}policies:\n${networkPolicy('web', '{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}')}${clusterPolicy(
      'guard',
      '{tier: Admin, priority: 10, subject: {namespaces: {}}, egress: [{action: Pass, to: [{networks: [10.1.0.0/24]}]}, {action: Deny, to: [{networks: [0.0.0.0/0]}], protocols: [{sctp: {destinationPort: {number: 80}}}]}]}',
    )}${clusterPolicy(
      'first',
      '{tier: Admin, priority: 1, subject: {namespaces: {matchLabels: {team: red}}}, egress: [{action: Accept, to: [{nodes: {}}]}]}',
    )}${clusterPolicy('last', '{tier: Baseline, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}')}`,
    {},
  ],
  // Rules that record what they decide, before they do.
  evidence: [
    `${pods}policies:\n${networkPolicy('web', '{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 80}]}]}')}`,
    { evidenceFlows: 10 },
  ],
};

describe('compiled', () => {
  test.each(Object.entries(cases))('%s', (name, [text, options]) => {
    const found = tableText(compilePolicies(world(text), options).table);
    const file = join(dir, `${name}.txt`);
    if (process.env['UPDATE_GOLDEN'] !== undefined) {
      mkdirSync(dir, { recursive: true });
      writeFileSync(file, found);
    }
    expect(found).toBe(readFileSync(file, 'utf8'));
  });
});

test('a block with many holes is as many rules as hold them, and none of them too long', () => {
  const holes = Array.from({ length: 100 }, (_, index) => `10.1.${index}.${(index * 7) % 250}/32`);
  const { table } = compilePolicies(
    world(
      `${pods}policies:\n${networkPolicy('many', `{ingress: [{from: [{ipBlock: {cidr: 10.1.0.0/16, except: [${holes.map((hole) => `"${hole}"`).join()}]}}]}]}`)}`,
    ),
  );
  const rules = table.chains.find(({ name }) => name.startsWith('ingress-policy'))?.rules ?? [];
  expect(rules.length).toBeGreaterThan(6);
  expect(rules.length).toBeLessThan(40);
  expect(Math.max(...rules.map(({ length }) => length))).toBeLessThan(60);
});

test('sets are as many for a thousand policies as for one', () => {
  const many = Array.from({ length: 1000 }, (_, index) =>
    networkPolicy(`p${index}`, `{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {n: "${index}"}}}], ports: [{port: http}]}]}`),
  );
  const count = (policies: readonly string[]): number => compilePolicies(world(`${pods}policies:\n${policies.join('')}`)).table.sets.length;
  expect(count(many.slice(0, 900))).toBe(count(many.slice(0, 1)));
});
