import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openWithSources } from '../../../src/lab/offline.ts';
import { predictSteps, stepJson } from '../../../src/lab/prediction.ts';
import { findingsOfPrediction, renderReport, type Findings } from '../../../src/lab/report/report.ts';
import { numbered, reportSteps } from '../../../src/lab/report/data.ts';

let directory = '';
beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), 'report-'))));
afterEach(() => rmSync(directory, { recursive: true }));

/** Names of steps and files are anybody's. */
const hostile = '</script><img src=x onerror=alert(1)> & "=cmd" # ]]>';
const experiment = `name: ${JSON.stringify(hostile)}
namespaces: {x: {}}
pods:
  - {name: web, ns: x, labels: {app: web}, ports: [{port: 80}]}
  - {name: db, ns: x, labels: {app: db}, ports: [{port: 80}]}
policies: [deny.yaml]
probes: {protocols: [TCP]}
expect:
  - {allow: {from: x/web, to: x/db}}
steps:
  - name: ${JSON.stringify(hostile)}
    delete: x/deny
    expect: [{allow: {from: x/web, to: x/db}}]
`;
const deny = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: x, annotations: {note: ${JSON.stringify(hostile)}}}
spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]}
`;
function found(): Findings {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'experiment.yaml'), experiment);
  writeFileSync(join(directory, 'deny.yaml'), deny);
  const opened = openWithSources(directory);
  return findingsOfPrediction(opened, predictSteps(opened.experiment).map(stepJson));
}

describe('an expectation that is not met', () => {
  test('JUnit: a failure with the rule that decided and its line; markup stays text', () => {
    const xml = renderReport('junit', found());
    expect(xml).toMatch(/<testsuites name="[^"<>]*" tests="\d+" failures="1" errors="0"/);
    expect(xml).toMatch(/<failure message="[^"<>]+" type="policy">[^<>]*NetworkPolicy x\/deny[^<>]*deny\.yaml:1/);
    expect(xml).not.toContain('<img');
    expect(xml.match(/<testcase /g)).toHaveLength(Number(/tests="(\d+)"/.exec(xml)?.[1]));
  });
  test('TAP: not ok with a YAML block; no name is a directive', () => {
    const tap = renderReport('tap', found());
    const points = tap.split('\n').filter((line) => /^(not )?ok /.test(line));
    expect(tap).toContain(`1..${points.length}`);
    expect(points.filter((line) => line.startsWith('not ok'))).toHaveLength(1);
    expect(points.filter((line) => /(?<!\\)#/.test(line))).toEqual([]);
    expect(tap).toContain('deny.yaml');
  });
});

test('CSV: a line for each cell, as many fields in each; no field is a formula', () => {
  const csv = renderReport('csv', found());
  const [head = '', ...lines] = csv.trimEnd().split('\r\n');
  const fields = (line: string): string[] =>
    [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].slice(0, head.split(',').length).map(([, field = '']) => field);
  expect(lines).toHaveLength(2 * 4 * 2);
  for (const line of lines) expect(fields(line).filter((field) => /^"?[=+@-]/.test(field))).toEqual([]);
  expect(lines.filter((line) => line.includes(',deny,')).map((line) => fields(line).slice(8, 11))).toEqual(
    Array.from({ length: 2 }, () => ['NetworkPolicy x/deny ingress', 'deny.yaml', '1']),
  );
});

test('HTML: one file, its program and style by hash, data that cannot leave its element', () => {
  const html = found().html();
  const [, policy = ''] = /Content-Security-Policy" content="([^"]+)"/.exec(html) ?? [];
  expect(policy).toMatch(/^default-src 'none'; script-src 'sha256-\S+'; style-src 'sha256-\S+';/);
  expect(html.match(/<script/g)).toHaveLength(2);
  expect(html.match(/<\/script>/g)).toHaveLength(2);
  expect(html).not.toContain('<img');
  expect(html).not.toMatch(/(?:src|href)="(?!#)/);
  expect(JSON.parse(/id="data">(.*?)<\/script>/.exec(html)?.[1] ?? '')).toMatchObject({ name: hostile, steps: [{}, { name: hostile }] });
});

test('data: each thing once; a hundred pods stay small', () => {
  const pods = Array.from({ length: 100 }, (_, i) => `  - {name: p${i}, ns: x, labels: {app: a${i % 7}}, ports: [{port: 80}]}`).join('\n');
  writeFileSync(
    join(directory, 'experiment.yaml'),
    `name: many\nnamespaces: {x: {}}\npods:\n${pods}\npolicies: [deny.yaml]\nprobes: {protocols: [TCP]}\n`,
  );
  writeFileSync(join(directory, 'deny.yaml'), deny.replace('app: db', 'app: a3'));
  const opened = openWithSources(directory);
  const data = numbered({ name: 'many', kind: 'predicted', environment: [], steps: reportSteps(opened), texts: opened.sources.texts });
  expect([data.parties.length, data.rules.length, data.steps[0]?.outcomes.length]).toEqual([100, 1, 20_000]);
  expect(data.outcomes.length).toBeLessThan(10);
  expect(JSON.stringify(data).length).toBeLessThan(400_000);
});
