/** Another enforcer than rkt's own: told of every state, measured without its help, found out when it is wrong. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import type { LabResult } from '../../src/lab/results.ts';
import type { asUser } from '../rig/as-user.ts';
import { useHost } from '../rig/host.ts';
import { rktPath } from '../rig/rkt.ts';

useHost();
const netpol = join(import.meta.dirname, '../fixtures/netpol/plain-nft.mjs');
const schema = JSON.parse(readFileSync(join(import.meta.dirname, '../../src/lab/schemas/result.schema.json'), 'utf8')) as Parameters<
  typeof z.fromJSONSchema
>[0];
let dir = '';
beforeEach(() => {
  dir = mkdtempSync('/tmp/rkt-enforcer-');
  const allow = (name: string, peer: unknown): unknown => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace: 'x' },
    spec: {
      podSelector: { matchLabels: { pod: 'a' } },
      policyTypes: ['Ingress'],
      ingress: [{ from: [peer], ports: [{ port: 80 }, { port: 53, endPort: 55, protocol: 'UDP' }] }],
    },
  });
  writeFileSync(
    join(dir, 'experiment.yaml'),
    JSON.stringify({
      namespaces: { x: { ns: 'x' }, y: { ns: 'y' } },
      pods: ['x', 'y'].flatMap((ns) => ['a', 'b'].map((name) => ({ ns, name, labels: { pod: name }, ports: [80, { port: 54, protocol: 'UDP' }] }))),
      policies: [allow('blocks', { ipBlock: { cidr: '203.0.113.0/24' } })],
      steps: [
        { name: 'more', apply: [allow('from-y', { namespaceSelector: { matchLabels: { ns: 'y' } }, podSelector: {} })] },
        { name: 'less', delete: 'x/blocks' },
      ],
    }),
  );
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));
const run = (enforcer: string): ReturnType<typeof asUser> =>
  spawnSync(rktPath, ['lab', 'run', '--format=json', `--enforcer=${enforcer}`, dir], { encoding: 'utf8' });

test('plain nft: every cell as predicted, by evidence of its own, told of each state', () => {
  const { status, stdout, stderr } = run(
    `tee -a ${dir}/told | (cat; true) > ${dir}/last && echo >> ${dir}/told && ${process.execPath} ${netpol} < ${dir}/last`,
  );
  expect(stderr).toBe('');
  const result = JSON.parse(stdout) as LabResult;
  expect(z.fromJSONSchema(schema).safeParse(result).error?.issues ?? []).toEqual([]);
  expect(result.summary).toMatchObject({ mismatches: 0, noEvidence: 0, otherRule: 0 });
  expect(status).toBe(0);
  const evidence = new Set(result.steps.flatMap(({ cells }) => cells.flatMap(({ measured }) => measured?.evidence ?? [])));
  expect([...evidence].sort()).toEqual(['handshake', 'not-delivered', 'reply']);
  const told = readFileSync(join(dir, 'told'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { verb: string; pods: { interfaces: { hostLink?: string }[] }[]; policies: { metadata: { name: string } }[] });
  expect(told.map(({ verb, policies }) => [verb, policies.map(({ metadata }) => metadata.name)])).toEqual([
    ['ADD', ['blocks']],
    ['UPDATE', ['blocks', 'from-y']],
    ['UPDATE', ['from-y']],
    ['DEL', ['from-y']],
  ]);
  expect(told[0]?.pods[0]?.interfaces[0]?.hostLink).toMatch(/^pod\d+eth0$/);
});

test('one that does not ask what a namespaceSelector says is found out', () => {
  const { status, stdout } = run(`WRONG=namespaces ${process.execPath} ${netpol}`);
  const { steps, summary } = JSON.parse(stdout) as LabResult;
  expect(status).toBe(1);
  expect(summary).toMatchObject({ mismatches: 8, noEvidence: 0 });
  const wrong = steps[1]?.cells.filter(({ predicted, measured }) => measured !== null && measured.verdict !== predicted.verdict);
  expect(wrong?.filter(({ family }) => family === 4).map(({ from, to, protocol, port }) => `${from} ${to} ${protocol}/${port}`)).toEqual([
    'x/b x/a TCP/80',
    'x/b x/a UDP/54',
  ]);
});

test('one that fails is told so, with what it printed', () => {
  const { status, stderr } = run('echo no rules today >&2; exit 3');
  expect([status, stderr]).toEqual([expect.any(Number), expect.stringMatching(/enforcer ended with status 3[^]*no rules today/)]);
  expect(status).not.toBe(0);
});
