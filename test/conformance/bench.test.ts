/** The bench itself: a plugin that is right passes, and each way to be wrong fails the numbers that say so, and is told. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ConformReport } from '../../src/net/conform/types.ts';

const root = resolve(import.meta.dirname, '../..');
const rkt = join(root, 'dist/rkt');
const plugin = join(root, 'test/fixtures/plugins/breakable');
let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'rkt-bench-'));
  writeFileSync(join(dir, 'conf'), JSON.stringify({ cniVersion: '1.1.0', name: 'n', type: 'breakable', ipam: { type: 'breakable' } }));
});
afterAll(() => rmSync(dir, { recursive: true }));

const run = (args: readonly string[], env: Record<string, string> = {}) =>
  spawnSync(rkt, ['net', 'conform', ...args], { encoding: 'utf8', env: { ...process.env, ...env } });
function report(broken: string): { status: number | null; failed: string[]; report: ConformReport } {
  const { status, stdout, stderr } = run([`--conf=${dir}/conf`, '--format=json', plugin], { BREAK: broken });
  if (stdout === '') expect.fail(stderr);
  const parsed = JSON.parse(stdout) as ConformReport;
  return { status, failed: parsed.findings.filter(({ verdict }) => verdict === 'fail').map(({ number }) => number), report: parsed };
}

test('a plugin that does everything right', () => {
  const { status, failed, report: whole } = report('');
  expect([status, failed]).toEqual([0, []]);
  expect(whole.findings.filter(({ verdict }) => verdict === 'pass').length).toBeGreaterThan(25);
  expect(whole.versions).toEqual(['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0']);
});
describe('wrong', () => {
  // Several ways at once, where each has numbers of its own.
  test.each<[string, string[]]>([
    [
      'mute any-command any-name any-network any-version early-verbs strict wrong-version interface chatty-check blind needs-prev chatty-gc not-ready',
      ['X7', 'X6', 'R11', 'R13', 'X2', 'V4', 'V11', 'X3', 'X4', 'P25', 'P21', 'P19', 'P11', 'P10', 'P7', 'P14', 'P12'],
    ],
    ['first-missing no-code exit-3 extra-key exact-case needs-netns gc-all', ['X1', 'P24', 'P22', 'X8', 'P21', 'X10', 'P8', 'P14']],
    ['odd-code once gc-fails strict-check', ['P23', 'P9', 'P14', 'X5', 'P10']],
    ['stderr-errors leaks', ['P1', 'P6']],
    ['no-version no-result', ['V6', 'V7', 'P3']],
    ['daemon gc-idle', ['P6', 'P7', 'P8', 'P9', 'P14']],
  ])('%s: %j', (broken, numbers) => {
    const { status, failed } = report(broken);
    expect(failed).toEqual(expect.arrayContaining(numbers));
    expect(status).toBe(1);
  });
  test('one way fails its own number, and few others', () => {
    expect(report('chatty-gc').failed).toEqual(['P14']);
    expect(report('mute early-verbs').failed).toEqual(['X4', 'X7']);
    // A CHECK that fails prints its error, and must.
    expect(report('check-fails').failed).not.toContain('P11');
  });
});
test('what needs ADD is unknown when ADD never works, and says why', () => {
  const { failed, report: whole } = report('add-fails');
  expect(failed).toContain('P3');
  const p10 = whole.findings.find(({ number }) => number === 'P10');
  expect([p10?.verdict, p10?.reason]).toEqual(['unknown', expect.stringContaining('never works')]);
});
test('where the kernel cannot ADD, little is judged: that is said, and no success; what does not concern the plugin stays so', () => {
  const { status, failed, report: whole } = report('no-kernel');
  expect([status, failed]).toEqual([3, []]);
  const verdicts = (verdict: string): string[] => whole.findings.filter((finding) => finding.verdict === verdict).map(({ number }) => number);
  expect(verdicts('unknown')).toEqual(expect.arrayContaining(['P3', 'P6', 'P10', 'P14', 'V11']));
  expect(verdicts('not applicable')).toEqual(['P2', 'P4', 'P5', 'P15', 'P16', 'P17', 'P18', 'P26', 'P27', 'R8']);
  expect(verdicts('pass')).toEqual(expect.arrayContaining(['X5', 'X1', 'V6']));
  expect(whole.untried).toContain('kernel lacks what ADD needs');
  const text = run([`--conf=${dir}/conf`, plugin], { BREAK: 'no-kernel' });
  expect(text.stdout).toMatch(
    /^\d+ pass, 0 fail, 10 not applicable, (\d+) unknown.*\nnot judged: \1 requirements need an ADD that works here: kernel lacks .*\n$/m,
  );
  // What fails on any kernel still counts.
  expect(report('no-kernel mute').status).toBe(1);
});
test('for people, for programs, for CI systems', () => {
  const text = run([`--conf=${dir}/conf`, plugin], { BREAK: 'chatty-gc' });
  expect(text.stdout).toMatch(/^P14 +fail +GC removes what is stale.* +GC prints nothing: exit 0, collected/m);
  expect(text.stdout).toMatch(/\d+ pass, 1 fail/);
  const xml = run([`--conf=${dir}/conf`, '--format=junit', plugin], { BREAK: 'chatty-gc' }).stdout;
  expect(xml).toContain('failures="1"');
  expect(xml).toMatch(/<testcase classname="breakable" name="P14: [^"]+"><failure message="GC prints nothing">[^<]*CNI_COMMAND=&quot;GC&quot;/);
});
test('usage: no plugin, a plugin that is not there, a type without configuration, a file that is no JSON', () => {
  const status = (...args: string[]): (number | null)[] => [run(args).status];
  expect([status(), status('/no/such/plugin'), status('no-such-type'), status(plugin), status('--conf=/etc/hostname', plugin)].flat()).toEqual([
    2, 2, 2, 2, 2,
  ]);
  expect(run([plugin]).stderr).toContain('--conf=FILE');
});
