/** The published schemas say what the reader reads: valid experiments pass, and every object has the fields that the reader knows. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { predictSteps, stepJson } from '../../../src/lab/prediction.ts';
import { cnp, faultsOf, grid, np, read } from './ask.ts';

type Schema = Parameters<typeof z.fromJSONSchema>[0] & { properties: Record<string, unknown>; $defs: Record<string, Record<string, unknown>> };
const schema = (name: string): Schema =>
  JSON.parse(readFileSync(join(import.meta.dirname, `../../../src/lab/schemas/${name}.schema.json`), 'utf8')) as Schema;
const experiment = schema('experiment');
const check = z.fromJSONSchema(experiment);
const passes = (text: string): boolean => check.safeParse(parse(text)).success;

const everything = `
name: all
networks: [{name: lan, type: bridge, subnet: 10.1.0.0/16}, {cniVersion: 1.0.0, name: ptp, plugins: [{type: ptp, ipam: {subnet: 10.2.0.0/16}}]}]
namespaces: [x, {name: y, labels: {team: a}}]
pods:
- {name: a, ns: x, labels: {app: a}, networks: [lan, {name: ptp, ip: 10.2.0.9}], ip: [10.1.0.9], ports: [80, {name: web, port: 81, protocol: UDP}]}
- {name: b, namespace: y, hostNetwork: false, ended: false, image: i}
policies: [{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: x}, spec: {}}]
nodes: [{name: n, labels: {a: b}, ip: 192.0.2.1, local: false}]
outside: [{name: o, ips: [203.0.113.1], domains: [example.com]}]
links: [{pod: x/a, loss: "1%", rate: 1mbit, delay: 1ms, jitter: 1ms, partition: false, flap: {up: 1s, down: 1s}, seed: 1}]
probes: {protocols: [TCP], ports: [80], pairs: [x/a -> y/b, {from: "*", to: {ns: x, podSelector: {matchLabels: {app: a}}}}], from: [host, outside]}
expect: [{allow: {from: x/a, to: y/b, port: 80, protocol: TCP}}, {deny: {to: {labels: {app: a}}}}]
switches: {podToNode: police, hostNetwork: pod, loopback: rules, baseline: per-pod, namedPortOfBlock: pod}
steps:
- {name: s, labelPod: {pod: x/a, labels: {app: null}}, labelNamespace: {namespace: y, labels: {team: b}, replace: true}, delete: p}
- {createNamespace: z, createPod: {name: c, ns: z}, expect: [{deny: {from: z/c}}]}
- {deletePod: [z/c], deleteNamespace: z, apply: {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: x}, spec: {}}}
`;

test('an experiment that the reader accepts passes', () => {
  for (const text of [everything, grid, '{}']) expect([faultsOf(() => read(text)), passes(text)]).toEqual([[], true]);
});

test('a damaged experiment is refused or read, never a crash', () => {
  let state = 7;
  const random = (below: number): number => (state = (state * 1_103_515_245 + 12_345) % 2_147_483_648) % below;
  const pieces = ['', '{', ']', '[]', '{}', '- ', ': ', 'null', '1', '"', 'x/a', '*', '\n', '\n- '];
  let refused = 0;
  for (let round = 0; round < 500; round++) {
    const at = random(everything.length);
    const text = everything.slice(0, at) + (pieces[random(pieces.length)] ?? '') + everything.slice(at + random(12));
    refused += Math.min(faultsOf(() => read(text)).length, 1);
  }
  expect(refused).toBeGreaterThan(150);
});

test('what the reader refuses does not pass', () => {
  for (const text of [
    'pod: []',
    'pods: [{ns: x}]',
    'pods: [{name: a, label: {}}]',
    'probes: {ports: [0]}',
    'switches: {loopback: no}',
    'steps: [{remove: a}]',
    'expect: [{permit: {}}]',
  ])
    expect([faultsOf(() => read(text)).length > 0, passes(text)]).toEqual([true, false]);
});

test('objects have the fields that the reader knows', () => {
  const knownAt = (text: string): string[] => {
    const fault = faultsOf(() => read(text)).find((one) => one.includes('zzzzzz')) ?? '';
    return (/known are (.*)$/.exec(fault)?.[1] ?? fault).split(', ').sort();
  };
  const fieldsOf = (name: string): string[] => Object.keys(experiment.$defs[name]?.['properties'] ?? {}).sort();
  expect(knownAt('zzzzzz: 1')).toEqual(Object.keys(experiment.properties).sort());
  expect(knownAt('pods: [{name: a, zzzzzz: 1}]')).toEqual(fieldsOf('pod'));
  expect(knownAt('steps: [{zzzzzz: 1}]')).toEqual(fieldsOf('step'));
  expect(knownAt('links: [{zzzzzz: 1}]')).toEqual(fieldsOf('link'));
  expect(knownAt('expect: [{allow: {zzzzzz: 1}}]')).toEqual(fieldsOf('connections'));
  const part = (name: string): string[] => {
    const found = experiment.properties[name] as { properties?: object; items?: { properties: object } };
    return Object.keys(found.properties ?? found.items?.properties ?? {}).sort();
  };
  expect(knownAt('probes: {zzzzzz: 1}')).toEqual(part('probes'));
  expect(knownAt('switches: {zzzzzz: 1}')).toEqual(part('switches'));
  expect(knownAt('nodes: [{name: n, zzzzzz: 1}]')).toEqual(part('nodes'));
  expect(knownAt('outside: [{name: n, zzzzzz: 1}]')).toEqual(part('outside'));
});

test('what lab predict prints passes its schema', () => {
  const two = cnp('{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}', 'a');
  const rival = cnp('{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {}}]}]}', 'b');
  const { name, skipped } = read(grid);
  const steps = predictSteps(
    read(`${grid}expect: [{deny: {from: x/a, to: x/a}}, {allow: {from: y/a, to: y/a, port: 9}}]`, two + rival + np('{}')),
  ).map((step) => stepJson({ ...step, cells: step.cells.slice(0, 200) }));
  const result = z.fromJSONSchema(schema('prediction')).safeParse({ format: 'rkt-lab-prediction-1', name, skipped, steps });
  expect(result.error?.issues ?? []).toEqual([]);
  expect(steps[0]?.cells.some(({ predicted }) => predicted.ambiguous !== undefined)).toBe(true);
  expect(steps[0]?.violations.map(({ cells }) => cells.length)).toEqual([12]);
});
