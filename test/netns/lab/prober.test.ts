/** The prober by itself: what counts as evidence, what it refuses, and that it keeps its memory in order. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeTable } from '../../../src/host/nftables/whole-table.ts';
import { parseIp } from '../../../src/model/cidr.ts';
import { ctState, destination, isFamily, verdict } from '../../../src/model/ruleset/expressions.ts';
import { readAnswers, type ProberAnswers } from '../../../src/lab/answers.ts';
import { Fixture, type Joining } from '../../../src/lab/fixture.ts';
import { ProberPlan } from '../../../src/lab/plan.ts';
import { compilePolicies, evidenceSets, tableName } from '../../../src/policy/compile/compile.ts';
import { flowsOf } from '../../../src/policy/decision/cells.ts';
import { readExperiment } from '../../../src/policy/manifests/experiment.ts';
import type { Experiment } from '../../../src/policy/model/experiment.ts';
import { useHost } from '../../rig/host.ts';

useHost();
const sources = resolve(import.meta.dirname, '../../../src/lab/prober');
let dir: string;
let prober: string;
beforeAll(() => {
  dir = mkdtempSync('/tmp/rkt-prober-');
  prober = join(dir, 'prober');
  const files = readdirSync(sources).filter((file) => file.endsWith('.c'));
  const flags = ['-std=gnu11', '-Wall', '-Wextra', '-Werror', '-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
  execFileSync('cc', [...flags, '-o', prober, ...files.map((file) => join(sources, file))]);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function run(plan: Buffer | string): ProberAnswers & { readonly status: number | null } {
  const { status, stdout, stderr } = spawnSync(prober, [], {
    input: plan,
    encoding: 'utf8',
    timeout: 20_000,
    env: { ASAN_OPTIONS: 'detect_leaks=0' },
  });
  expect(stderr).toBe('');
  return { ...readAnswers(stdout), status };
}

const experiment = (policies: readonly unknown[]): Experiment =>
  readExperiment({
    name: 'x',
    experiment: {
      file: 'x',
      text: JSON.stringify({
        pods: ['a', 'b', 'c'].map((name, index) => ({
          name,
          labels: { name },
          ips: [`10.1.0.${index + 10}`, `fd00:1::${index + 10}`],
          ports: ['TCP', 'UDP', 'SCTP'].map((protocol) => ({ port: 80, protocol })),
        })),
        policies,
        probes: { from: ['host', 'outside'] },
      }),
    },
    files: [],
    expand: () => [],
    read: () => ({ fault: 'no' }),
  });
const hosts = experiment([]).world.nodes.flatMap(({ ips }) => ips.map(({ text }) => text));
const denyToB = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'b' },
  spec: { podSelector: { matchLabels: { name: 'b' } } },
};

function plan(policies: readonly unknown[], joining: Joining, filter?: Buffer): { plan: Buffer; names: string[] } {
  const { world, probes } = experiment(policies);
  const flows = flowsOf(world, probes).filter(
    ({ from, to }) => from.ip.text !== to.ip.text && !(from.kind === 'pod' && to.kind === 'pod' && from.pod === to.pod),
  );
  const made = new ProberPlan();
  const fixture = new Fixture(made, joining, world, true);
  fixture.follow(world);
  const lines = fixture.probes(flows);
  made.filter(filter ?? encodeTable(compilePolicies(world, { evidenceFlows: flows.length }).table));
  if (filter === undefined) made.evidence(tableName, evidenceSets);
  made.probe(lines, 1_500);
  return { plan: made.bytes(), names: flows.map(({ from, to, protocol }) => `${from.ip.text} ${to.ip.text} ${protocol}`) };
}

describe.each(['bridge', 'routed'] as const)('%s', (joining) => {
  test('allowed by handshake, answer or arrival; denied by a record of the kernel; in both families, host and outside too', () => {
    const { plan: bytes, names } = plan([denyToB], joining);
    const { batches, failure, status } = run(bytes);
    expect({ failure, status }).toEqual({ failure: undefined, status: 0 });
    const evidence = { TCP: 'handshake', UDP: 'reply', SCTP: 'delivered' } as const;
    const wrong = names.flatMap((name, index) => {
      const answer = batches[0]?.answers[index];
      const [from = '', to = '', protocol = ''] = name.split(' ');
      const isB = to === '10.1.0.11' || to === 'fd00:1::11';
      // R34: whatever comes from the pods' own node passes.
      const wanted = isB && !hosts.includes(from) ? 'drop-record' : evidence[protocol as keyof typeof evidence];
      return answer?.evidence === wanted ? [] : [`${name}: ${answer?.evidence}, not ${wanted}`];
    });
    expect(wrong).toEqual([]);
    expect(names.length).toBe(108);
  });
});

test('what is dropped without a record is neither allowed nor denied', () => {
  const b = parseIp('10.1.0.11') ?? expect.fail();
  const silent = encodeTable({
    name: 'silent',
    comment: '',
    sets: [],
    chains: [
      {
        name: 'forward',
        base: { type: 'filter', hook: 'forward', priority: 0 },
        rules: [
          [...ctState('established'), verdict('accept')],
          [
            ...isFamily(4),
            destination(4, 0),
            { op: 'cmp', test: 'eq', reg: 0, data: Buffer.from([10, 1, 0, Number(b.text.slice(7))]) },
            verdict('drop'),
          ],
        ],
      },
    ],
  });
  const { plan: bytes, names } = plan([], 'bridge', silent);
  const { batches } = run(bytes);
  const without = names.filter((_, index) => batches[0]?.answers[index]?.verdict === 'no-evidence');
  expect(without).toEqual(names.filter((name) => name.includes(' 10.1.0.11 ') && !hosts.includes(name.split(' ')[0] ?? '')));
  expect(without.length).toBe(9);
});

test.each([
  ['space 1\nspace 1\n', 'plan space 1'],
  ['space 99999999\n', 'plan space 99999999'],
  ['endpoint 0 0 not-an-address\n', 'plan address not-an-address'],
  ['endpoint 4000000 0 10.0.0.1\n', 'plan endpoint 4000000'],
  ['listen 7 tcp 80\n', 'plan endpoint 7'],
  ['probe 1 10\n0 1 tcp 80\n', 'plan probe 0: no endpoint'],
  ['probe 3 10\n', 'plan probe 0'],
  ['route 0 0 100\nshort', 'plan ends in a blob'],
  ['route 0 0 4\nabcd', 'plan route 4'],
  [`filter 20\n${'\0'.repeat(20)}`, 'plan filter message'],
  [`filter 20\n\xff\xff\xff\x00${'\0'.repeat(16)}`, 'plan filter message'],
  [`filter 16\n\x10${'\0'.repeat(15)}`, 'plan filter asks for no answer'],
  ['sysctl 0 ../../etc/passwd 1\n', 'plan sysctl ../../etc/passwd'],
  ['sysctl 0 net/ipv4/no_such_setting 1\n', 'sysctl /proc/sys/net/ipv4/no_such_setting: No such file or directory'],
  [`${'x'.repeat(5000)}\n`, `plan line ${'x'.repeat(40)}`],
])('%j is refused', (text, failure) => {
  expect(run(Buffer.from(text, 'latin1'))).toMatchObject({ failure, status: 1 });
});

test('nothing is left when whoever started it is killed', () => {
  const script = `"${prober}" < <(printf 'space 1\\nspace 2\\n'; exec sleep 30) & echo $!; wait`;
  const { stdout } = spawnSync('timeout', ['--signal=KILL', '1', 'bash', '-c', script], { encoding: 'utf8' });
  const pid = Number(stdout.trim());
  expect(pid).toBeGreaterThan(1);
  expect(existsSync(`/proc/${pid}/ns/net`)).toBe(false);
});
