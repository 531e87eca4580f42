/** policy.md rules 19-33: blocks, ports, protocols, connections. One test a rule. */
import { describe, expect, test } from 'vitest';
import { asker, faultsOf, grid, lab, np, read } from './ask.ts';

const selectA = 'podSelector: {matchLabels: {pod: a}}';
const from = (peers: string, ports = ''): string => np(`{${selectA}, ingress: [{from: [${peers}]${ports === '' ? '' : `, ports: [${ports}]`}}]}`);
const ports = (text: string): string => np(`{${selectA}, ingress: [{ports: [${text}]}]}`);
const to = (peers: string, text: string): string => np(`{${selectA}, policyTypes: [Egress], egress: [{${peers}ports: [${text}]}]}`);

describe('NetworkPolicy: blocks, ports, protocols', () => {
  test('19: an ipBlock means addresses, of pods too', () => {
    const ask = lab(from('{ipBlock: {cidr: 10.0.1.0/24}}'));
    expect([ask('y/b', 'x/a'), ask('x/b', 'x/a'), ask('10.0.1.200', 'x/a')]).toEqual(['allow', 'deny', 'allow']);
  });

  test('20: except takes away from its own block only, is a strict subset; host bits are tolerated', () => {
    const alone = lab(from('{ipBlock: {cidr: 10.0.1.0/24, except: [10.0.1.11/32]}}'));
    expect([alone('y/a', 'x/a'), alone('y/b', 'x/a')]).toEqual(['allow', 'deny']);
    const second = lab(from('{ipBlock: {cidr: 10.0.1.0/24, except: [10.0.1.11/32]}}, {ipBlock: {cidr: 10.0.1.8/29}}'));
    expect([second('y/a', 'x/a'), second('y/b', 'x/a')]).toEqual(['allow', 'allow']);
    expect(lab(from('{ipBlock: {cidr: 10.0.1.213/24}}'))('y/a', 'x/a')).toBe('allow');
    const wrong = (except: string): readonly string[] => faultsOf(() => lab(from(`{ipBlock: {cidr: 10.0.1.0/24, except: [${except}]}}`)));
    expect([wrong('10.0.2.0/25'), wrong('10.0.1.0/24'), wrong('10.0.0.0/16'), wrong('"fd00::/64"')].map(({ length }) => length)).toEqual([
      1, 1, 1, 1,
    ]);
  });

  test('21: blocks see the addresses of the packet at the pod: there is no translation in an experiment', () => {
    expect(lab(from('{ipBlock: {cidr: 203.0.113.10/32}}'))('outside', 'x/a')).toBe('allow');
  });

  test('22: a port without protocol is TCP; a protocol without port is all its ports and no other protocol', () => {
    const tcp = lab(ports('{port: 80}'));
    expect([tcp('y/a', 'x/a', 'TCP/80'), tcp('y/a', 'x/a', 'UDP/80'), tcp('y/a', 'x/a', 'SCTP/80')]).toEqual(['allow', 'deny', 'deny']);
    const udp = lab(ports('{protocol: UDP}'));
    expect([udp('y/a', 'x/a', 'UDP/9'), udp('y/a', 'x/a', 'TCP/9')]).toEqual(['allow', 'deny']);
    expect(lab(ports('{}'))('y/a', 'x/a', 'TCP/81')).toBe('allow');
  });

  test("23: a number is the destination's port, in both directions", () => {
    const ask = lab(to('', '{port: 81}'));
    expect([ask('x/a', 'y/b', 'TCP/81'), ask('x/a', 'y/b', 'TCP/80')]).toEqual(['allow', 'deny']);
  });

  test('24: a name is resolved on the destination pod; two pods may give it to different numbers', () => {
    const first = `pods:
- {ns: x, name: a, labels: {pod: a}, ports: [{name: web, port: 8080}]}
- {ns: y, name: b, ports: [{name: web, port: 80}]}
- {ns: y, name: c, ports: [{name: web, port: 8000}]}
- {ns: y, name: d}`;
    const egress = lab(to('', '{port: web}'), { first });
    expect(['TCP/80', 'TCP/8000', 'TCP/8080'].map((port) => egress('x/a', 'y/b', port))).toEqual(['allow', 'deny', 'deny']);
    expect(['TCP/80', 'TCP/8000'].map((port) => egress('x/a', 'y/c', port))).toEqual(['deny', 'allow']);
    expect(egress('x/a', 'y/d', 'TCP/80')).toBe('deny');
    expect(['TCP/80', 'TCP/8080'].map((port) => lab(ports('{port: web}'), { first })('y/b', 'x/a', port))).toEqual(['deny', 'allow']);
  });

  test('25: a name matches with its own protocol only; a name that is not there matches nothing', () => {
    const same = lab(ports('{port: serve-80-udp, protocol: UDP}'));
    expect([same('y/a', 'x/a', 'UDP/80'), same('y/a', 'x/a', 'TCP/80')]).toEqual(['allow', 'deny']);
    const other = lab(ports('{port: serve-80-udp}'));
    expect([other('y/a', 'x/a', 'UDP/80'), other('y/a', 'x/a', 'TCP/80')]).toEqual(['deny', 'deny']);
    expect(lab(ports('{port: nowhere}'))('y/a', 'x/a', 'TCP/80')).toBe('deny');
  });

  test('26: a name means nothing to a block or to what is outside; a switch makes a pod in a block one', () => {
    const policies = to('to: [{ipBlock: {cidr: 0.0.0.0/0}}], ', '{port: serve-80-tcp}');
    expect([lab(policies)('x/a', 'outside'), lab(policies)('x/a', 'y/b')]).toEqual(['deny', 'deny']);
    expect(lab(policies, { switches: { namedPortOfBlock: 'pod' } })('x/a', 'y/b')).toBe('allow');
    expect(lab(to('', '{port: serve-80-tcp}'))('x/a', 'outside')).toBe('deny');
    // Ingress: the selected pod is there to resolve it, whoever the peer is.
    expect(lab(from('{ipBlock: {cidr: 0.0.0.0/0}}', '{port: serve-80-tcp}'))('outside', 'x/a')).toBe('allow');
  });

  test('27: endPort ends an inclusive range; not with a name, not without port, not below it', () => {
    const ask = lab(ports('{port: 80, endPort: 90}'));
    expect(['TCP/79', 'TCP/80', 'TCP/85', 'TCP/90', 'TCP/91', 'UDP/85'].map((port) => ask('y/a', 'x/a', port))).toEqual([
      'deny',
      'allow',
      'allow',
      'allow',
      'deny',
      'deny',
    ]);
    expect(lab(ports('{port: 80, endPort: 80}'))('y/a', 'x/a', 'TCP/80')).toBe('allow');
    for (const bad of ['{port: 80, endPort: 79}', '{port: web, endPort: 90}', '{endPort: 90}', '{port: 80, endPort: 65536}'])
      expect(faultsOf(() => lab(ports(bad)))).toHaveLength(1);
  });

  test('28: rules are about connections: no rule is needed for answers', () => {
    const ask = lab(np(`{${selectA}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}`));
    expect([ask('x/b', 'x/a'), ask('x/a', 'x/b')]).toEqual(['allow', 'deny']);
  });

  test('29: what a change does to connections that exist is not decided here: a decision has no past', () => {
    const { world } = read(grid, np('{}'));
    const before = asker({ ...world, policies: [] })('y/a', 'x/a');
    expect([before.verdict, asker(world)('y/a', 'x/a').verdict, asker({ ...world, policies: [] })('y/a', 'x/a').verdict]).toEqual([
      'allow',
      'deny',
      'allow',
    ]);
  });

  test('30: TCP, UDP and SCTP; other protocols cannot be written', () => {
    expect(['TCP/1', 'UDP/1', 'SCTP/1'].map((port) => lab(np(`{${selectA}}`))('y/a', 'x/a', port))).toEqual(['deny', 'deny', 'deny']);
    expect(faultsOf(() => lab(ports('{protocol: ICMP}')))[0]).toContain('"ICMP" is not one of TCP, UDP, SCTP');
    expect(faultsOf(() => lab(ports('{protocol: tcp}')))[0]).toContain('did you mean TCP?');
  });

  test('31: SCTP is not TCP, and a policy of SCTP only isolates for all', () => {
    const ask = lab(ports('{protocol: SCTP, port: 80}'));
    expect([ask('y/a', 'x/a', 'SCTP/80'), ask('y/a', 'x/a', 'TCP/80'), ask('y/a', 'x/a', 'UDP/80')]).toEqual(['allow', 'deny', 'deny']);
  });

  test('32: there are two verdicts, and deny means dropped: nothing can ask for a refusal', () => {
    expect(lab(np('{}'))('y/a', 'x/a')).toBe('deny');
    expect(faultsOf(() => lab(np('{ingress: [{action: Reject}]}')))[0]).toContain('spec.ingress[0].action');
  });

  test('33: a pod always reaches itself; a switch scores it by the rules', () => {
    const policies = np('{policyTypes: [Ingress, Egress]}');
    const decision = asker(read(grid, policies).world)('x/a', 'x/a');
    expect([decision.verdict, decision.loopback, decision.ingress.verdict]).toEqual(['allow', true, 'deny']);
    expect(lab(policies, { switches: { loopback: 'rules' } })('x/a', 'x/a')).toBe('deny');
  });
});
