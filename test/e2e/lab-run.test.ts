/** `rkt lab run` as people use it: matrix, JSON, exit codes, both kinds of user, and nothing left behind. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { readExperiment } from '../../src/policy/manifests/experiment.ts';
import { openFolder } from '../../src/lab/folder.ts';
import { runExperiment } from '../../src/lab/lab.ts';
import { startRace, type RaceResult } from '../../src/lab/race.ts';
import { exitStatus, type LabResult } from '../../src/lab/results.ts';
import { asUser } from '../rig/as-user.ts';
import { useHost } from '../rig/host.ts';
import { rktPath } from '../rig/rkt.ts';
import { pooledExcepts } from './lab-mutants.ts';

useHost();
const schema = JSON.parse(readFileSync(join(import.meta.dirname, '../../src/lab/schemas/result.schema.json'), 'utf8')) as Parameters<
  typeof z.fromJSONSchema
>[0];
let dir = '';
beforeEach(() => {
  dir = mkdtempSync('/tmp/rkt-lab-');
  // The ordinary user reads it as well.
  spawnSync('chmod', ['755', dir]);
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const pod = (name: string, labels: Record<string, string>, ip: string): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', labels },
    spec: {
      containers: [
        {
          name: 'c',
          image: 'none',
          ports: [
            { name: 'http', containerPort: 80 },
            { containerPort: 53, protocol: 'UDP' },
          ],
        },
      ],
    },
    status: { podIP: ip, podIPs: [{ ip }] },
  });
const policy = (name: string, spec: unknown): string =>
  JSON.stringify({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name, namespace: 'shop' }, spec });
const write = (file: string, ...texts: string[]): void => {
  mkdirSync(join(dir, file, '..'), { recursive: true });
  writeFileSync(join(dir, file), texts.join('\n---\n'));
};
const run = (...args: string[]): ReturnType<typeof asUser> => spawnSync(rktPath, ['lab', 'run', ...args, dir], { encoding: 'utf8', cwd: dir });

function shop(): void {
  write('pods.yaml', pod('web', { app: 'web' }, '10.7.0.2'), pod('db', { app: 'db' }, '10.7.0.3'), pod('other', {}, '10.7.0.4'));
  write(
    'policies/db.yaml',
    policy('db', {
      podSelector: { matchLabels: { app: 'db' } },
      ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }], ports: [{ port: 'http' }] }],
    }),
  );
}

test('a folder of manifests is an experiment: the matrix that packets made', () => {
  shop();
  const { status, stdout, stderr } = run();
  expect(stderr).toBe('');
  expect(stdout.replace(/\d+ ms|\d+\.\d ms/g, 'N ms').replaceAll(basename(dir), 'NAME')).toMatchInlineSnapshot(`
    "12 probes in N ms, policies in place in N ms
    IPv4
    ports: TCP/80 UDP/53
    +------------+---------+------------+----------+
    |            | shop/db | shop/other | shop/web |
    +------------+---------+------------+----------+
    | shop/db    | ##      | ..         | ..       |
    | shop/other | XX      | ##         | ..       |
    | shop/web   | .X      | ..         | ##       |
    +------------+---------+------------+----------+

    . allowed  X denied  # to itself  ? no evidence  - not asked  x open, predicted closed  O closed, predicted open
    NAME: 12 cells measured, 0 not as predicted, 0 without evidence
    "
  `);
  expect(status).toBe(0);
});

test('JSON: what was predicted, what happened, by what evidence, by which rule; the same for both users', () => {
  shop();
  const { status, stdout } = run('--format=json', `--out=${dir}/result.json`);
  const result = JSON.parse(stdout) as LabResult;
  expect(readFileSync(join(dir, 'result.json'), 'utf8')).toBe(stdout);
  rmSync(join(dir, 'result.json'));
  expect(z.fromJSONSchema(schema).safeParse(result).error?.issues ?? []).toEqual([]);
  expect(status).toBe(0);
  expect(result.summary).toEqual({ cells: 18, measured: 12, mismatches: 0, noEvidence: 0, otherRule: 0, violations: 0 });
  const cell = (from: string, to: string, port: number): unknown =>
    result.steps[0]?.cells.find((one) => one.from === `shop/${from}` && one.to === `shop/${to}` && one.port === port);
  const rules = { egress: null, ingress: 'NetworkPolicy shop/db ingress[0]' };
  expect(cell('web', 'db', 80)).toMatchObject({
    predicted: { ingress: 'allow', egress: 'allow', verdict: 'allow', rule: rules.ingress, rules },
    measured: { verdict: 'allow', evidence: 'handshake', rule: rules.ingress, rules },
  });
  expect(cell('other', 'db', 80)).toMatchObject({
    predicted: { ingress: 'deny', verdict: 'deny', rule: 'NetworkPolicy shop/db ingress' },
    measured: { verdict: 'deny', evidence: 'drop-record', rule: 'NetworkPolicy shop/db ingress', rtt_us: null },
  });
  expect(cell('db', 'other', 53)).toMatchObject({ protocol: 'UDP', measured: { verdict: 'allow', evidence: 'reply', rule: null } });
  expect(cell('db', 'db', 80)).toMatchObject({ measured: null, unmeasured: 'loopback' });

  const ordinary = asUser([rktPath, 'lab', 'run', '--format=json', dir]);
  expect(ordinary.stderr).toBe('');
  const other = JSON.parse(ordinary.stdout) as LabResult;
  const plain = (of: LabResult): unknown =>
    of.steps.map(({ cells }) => cells.map(({ measured, ...rest }) => ({ ...rest, measured: measured && { ...measured, rtt_us: 0 } })));
  expect(plain(other)).toEqual(plain(result));
  expect([result.environment.user, other.environment.user]).toEqual(['root', 'ordinary']);
});

test('steps: pods, labels and policies come and go, with a matrix after each', () => {
  shop();
  write(
    'experiment.yaml',
    JSON.stringify({
      steps: [
        { name: 'relabel', labelPod: { pod: 'shop/other', labels: { app: 'web' } } },
        { name: 'gone', deletePod: 'shop/web' },
        { name: 'new', createPod: { ns: 'shop', name: 'late', labels: { app: 'web' }, ip: '10.7.0.2', ports: [80] } },
        { name: 'open', delete: 'shop/db' },
      ],
    }),
  );
  const { status, stdout, stderr } = run('--format=json');
  expect(stderr).toBe('');
  expect(status).toBe(0);
  const { steps, summary } = JSON.parse(stdout) as LabResult;
  expect(summary).toMatchObject({ mismatches: 0, noEvidence: 0, otherRule: 0 });
  const who = steps.map(({ name, cells }) => [
    name,
    cells.flatMap(({ from, to, port, measured }) => (to === 'shop/db' && port === 80 && measured?.verdict === 'allow' ? [from] : [])),
  ]);
  expect(who).toEqual([
    ['start', ['shop/web']],
    ['relabel', ['shop/other', 'shop/web']],
    ['gone', ['shop/other']],
    ['new', ['shop/late', 'shop/other']],
    ['open', ['shop/late', 'shop/other']],
  ]);
  expect(steps.at(-1)?.cells.every(({ measured }) => measured === null || measured.rule === null)).toBe(true);
});

test('an expectation that is not met: exit 1, with the rule that decided', () => {
  shop();
  write(
    'experiment.yaml',
    JSON.stringify({ expect: [{ allow: { from: 'shop/other', to: 'shop/db', port: 80 } }, { deny: { from: 'shop/other', to: 'shop/db' } }] }),
  );
  const { status, stdout } = run();
  expect(status).toBe(1);
  const { stdout: json } = run('--format=json');
  expect(z.fromJSONSchema(schema).safeParse(JSON.parse(json)).error?.issues ?? []).toEqual([]);
  expect(stdout).toMatch(
    /experiment\.yaml:1: expected allow: shop\/other → shop\/db TCP\/80: predicted denied by NetworkPolicy shop\/db ingress, measured denied by NetworkPolicy shop\/db ingress \(drop-record\)/,
  );
  expect(stdout).toContain('1 expectation not met');
});

test('a pod always reaches itself: * leaves it out, and who names it on both ends is told so', () => {
  shop();
  write('policies/deny.yaml', policy('deny', { podSelector: {}, policyTypes: ['Ingress'] }));
  const shut = (from: string): ReturnType<typeof run> => {
    write('experiment.yaml', JSON.stringify({ expect: [{ deny: { from, to: 'shop/other', port: 9090 } }] }));
    return run();
  };
  expect([shut('*').status, shut('*').stdout]).toEqual([0, expect.not.stringContaining('not as expected')]);
  const { status, stdout } = shut('shop/other');
  expect([status, stdout]).toEqual([1, expect.stringContaining('expected deny: shop/other → shop/other TCP/9090: a pod always reaches itself\n')]);
});

test('pods that send as soon as they have a link: nothing leaks; with rules that come late it does', () => {
  shop();
  const starts = process.env['RKT_SOAK'] === undefined ? 20 : 1000;
  for (const backend of ['bridge', 'isolated', 'ptp']) {
    const { status, stdout } = run(`--start-race=${starts}`, '--format=json', `--backend=${backend}`);
    const result = JSON.parse(stdout) as RaceResult;
    expect(result).toMatchObject({ starts, leaked: 0, noEvidence: 0, leaks: [] });
    expect(result.tried).toBeGreaterThan(starts);
    expect(status).toBe(0);
  }
  const late = startRace(readExperiment(openFolder(dir)), 6, { late: true });
  expect(late.leaked).toBeGreaterThan(2);
  expect(late.leaks).toContain('shop/other → shop/db TCP/80');
});

test('links: what loses packets is slower and no other; what carries none gives no evidence; what is not done is said', () => {
  shop();
  const links = (...all: unknown[]): LabResult => {
    write('experiment.yaml', JSON.stringify({ links: all }));
    return runExperiment(readExperiment(openFolder(dir)), all.length > 2 ? { patienceMs: 300 } : {});
  };
  const lossy = links({ pod: 'shop/web', loss: '10%', seed: 7 }, { pod: 'shop/db', loss: 'every 5', rate: '1mbit' });
  expect([lossy.summary, lossy.notes]).toEqual([expect.objectContaining({ measured: 12, mismatches: 0, noEvidence: 0, otherRule: 0 }), []]);
  // What is sent twice at least came to nothing once.
  expect(lossy.steps[0]?.probe_ms).toBeGreaterThan(5);
  const cut = links({ pod: 'shop/other', partition: true }, { network: 'pods', delay: '5ms' }, { network: 'pods', rate: '100mbit' });
  expect(
    cut.steps[0]?.cells.filter(({ measured }) => measured?.verdict === 'no-evidence').map(({ from, to }) => [from, to].includes('shop/other')),
  ).toEqual(Array.from({ length: 8 }, () => true));
  expect(cut.notes.map(({ text, line }) => [text, line])).toEqual([[expect.stringContaining('without the delay of this link'), 1]]);
});

test.each(['keep', 'cut'] as const)('open connections when a step denies them: %s', (mode) => {
  shop();
  const deny = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'deny', namespace: 'shop' },
    spec: { podSelector: {}, policyTypes: ['Ingress'] },
  };
  write(
    'experiment.yaml',
    JSON.stringify({
      steps: [
        { name: 'deny', apply: deny },
        { name: 'gone', deletePod: 'shop/other' },
      ],
    }),
  );
  const { status, stdout, stderr } = run('--format=json', `--existing=${mode}`);
  expect(stderr).toBe('');
  const result = JSON.parse(stdout) as LabResult;
  expect(z.fromJSONSchema(schema).safeParse(result).error?.issues ?? []).toEqual([]);
  expect(result.summary).toMatchObject({ mismatches: 0, noEvidence: 0 });
  // Web reaches db by http; all reach web and other, on both ports: of nine connections one is allowed by a policy of its own.
  const [open, closed] = mode === 'keep' ? [9, 0] : [1, 8];
  expect(result.existing?.steps.map(({ kept, cut, gone, unexpected }) => [kept, cut, gone, unexpected.length])).toEqual([
    [9, 0, 0, 0],
    [open, closed, 0, 0],
    mode === 'keep' ? [3, 0, 6, 0] : [1, 2, 6, 0],
  ]);
  expect(status).toBe(0);
});

test('bad input: every fault with its line, exit 2', () => {
  shop();
  write('bad.yaml', policy('x', { podSelectr: {}, ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/99' } }] }] }));
  const { status, stderr } = run();
  expect(status).toBe(2);
  expect(stderr).toMatch(/bad\.yaml:1.*podSelectr/);
  expect(stderr).toMatch(/bad\.yaml:1.*10\.0\.0\.0\/99/);
});

test('a kernel that refuses network namespaces: exit 4, and what is missing', () => {
  shop();
  const script = 'echo 0 > /proc/sys/user/max_net_namespaces && exec "$0" lab run "$1"';
  const { status, stderr } = asUser(['unshare', '--map-root-user', 'sh', '-c', script, rktPath, dir]);
  expect(stderr).toMatch(/^error: network namespaces cannot be made: .* \[ERR_LAB_FEATURE\]\nhint: /);
  expect(status).toBe(4);
});

test('two ipBlocks in one rule: excepts that are pooled are found', () => {
  shop();
  const blocks = [
    { cidr: '10.7.0.0/24', except: ['10.7.0.2/32'] },
    { cidr: '10.7.0.0/29', except: ['10.7.0.4/32'] },
  ];
  write('blocks.yaml', policy('blocks', { podSelector: {}, ingress: [{ from: blocks.map((ipBlock) => ({ ipBlock })) }] }));
  const experiment = readExperiment(openFolder(dir));
  expect(runExperiment(experiment).summary).toMatchObject({ mismatches: 0, noEvidence: 0, otherRule: 0 });
  const { summary } = runExperiment(experiment, { enforce: pooledExcepts });
  console.log(`pooled excepts: ${summary.mismatches} mismatches`);
  // From web and from other to all but themselves, on two ports each; web to db on port 80 is allowed by another policy.
  expect(summary.mismatches).toBe(7);
  expect(exitStatus(summary)).toBe(1);
});

test('the host and what shares its network are one machine: run and predict show the same matrix', () => {
  write(
    'experiment.yaml',
    JSON.stringify({
      pods: [
        { name: 'hn', hostNetwork: true, ports: [80] },
        { name: 'hn2', hostNetwork: true, ports: [80] },
        { name: 'shut', labels: { app: 'shut' }, ips: ['10.7.0.3', 'fd00:7::3'], ports: [80] },
      ],
      outside: [
        { name: 'one', ips: ['203.0.113.1', '203.0.113.2', '2001:db8::1'] },
        { name: 'two', ips: ['203.0.113.3'] },
      ],
      policies: [
        {
          apiVersion: 'networking.k8s.io/v1',
          kind: 'NetworkPolicy',
          metadata: { name: 'shut' },
          spec: { podSelector: { matchLabels: { app: 'shut' } }, ingress: [{ from: [{ ipBlock: { cidr: '203.0.113.2/32' } }] }] },
        },
      ],
      probes: { from: ['host', 'outside'] },
    }),
  );
  const matrix = (text: string): string[] => text.split('\n').filter((line) => line.startsWith('|'));
  const { status, stdout } = run();
  expect(status).toBe(0);
  expect(matrix(stdout)).toContain(
    '| default/hn              | #          | #           | .            | #    | .           | .                       | .           |',
  );
  expect(matrix(stdout)).toContain(
    '| outside/one@203.0.113.2 | .          | .           | .            | -    | -           | -                       | -           |',
  );
  const predicted = spawnSync(rktPath, ['lab', 'predict', dir], { encoding: 'utf8' });
  expect(matrix(predicted.stdout)).toEqual(matrix(stdout));
});

test('host and outside, both ways, in both families', () => {
  write(
    'experiment.yaml',
    JSON.stringify({
      pods: [
        { name: 'open', ips: ['10.7.0.2', 'fd00:7::2'], ports: [80] },
        { name: 'shut', labels: { app: 'shut' }, ips: ['10.7.0.3', 'fd00:7::3'], ports: [80] },
      ],
      policies: [
        {
          apiVersion: 'networking.k8s.io/v1',
          kind: 'NetworkPolicy',
          metadata: { name: 'shut' },
          spec: { podSelector: { matchLabels: { app: 'shut' } }, policyTypes: ['Ingress', 'Egress'] },
        },
      ],
      probes: { from: ['host', 'outside'] },
    }),
  );
  const { status, stdout } = run('--format=json');
  expect(status).toBe(0);
  const { steps, summary } = JSON.parse(stdout) as LabResult;
  expect(summary).toMatchObject({ mismatches: 0, noEvidence: 0, otherRule: 0 });
  const verdicts = steps[0]?.cells.flatMap(({ from, to, family, measured }) =>
    [from, to].includes('default/shut') && measured !== null ? [`${from} ${to} ${family} ${measured.verdict}`] : [],
  );
  // R34: what comes from the pods' own node passes; R35: what goes there, too.
  expect(verdicts?.sort()).toEqual(
    [4, 6]
      .flatMap((family) => [
        `default/open default/shut ${family} deny`,
        `default/shut default/open ${family} deny`,
        `default/shut host ${family} allow`,
        `default/shut outside ${family} deny`,
        `host default/shut ${family} allow`,
        `outside default/shut ${family} deny`,
      ])
      .sort(),
  );
});
