/** `rkt lab explain`: the walk with its places, and the question that is asked. */
import { describe, expect, test } from 'vitest';
import { findFlows } from '../../../src/lab/question.ts';
import { explain, explanationsText } from '../../../src/policy/decision/explain.ts';
import { Evaluator } from '../../../src/policy/decision/evaluate.ts';
import type { Switches } from '../../../src/policy/model/values.ts';
import { cnp, grid, np, read } from './ask.ts';

const text = (manifests: string, from: string, to: string, port = '80/TCP', first = grid, switches: Partial<Switches> = {}): string => {
  const { world } = read(first, manifests);
  const evaluator = new Evaluator({ ...world, switches: { ...world.switches, ...switches } });
  return explanationsText(findFlows(world, from, to, port).map((flow) => explain(evaluator, flow)));
};

const db = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: x}
spec:
  podSelector: {matchLabels: {pod: a}}
  ingress:
  - from:
    - podSelector: {matchLabels: {pod: b}}
    - namespaceSelector: {matchLabels: {ns: z}}
    - ipBlock: {cidr: 10.0.1.0/24, except: [10.0.1.11/32]}
    ports:
    - port: serve-81-tcp
`;

describe('explain', () => {
  test('every tier, policy, rule, peer and port, with its line, and why what did not match did not', () => {
    const guard = cnp(
      '{tier: Admin, priority: 3, subject: {namespaces: {}}, ingress: [{name: spare, action: Pass, from: [{namespaces: {}}]}]}',
      'guard',
    );
    expect(text(db + guard + np('{policyTypes: [Egress]}', 'other'), 'y/b', 'x/a')).toBe(`\
y/b → x/a TCP/80  (10.0.1.11 → 10.0.0.10, fd00::1:11 → fd00::10)
DENIED: ingress: x/a is selected by NetworkPolicy x/db (policies.yaml:2), but no rule matched

egress of y/b: allowed
  Admin tier: 1 selected
    ClusterNetworkPolicy guard priority 3 (policies.yaml:16) selects all pods of all namespaces
      selected, but no rule matched
  NetworkPolicy tier: none of 2 policies selects it
  egress: no policy isolates y/b

ingress of x/a: denied
  Admin tier: 1 selected
    ClusterNetworkPolicy guard priority 3 (policies.yaml:16) selects all pods of all namespaces
      ✓ ingress[0] Pass "spare" (policies.yaml:19)
          ✓ peer all pods of all namespaces (policies.yaml:19)
  NetworkPolicy tier: 2 selected
    NetworkPolicy x/db (policies.yaml:2) selects pods with pod=a of namespace x
      ✗ ingress[0] Accept (policies.yaml:8)
          ✗ peer pods with pod=b of namespace x (policies.yaml:9): y/b is not in namespace x, and podSelector alone stays in the policy's own
          ✗ peer all pods of namespaces with ns=z (policies.yaml:10): namespace y has ns=y, kubernetes.io/metadata.name=y
          ✗ peer 10.0.1.0/24 except 10.0.1.11/32 (policies.yaml:11): y/b has 10.0.1.11, which is excepted
          ✗ port "serve-81-tcp" of TCP (policies.yaml:13): on x/a that is TCP/81
      selected, but no rule matched
    NetworkPolicy x/other (policies.yaml:22) selects all pods of namespace x; it does not cover ingress
`);
  });

  test('what allows is named with its line; families that differ are told apart', () => {
    const allowed = text(db, 'y/a', 'x/a', 'serve-81-tcp');
    expect(allowed).toContain(
      'y/a → x/a TCP/81  (10.0.1.10 → 10.0.0.10)\nALLOWED: egress: no policy isolates y/a; ingress: allowed by NetworkPolicy x/db ingress[0] (policies.yaml:8)',
    );
    expect(allowed).toContain('y/a → x/a TCP/81  (fd00::1:10 → fd00::10)\nDENIED');
    expect(allowed).toContain('y/a has fd00::1:10, which is not in it');
  });

  test('self, host, outside, ambiguity and what fails closed are said', () => {
    expect(text(np('{}'), 'x/a', 'x/a')).toContain('ALLOWED: a pod always reaches itself');
    expect(text(np('{}'), 'host', 'x/a')).toContain("ingress: a pod's own node always reaches it");
    expect(text(np('{policyTypes: [Egress]}'), 'x/a', 'host')).toContain('egress: NetworkPolicy does not cut a pod off from its own node');
    expect(text(np('{ingress: [{from: [{podSelector: {}}]}]}'), 'outside', 'x/a')).toContain('outside is no pod, and selectors mean pods only');
    const one = (action: string): string =>
      cnp(`{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: ${action}, from: [{namespaces: {}}]}]}`, action.toLowerCase());
    expect(text(one('Accept') + one('Deny'), 'y/a', 'x/a')).toContain(
      'AMBIGUOUS: ClusterNetworkPolicy accept and ClusterNetworkPolicy deny have one priority',
    );
    expect(text(one('Deny').replace('{namespaces: {}}]}]', '{future: {}}]}]'), 'y/a', 'x/a')).toContain(
      'is not known here, so the rule denies everything',
    );
    const hidden =
      np('{policyTypes: [Egress]}') +
      cnp('{tier: Baseline, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}');
    expect(text(hidden, 'y/a', 'x/a', '80', grid, { baseline: 'per-pod' })).toContain('which hides the Baseline tier');
  });

  test('ends and ports may be written in several ways', () => {
    const { world } = read(`${grid}- {ns: w, name: only, ports: [{name: dns, port: 53, protocol: UDP}, {name: dns, port: 53}]}`);
    const ask = (from: string, to: string, port: string): string[] =>
      findFlows(world, from, to, port)
        .filter(({ from: { ip } }) => ip.family === 4)
        .map((flow) => `${flow.from.ip.text} ${flow.to.ip.text} ${flow.protocol}/${flow.port}`);
    expect(ask('x/a', 'only', 'dns')).toEqual(['10.0.0.10 10.244.0.2 UDP/53', '10.0.0.10 10.244.0.2 TCP/53']);
    expect(ask('10.0.0.10', '198.51.100.1', 'udp/9')).toEqual(['10.0.0.10 198.51.100.1 UDP/9']);
    expect(ask('x/a', 'w/only', 'dns/TCP')).toEqual(['10.0.0.10 10.244.0.2 TCP/53']);
    expect(() => ask('a', 'x/b', '80')).toThrow('a could be x/a or y/a or z/a');
    expect(() => ask('x/aa', 'x/b', '80')).toThrow('there is no x/aa');
    expect(() => ask('x/a', 'x/b', 'http')).toThrow('"http" is no port of b');
    expect(() => ask('x/a', 'x/b', '70000')).toThrow('is no port');
    expect(() => ask('10.0.0.10', 'fd00::1:10', '80')).toThrow('have no network and family of addresses in common');
  });
});
