/** `rkt lab predict`, `explain` and `lint` as users run them: exit status, what is printed where, as an ordinary user, from standard input. */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { useHost } from '../rig/host.ts';
import { Rkt, rktPath } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();
const bad = resolve(import.meta.dirname, '../fixtures/netpol/bad');
let shop = '';

const manifests = `
apiVersion: v1
kind: Pod
metadata: {name: front, namespace: shop, labels: {app: front}}
spec: {containers: [{name: c, image: i, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {containers: [{name: c, image: i, ports: [{name: pg, containerPort: 5432}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: front}}}]
    ports: [{port: pg}]
---
apiVersion: v1
kind: Service
metadata: {name: s}
`;

beforeEach(() => {
  shop = mkdtempSync('/tmp/rkt-shop-');
  chmodSync(shop, 0o755);
  mkdirSync(join(shop, 'k8s'));
  writeFileSync(join(shop, 'k8s/all.yaml'), manifests);
});
afterEach(() => rmSync(shop, { recursive: true }));

describe('a folder of plain manifests', () => {
  test('predict: the matrix on standard output, what was passed over beside it; JSON', () => {
    const { status, stdout, stderr } = rkt.run(['lab', 'predict', shop]);
    expect([status, stderr]).toEqual([0, 'passed over: 1 Service\n']);
    expect(stdout).toContain('| shop/front | .-      | -#         |');
    const json = JSON.parse(rkt.ok('lab', 'predict', shop, '--format=json')) as { steps: { cells: { predicted: { verdict: string } }[] }[] };
    expect(json.steps[0]?.cells.map(({ predicted }) => predicted.verdict)).toHaveLength(8);
  });

  test('explain: the rule with its line', () => {
    expect(rkt.ok('lab', 'explain', shop, 'front', 'shop/db', 'pg')).toContain('✓ ingress[0] Accept (k8s/all.yaml:18)');
    expect(rkt.ok('lab', 'explain', shop, 'shop/db', 'shop/front', '8080/TCP', '--format=json')).toContain('"verdict":"allow"');
    const unknown = rkt.run(['lab', 'explain', shop, 'shop/fronts', 'shop/db', '80']);
    expect([unknown.status, unknown.stderr]).toEqual([2, expect.stringContaining('hint: did you mean shop/front?')]);
    expect(rkt.run(['lab', 'explain', shop, 'a']).status).toBe(2);
    expect(rkt.run(['lab', 'explain', shop, 'front', 'db', '80', '--step=1']).stderr).toContain('there is no step 1');
  });

  test('lint: 0 without findings, 1 with', () => {
    expect(rkt.run(['lab', 'lint', shop])).toMatchObject({ status: 0, stdout: '', stderr: 'passed over: 1 Service\nnothing to look at\n' });
    writeFileSync(
      join(shop, 'more.yaml'),
      'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: m, namespace: shop}\nspec: {policyTypes: [Egress]}\n',
    );
    const { status, stdout } = rkt.run(['lab', 'lint', shop]);
    expect([status, stdout]).toEqual([
      1,
      expect.stringMatching(/^more\.yaml:1: NetworkPolicy shop\/m isolates egress.*\[no-dns\]\n {4}add to egress/),
    ]);
  });

  test('predict: what is expected is held against what is predicted, exit 1', () => {
    writeFileSync(join(shop, 'experiment.yaml'), 'expect: [{allow: {from: shop/db, to: shop/db, port: pg}}]'.replace('pg', '5432'));
    expect(rkt.run(['lab', 'predict', shop])).toMatchObject({ status: 0, stdout: expect.not.stringContaining('expect') as string });
    writeFileSync(join(shop, 'experiment.yaml'), 'expect:\n- deny: {from: shop/front, to: shop/db}\n- allow: {to: shop/front}\n');
    const { status, stdout } = rkt.run(['lab', 'predict', shop]);
    expect([status, stdout]).toEqual([
      1,
      expect.stringContaining(
        'not as expected:\n  experiment.yaml:2: expected deny: shop/front → shop/db TCP/5432: predicted allowed by NetworkPolicy shop/db ingress[0]\n',
      ),
    ]);
    const json = rkt.run(['lab', 'predict', shop, '--format=json']);
    const { steps } = JSON.parse(json.stdout) as { steps: { violations: { expected: string; line: number; cells: { to: string }[] }[] }[] };
    expect([json.status, steps[0]?.violations]).toEqual([
      1,
      [expect.objectContaining({ expected: 'deny', line: 2, cells: [expect.objectContaining({ to: 'shop/db' }), expect.anything()] })],
    ]);
  });

  test('things to look at: by which command, unless it was standard input, which is read once', () => {
    const policy = 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: m, namespace: shop}\nspec: {policyTypes: [Egress]}\n';
    writeFileSync(join(shop, 'more.yaml'), policy);
    expect(rkt.run(['lab', 'predict', shop]).stderr).toContain(`one thing to look at: rkt lab lint ${shop}\n`);
    for (const verb of ['predict', 'run']) {
      const { stderr } = spawnSync(rktPath, ['lab', verb, '-'], { encoding: 'utf8', input: `${manifests}---\n${policy}`, timeout: 30_000 });
      expect([verb, stderr.trimEnd().split('\n').at(-1)]).toEqual([verb, 'one thing to look at']);
    }
  });

  test('standard input, and an ordinary user', () => {
    const { stdout } = spawnSync(rktPath, ['lab', 'predict', '-'], { encoding: 'utf8', input: manifests, timeout: 30_000 });
    expect(stdout).toContain('| shop/front | .-      | -#         |');
    const ordinary = spawnSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', rktPath, 'lab', 'predict', shop], {
      encoding: 'utf8',
      timeout: 30_000,
    });
    expect([ordinary.status, ordinary.stdout]).toEqual([0, stdout]);
  });
});

describe('what is wrong', () => {
  test('every fault of every file at once, exit status 2, nothing printed and nothing left', () => {
    const folder = join(shop, 'bad');
    cpSync(bad, folder, { recursive: true });
    writeFileSync(join(folder, '99-large.yaml'), `# ${'x'.repeat(10 << 20)}`);
    for (const verb of ['predict', 'lint']) {
      const { status, stdout, stderr } = rkt.run(['lab', verb, folder]);
      expect([status, stdout]).toEqual([2, '']);
      expect(stderr).toMatch(/^error: 1\d\d faults in bad \[ERR_LAB_INPUT\]\n/);
      expect(stderr).toContain('  - 14-end-port.yaml:11: spec.ingress[0].ports[0].endPort: 79 is less than port 80\n');
    }
    for (const file of ['01-kind-misspelt.yaml', '23-billion-laughs.yaml', '32-json.json', '99-large.yaml']) {
      const { status, stdout, stderr } = rkt.run(['lab', 'predict', join(folder, file)]);
      expect([file, status, stdout]).toEqual([file, 2, '']);
      expect(stderr).toMatch(new RegExp(`^error: \\d+ faults? in ${file}.*\\n  - ${file}:\\d+: `, 'm'));
    }
    expect(readdirSync(shop).sort()).toEqual(['bad', 'k8s']);
  });

  test('a command line that makes no sense is bad input: 2, never a set-up failure', () => {
    for (const args of [
      ['run', '--foo', shop],
      ['run', '--format=xml', shop],
      ['run', shop, shop],
      ['predict', '--format', shop],
      ['lint', shop, '--foo=1'],
      ['suite', 'a', 'b'],
      ['fuzz', '--seed=x'],
      ['nosuch'],
      ['r', '--foo'],
      [],
    ])
      expect([args, rkt.run(['lab', ...args]).status]).toEqual([args, 2]);
    expect(rkt.run(['--debug', 'lab', 'run', '--foo', shop]).status).toBe(2);
    expect([rkt.run(['net', 'list', '--foo']).status, rkt.run(['lap']).status]).toEqual([254, 254]);
  });

  test('no folder, no such folder, a terminal is not painted', () => {
    expect(rkt.run(['lab', 'predict'])).toMatchObject({ status: 2, stderr: expect.stringContaining('needs the folder of an experiment') as string });
    expect(rkt.run(['lab', 'predict', join(shop, 'gone')])).toMatchObject({ status: 2, stderr: expect.stringContaining('there is no') as string });
    writeFileSync(join(shop, 'evil.yaml'), 'apiVersion: v1\nkind: Namespace\nmetadata: {name: "\\e[31m"}\n');
    const { status, stderr } = rkt.run(['lab', 'predict', shop]);
    expect([status, stderr.includes('\u001b')]).toEqual([2, false]);
  });
});
