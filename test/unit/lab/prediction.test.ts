/** The predicted matrix as text and as JSON. */
import { describe, expect, test } from 'vitest';
import { matrixText } from '../../../src/lab/matrix.ts';
import { cellJson, predictSteps, predictionText } from '../../../src/lab/prediction.ts';
import { np, read } from '../policy/ask.ts';

const first = `
pods:
- {ns: x, name: web, labels: {app: web}, ip: [10.0.0.1, "fd00::1"], ports: [80, {port: 53, protocol: UDP}]}
- {ns: x, name: db, labels: {app: db}, ip: [10.0.0.2, "fd00::2"], ports: [5432]}
steps: [{name: open, delete: p}]
`;
const policies = np('{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.1/32}}], ports: [{port: 5432}]}]}');

test('one table for families that agree, one each for those that do not; one character a port in the order of Cyclonus', () => {
  const [before, after] = predictSteps(read(first, policies)).map(predictionText);
  expect(before).toBe(`\
IPv4
ports: TCP/80 TCP/5432 UDP/53
+-------+------+-------+
|       | x/db | x/web |
+-------+------+-------+
| x/db  | -#-  | .-.   |
| x/web | -.-  | #-#   |
+-------+------+-------+

IPv6
ports: TCP/80 TCP/5432 UDP/53
+-------+------+-------+
|       | x/db | x/web |
+-------+------+-------+
| x/db  | -#-  | .-.   |
| x/web | -X-  | #-#   |
+-------+------+-------+
6 connections: 5 allowed, 1 denied
`);
  expect(after).toMatch(/^step open\nIPv4 and IPv6\n/);
});

test('a cell as JSON: verdicts, the rule that decides and where it is written', () => {
  const cells = predictSteps(read(first, policies))[0]?.cells.map(cellJson) ?? [];
  expect(cells.find(({ from, to, family }) => from === 'x/web' && to === 'x/db' && family === 6)).toEqual({
    from: 'x/web',
    to: 'x/db',
    port: 5432,
    protocol: 'TCP',
    family: 6,
    network: 'pods',
    loopback: false,
    predicted: {
      ingress: 'deny',
      egress: 'allow',
      verdict: 'deny',
      rule: 'NetworkPolicy x/p ingress',
      rules: { egress: null, ingress: 'NetworkPolicy x/p ingress' },
      reasons: { egress: 'default', ingress: 'no-rule-matched' },
      places: { egress: null, ingress: { file: 'policies.yaml', line: 3 } },
    },
  });
  expect(cells.find(({ from, to, family }) => from === 'x/web' && to === 'x/db' && family === 4)?.predicted.rule).toBe(
    'NetworkPolicy x/p ingress[0]',
  );
});

test('a network of its own has a table of its own', () => {
  const mark = { from: 'a', to: 'b', protocol: 'TCP', port: 1, family: 4, mark: '.' } as const;
  const text = matrixText(
    [
      { ...mark, network: 'b' },
      { ...mark, network: 'a' },
      { ...mark, network: 'main' },
    ],
    'main',
  );
  expect(text.match(/network \w+/g)).toEqual(['network main', 'network a', 'network b']);
});

describe('what is expected', () => {
  const held = (expectations: string): string[] =>
    predictSteps(read(`${first.replace(/steps: .*\n/, '')}expect: [${expectations}]`, policies)).flatMap(({ violations }) =>
      violations.map(({ expected, cells }) => `${expected}: ${cells.map(({ from, to, flow }) => `${from} ${to} ${flow.from.ip.family}`).join(', ')}`),
    );

  test('predictions are held to it, step by step', () => {
    expect(held('{allow: {from: x/web, to: x/db}}, {deny: {from: x/db, to: x/web}}')).toEqual([
      'allow: x/web x/db 6',
      'deny: x/db x/web 4, x/db x/web 4, x/db x/web 6, x/db x/web 6',
    ]);
    const steps = predictSteps(
      read(`${first.replace('delete: p', 'delete: p, expect: [{deny: {to: x/db}}]')}expect: [{allow: {from: x/web, to: x/db}}]`, policies),
    );
    expect(steps.map(({ violations }) => violations.map(({ step, expected, file, line }) => [step, expected, file, line]))).toEqual([
      [['start', 'allow', 'experiment.yaml', 6]],
      [['open', 'deny', 'experiment.yaml', 5]],
    ]);
    expect(predictionText(steps[0] ?? expect.fail())).toContain(`\
6 connections: 5 allowed, 1 denied, 1 expectation not met

not as expected:
  experiment.yaml:6: expected allow: x/web → x/db TCP/5432 (IPv6): predicted denied by NetworkPolicy x/p ingress
`);
  });

  test('a long list is cut: JSON has all of it', () => {
    const pods = Array.from({ length: 6 }, (_, index) => `{ns: x, name: p${index}, ip: 10.0.0.${index + 1}, ports: [80]}`);
    const [step] = predictSteps(read(`pods: [${pods.join(', ')}]\nexpect: [{deny: {}}]`));
    const text = predictionText(step ?? expect.fail());
    expect(text.match(/expected deny/g)).toHaveLength(20);
    expect(text).toMatch(/\n {2}… and \d+ more \(--format=json\)\n$/);
    expect(step?.violations[0]?.cells.length).toBeGreaterThan(29);
  });

  test('who means many pods does not mean a pod to itself: that is always allowed', () => {
    const shut = np('{podSelector: {}, policyTypes: [Ingress]}');
    const of = (expectation: string): (readonly string[])[] =>
      predictSteps(read(`${first.replace(/steps: .*\n/, '')}expect: [${expectation}]`, shut)).flatMap(({ violations }) =>
        violations.map(({ cells }) => cells.map(({ from, to }) => `${from} ${to}`)),
      );
    for (const ends of ['from: "*", to: x/db', 'to: x/db', 'from: x/db', 'from: "x/*", to: x/db', 'from: {labels: {app: db}}, to: "*"'])
      expect([ends, of(`{deny: {${ends}, port: 9090}}`)]).toEqual([ends, []]);
    expect(of('{deny: {from: x/db, to: x/db, port: 9090}}')).toEqual([['x/db x/db', 'x/db x/db']]);
    expect(of('{allow: {from: x/db, to: x/db, port: 9090}}')).toEqual([]);
    expect(of('{deny: {from: 10.0.0.2, to: x/db, port: 9090}}')).toEqual([['x/db x/db']]);
  });

  test('no rule has a say about a pod and itself, unless it is scored by the rules', () => {
    const shut = np('{podSelector: {}, policyTypes: [Ingress]}');
    const rule = (switches: string): unknown =>
      predictSteps(read(`${first}switches: {${switches}}`, shut))[0]
        ?.cells.map(cellJson)
        .find(({ from, to }) => from === to)?.predicted.rule;
    expect([rule(''), rule('loopback: rules')]).toEqual([null, 'NetworkPolicy x/p ingress']);
  });
});
