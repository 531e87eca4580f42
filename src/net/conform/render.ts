/** A report as JUnit XML, for CI systems. Pure. */
import type { ConformReport, Finding } from './types.ts';

const escaped = (text: string): string =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    // oxlint-disable-next-line no-control-regex -- XML 1.0 has no way to write these
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd');

/** The first evidence that does not hold, with what was sent and what came back. */
export function failureText({ evidence }: Finding): string {
  return evidence
    .filter(({ holds }) => !holds)
    .map(({ what, saw, calls }) => {
      const sent = calls.map(({ env, stdin, exit, stdout, stderr }) => {
        const variables = Object.entries(env).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
        return `  ${variables.join(' ')}\n  stdin:  ${stdin}\n  exit:   ${exit}\n  stdout: ${stdout.trim()}\n  stderr: ${stderr.trim()}`;
      });
      return [`${what}: ${saw}`, ...sent].join('\n');
    })
    .join('\n');
}

export function junit({ plugin, type, findings, ms }: ConformReport): string {
  const count = (verdict: string): number => findings.filter((finding) => finding.verdict === verdict).length;
  const skipped = count('not applicable') + count('unknown');
  const cases = findings.map((finding) => {
    const { number, requirement, verdict, reason } = finding;
    const open = `    <testcase classname="${escaped(type)}" name="${escaped(`${number}: ${requirement}`)}"`;
    if (verdict === 'pass') return `${open}/>`;
    const inner =
      verdict === 'fail'
        ? `<failure message="${escaped(finding.evidence.find(({ holds }) => !holds)?.what ?? '')}">${escaped(failureText(finding))}</failure>`
        : `<skipped message="${escaped(`${verdict}: ${reason}`)}"/>`;
    return `${open}>${inner}</testcase>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="${escaped(`CNI conformance of ${plugin}`)}" tests="${findings.length}" failures="${count('fail')}" skipped="${skipped}" time="${(ms / 1000).toFixed(3)}">
${cases.join('\n')}
  </testsuite>
</testsuites>
`;
}
