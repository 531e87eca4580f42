/** What a result looks like to people: letters, lists, sentences. */
import { describe, expect, test } from 'vitest';
import { readAnswers } from '../../../src/lab/answers.ts';
import { type LabResult, type MeasuredCell, type ResultCell, exitStatus, isOtherRule } from '../../../src/lab/results.ts';
import { cellText, renderResult } from '../../../src/lab/text.ts';

const rules = { egress: null, ingress: 'NetworkPolicy x/p ingress[0]' };
const cell = (to: string, verdict: 'allow' | 'deny', measured: Partial<MeasuredCell> | null, over: Partial<ResultCell> = {}): ResultCell => ({
  from: 'x/a',
  to,
  network: 'pods',
  family: 4,
  protocol: 'TCP',
  port: 80,
  loopback: false,
  predicted: {
    ingress: verdict,
    egress: 'allow',
    verdict,
    rule: rules.ingress,
    rules,
    reasons: { egress: 'default', ingress: 'rule' },
    places: { egress: null, ingress: { file: 'p.yaml', line: 3 } },
  },
  measured: measured === null ? null : { verdict: 'allow', evidence: 'handshake', rule: rules.ingress, rules, rtt_us: 20, ...measured },
  ...over,
});
const result = (cells: readonly ResultCell[]): LabResult => ({
  format: 'rkt-lab-result-1',
  name: 'shop',
  environment: { kernel: '6', node: 'v20', rkt: '2', user: 'root', joining: 'bridge', sctp: 'INIT delivered' },
  steps: [{ name: 'start', policies: '', apply_ms: 1, probe_ms: 10, cells, violations: [] }],
  rulesNeverHit: ['NetworkPolicy x/p ingress[1]'],
  skipped: { Service: 2 },
  notes: [],
  summary: { cells: cells.length, measured: cells.length, mismatches: 1, noEvidence: 1, otherRule: 0, violations: 0 },
});
const deny = { verdict: 'deny', evidence: 'drop-record', rtt_us: null } as const;
const unknown = { verdict: 'no-evidence', evidence: 'none', rule: null, rtt_us: null } as const;

describe('the matrix', () => {
  const cells = [
    cell('x/a', 'allow', null, { loopback: true, unmeasured: 'loopback' }),
    cell('x/b', 'allow', {}),
    cell('x/c', 'deny', deny),
    cell('x/d', 'deny', {}),
    cell('x/e', 'allow', deny),
    cell('x/f', 'allow', unknown),
    cell('x/g', 'allow', null, { unmeasured: 'hostNetwork' }),
  ];
  const row = (color: boolean): string =>
    renderResult(result(cells), { color, verbose: false })
      .split('\n')
      .find((line) => line.startsWith('| x/a')) ?? '';
  test('a letter for each way in which packets and prediction meet', () => {
    expect(row(false).replace(/[ |]+/g, ' ').trim()).toBe('x/a # . X x O ? -');
  });
  test('what is wrong is red, and columns stay as wide', () => {
    // oxlint-disable-next-line no-control-regex -- colours are what is looked for
    expect(row(true).replace(/\u001b\[[\d;]*m/g, '')).toBe(row(false));
    // oxlint-disable-next-line no-control-regex -- the same
    expect(row(true).match(/\u001b\[31;1m./g)).toEqual(['\u001b[31;1mx', '\u001b[31;1mO', '\u001b[31;1m?']);
  });
  test('lists say what differs, what has no evidence, what was passed over and what was never met', () => {
    const text = renderResult(result(cells), { color: false, verbose: false });
    expect(text).toContain(`not as predicted:\n  ${cellText(cells[3] ?? expect.fail())}\n  ${cellText(cells[4] ?? expect.fail())}\n`);
    expect(text).toContain('without evidence:\n  x/a → x/f TCP/80: predicted allowed by NetworkPolicy x/p ingress[0], no evidence either way\n');
    expect(text).toContain('rules that no probe met:\n  NetworkPolicy x/p ingress[1]\n');
    expect(text).toContain('passed over: 2 Service\n');
  });
  test('long lists are cut unless asked for', () => {
    const many = Array.from({ length: 30 }, (_, index) => cell(`x/p${index}`, 'deny', {}));
    expect(renderResult(result(many), { color: false, verbose: false })).toContain('… and 10 more (--verbose)');
    expect(renderResult(result(many), { color: false, verbose: true })).not.toContain('more (--verbose)');
  });
});

test('one expectation, two expectations', () => {
  const text = (violations: number): string =>
    renderResult({ ...result([]), summary: { ...result([]).summary, violations } }, { color: false, verbose: false });
  expect(text(0)).not.toContain('not met');
  expect(text(1)).toContain(', 1 expectation not met\n');
  expect(text(2)).toContain(', 2 expectations not met\n');
});

test('a pod always reaches itself: no policy is blamed for it, unless it is scored by the rules', () => {
  const itself = (verdict: 'allow' | 'deny', rule: string | null): string => {
    const { predicted } = cell('x/a', verdict, null);
    return cellText(cell('x/a', verdict, null, { loopback: true, unmeasured: 'loopback', predicted: { ...predicted, rule } }));
  };
  expect(itself('allow', null)).toBe('x/a → x/a TCP/80: a pod always reaches itself');
  expect(itself('deny', rules.ingress)).toBe('x/a → x/a TCP/80: predicted denied by NetworkPolicy x/p ingress[0], not measured (loopback)');
});

test('SCTP is not called more than it is', () => {
  expect(cellText(cell('x/b', 'allow', { evidence: 'delivered', rtt_us: null }, { protocol: 'SCTP' }))).toMatch(
    /measured allowed .* \(INIT delivered\)$/,
  );
});

test('another rule than the predicted one, with the same outcome', () => {
  const other = { egress: null, ingress: 'NetworkPolicy x/q ingress[0]' };
  expect(isOtherRule(cell('x/b', 'allow', {}))).toBe(false);
  expect(isOtherRule(cell('x/b', 'allow', { rules: other }))).toBe(true);
  expect(isOtherRule(cell('x/b', 'deny', { rules: other }))).toBe(false);
});

test('exit statuses: mismatches and violations before missing evidence', () => {
  const { summary } = result([]);
  const status = (mismatches: number, violations: number, noEvidence: number): number =>
    exitStatus({ ...summary, mismatches, violations, noEvidence });
  expect([status(0, 0, 0), status(1, 0, 1), status(0, 1, 0), status(0, 0, 2)]).toEqual([0, 1, 1, 3]);
});

test('answers of the prober: letters, numbers, times, and where it stopped', () => {
  expect(
    readAnswers(
      'filter 1500\nbatch 5 2000\nH 3 4 25\nX 5 0 0\nI 0 0 0\n? 0 0 0\nS 0 0 0\nheld 3\nK\nC\nG\nfilter 700\nerror route 3 request 1: No such device\n',
    ),
  ).toEqual({
    filterMs: [1.5, 0.7],
    batches: [
      {
        probeMs: 2,
        answers: [
          { verdict: 'allowed', evidence: 'handshake', recorded: { egress: 3, ingress: 4 }, rttUs: 25 },
          { verdict: 'denied', evidence: 'drop-record', recorded: { egress: 5, ingress: 0 } },
          { verdict: 'allowed', evidence: 'delivered', recorded: { egress: 0, ingress: 0 } },
          { verdict: 'no-evidence', evidence: 'none', recorded: { egress: 0, ingress: 0 } },
          { verdict: 'denied', evidence: 'not-delivered', recorded: { egress: 0, ingress: 0 } },
        ],
      },
    ],
    held: [['kept', 'cut', 'gone']],
    failure: 'route 3 request 1: No such device',
  });
});
