/** Lint: each finding with its line and a change; and that policies without fault have none. */
import { describe, expect, test } from 'vitest';
import type { Finding } from '../../../src/policy/lint/findings.ts';
import { lint } from '../../../src/policy/lint/lint.ts';
import { cnp, grid, np, read } from './ask.ts';

const find = (manifests: string, first = grid): Finding[] => lint(read(first, manifests));
/** `code@line: text → cure`, of one code. */
const of = (code: Finding['code'], manifests: string, first = grid): string[] =>
  find(manifests, first)
    .filter((finding) => finding.code === code)
    .map(({ line, text, cure }) => `${line}: ${text} → ${cure}`);

const policy = (spec: string): string =>
  `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: x}\nspec:\n${spec
    .trim()
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n')}\n`;

describe('lint', () => {
  test('a policy that is fine', () => {
    const fine = policy(`podSelector: {matchLabels: {pod: a}}
policyTypes: [Ingress, Egress]
ingress:
- from: [{podSelector: {matchLabels: {pod: b}}}, {namespaceSelector: {matchLabels: {ns: y}}, podSelector: {}}]
  ports: [{port: serve-80-tcp}]
egress:
- ports: [{port: 53, protocol: UDP}]
- to: [{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: "::/0"}}]
`);
    expect(find(fine).filter(({ code }) => code !== 'never-hit')).toEqual([]);
  });

  test('selectors that mean nothing, with what was probably meant', () => {
    expect(of('selects-nothing', policy('podSelector: {matchLabels: {pid: a}}'))).toEqual([
      '5: NetworkPolicy x/p selects pods with pid=a of namespace x, and there are none → did you mean the label pod?',
    ]);
    const apps = 'pods: [{ns: x, name: f, labels: {app: frontend}}, {ns: y, name: d, labels: {app: database}}]';
    expect(of('selects-nothing', policy('podSelector: {matchLabels: {app: fronted}}'), apps)[0]).toContain('did you mean app: frontend?');
    expect(of('selects-nothing', policy('podSelector: {matchLabels: {app: database}}'), apps)).toEqual([
      '5: NetworkPolicy x/p selects pods with app=database of namespace x, and there are none → no such pod in namespace x; put the policy into namespace y, where such pods are',
    ]);
    // spec.podSelector has no namespaceSelector beside it.
    const astray = np('{podSelector: {matchLabels: {app: database}}}', 'p', 'z');
    expect(of('selects-nothing', astray, `${apps}\nnamespaces: [z]`)[0]).toMatch(
      / → no pod in namespace z; put the policy into namespace y, where such pods are$/,
    );
    expect(of('selects-nothing', astray, apps)[0]).toMatch(
      / → no pod in namespace z \(there is no namespace z\); put the policy into namespace y, where /,
    );
    const both = 'pods: [{ns: x, name: d, labels: {app: database}}, {ns: y, name: d, labels: {app: database}}]';
    expect(of('selects-nothing', astray, both)[0]).toContain('put the policy into namespace x or y, where such pods are');
    // A peer has one.
    expect(of('peer-matches-nothing', policy('ingress:\n- from:\n  - podSelector: {matchLabels: {app: database}}'), apps)[0]).toMatch(
      /such pods are in namespace y: .* add namespaceSelector$/,
    );
    expect(of('selects-nothing', np('{podSelector: {}}', 'p', 'empty'))[0]).toContain('there is no pod in namespace empty');
    expect(of('selects-nothing', np('{}', 'p', 'empty'))[0]).toContain('there is no pod in namespace empty');
    expect(of('peer-matches-nothing', policy('ingress:\n- from:\n  - podSelector: {}\n  - namespaceSelector: {matchLabels: {ns: yy}}'))).toEqual([
      '8: the peer means all pods of namespaces with ns=yy, and there are none → did you mean ns: y?',
    ]);
    expect(
      of(
        'peer-matches-nothing',
        cnp('{tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{nodes: {matchLabels: {a: b}}}]}]}'),
      ),
    ).toHaveLength(1);
    // A step brings the pod that the policy is for.
    const later = `${grid}\nsteps: [{createPod: {ns: x, name: n, labels: {late: "1"}}}]`;
    expect(of('selects-nothing', policy('podSelector: {matchLabels: {late: "1"}}'), later)).toEqual([]);
  });

  test('the dash that makes AND an OR', () => {
    const two = policy('podSelector: {}\ningress:\n- from:\n  - podSelector: {matchLabels: {pod: b}}\n  - namespaceSelector: {matchLabels: {ns: y}}');
    expect(of('dash', two)).toEqual([
      '9: podSelector and namespaceSelector are two items, so either is enough → if both must hold, take away the dash before namespaceSelector',
    ]);
    const one = policy('podSelector: {}\ningress:\n- from:\n  - podSelector: {matchLabels: {pod: b}}\n    namespaceSelector: {matchLabels: {ns: y}}');
    expect(of('dash', one)).toEqual([]);
    expect(of('dash', policy('ingress:\n- from:\n  - podSelector: {}\n  - namespaceSelector: {matchLabels: {ns: y}}'))).toEqual([]);
  });

  test('policyTypes: rules without effect, an egress section that isolates nothing, lists that mean all', () => {
    expect(of('policy-types', policy('policyTypes: [Egress]\ningress:\n- {}'))).toEqual([
      '7: NetworkPolicy x/p has ingress rules, but policyTypes has no Ingress: they have no effect → add Ingress to policyTypes, or take the rules away',
    ]);
    expect(of('note', policy('podSelector: {}\negress: []'))).toEqual([
      '6: spec.egress: an egress section without rules and without policyTypes isolates nothing → to deny all egress, write policyTypes: [Egress]',
    ]);
    expect(of('note', policy('policyTypes: [Egress]\negress: []'))).toEqual([]);
    expect(of('note', policy('ingress:\n- from: []\n  ports: []')).map((text) => text.slice(0, 40))).toEqual([
      '6: spec.ingress[0].from: "from" without ',
      '7: spec.ingress[0].ports: "ports" withou',
    ]);
  });

  test('DNS is told per policy, unless another lets its pods ask', () => {
    expect(of('no-dns', policy('policyTypes: [Egress]'))).toEqual([
      '1: NetworkPolicy x/p isolates egress, and nothing lets its pods ask a name server: names will not resolve → add to egress:  - ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]',
    ]);
    expect(of('no-dns', policy('policyTypes: [Egress]\negress: [{ports: [{port: 53}]}]'))).toHaveLength(1);
    expect(of('no-dns', policy('policyTypes: [Egress]\negress: [{ports: [{port: 1, endPort: 100, protocol: UDP}]}]'))).toEqual([]);
  });

  test('equal priorities, if they select a pod both', () => {
    const one = (name: string, ns: string, tier = 'Admin'): string =>
      cnp(`{tier: ${tier}, priority: 7, subject: {namespaces: {matchLabels: {ns: ${ns}}}}}`, name);
    expect(of('equal-priority', one('a', 'x') + one('b', 'x'))).toHaveLength(2);
    expect(of('equal-priority', one('a', 'x') + one('b', 'y') + one('c', 'x', 'Baseline'))).toEqual([]);
  });

  test('named ports that nobody has, or with another protocol', () => {
    expect(of('named-port', policy('ingress:\n- ports:\n  - port: serve-80-tcq'))).toEqual([
      '7: no pod that is meant calls a TCP port "serve-80-tcq": it matches nothing → did you mean "serve-80-tcp"?',
    ]);
    expect(of('named-port', policy('ingress:\n- ports:\n  - port: serve-80-udp'))[0]).toContain('write protocol: UDP');
    expect(of('named-port', policy('policyTypes: [Egress]\negress:\n- to: [{namespaceSelector: {}}]\n  ports:\n  - port: serve-80-tcp'))).toEqual([]);
  });

  test('rules that match nothing, and rules that come too late', () => {
    expect(of('never-hit', policy('podSelector: {matchLabels: {pod: a}}\ningress:\n- ports: [{port: 443}]\n- ports: [{port: 80}]'))).toEqual([
      '7: NetworkPolicy x/p ingress[0] matches no connection of the experiment → look at its peers and ports, or add a pod or a port that it is for',
    ]);
    const rules = 'ingress: [{action: Accept, from: [{namespaces: {}}]}, {action: Deny, from: [{namespaces: {matchLabels: {ns: y}}}]}]';
    expect(of('never-reached', cnp(`{tier: Admin, priority: 1, subject: {namespaces: {}}, ${rules}}`))[0]).toContain('p ingress[1] is never reached');
    // Outside and host are asked, even if no probe is.
    expect(of('never-hit', policy('ingress:\n- from: [{ipBlock: {cidr: 203.0.113.0/24}}]'))).toEqual([]);
  });

  test('everywhere in one family only', () => {
    const block = (cidrs: string): string => policy(`ingress:\n- from: [${cidrs}]`);
    expect(of('one-family', block('{ipBlock: {cidr: 0.0.0.0/0}}'))).toEqual([
      '6: the rule means every IPv4 address, and none of the other family → add ::/0',
    ]);
    expect(of('one-family', block('{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: "::/0"}}'))).toEqual([]);
    expect(of('one-family', block('{ipBlock: {cidr: 0.0.0.0/0}}'), 'pods: [{ns: x, name: a, ip: 10.0.0.1}]')).toEqual([]);
    // With an except, the whole of the other family would open to the pods what was kept from them.
    const lan = 'networks: [{name: lan, subnets: [10.1.0.0/16, "fd00:1::/64"]}]\npods: [{ns: x, name: a}, {ns: x, name: b}]';
    expect(of('one-family', block('{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}'), lan)).toEqual([
      '6: the block means every IPv4 address but 10.0.0.0/8, and none of the other family → add ::/0 with except: [fd00:1::/64], which is where the pods are',
    ]);
    expect(of('one-family', block('{ipBlock: {cidr: "::/0", except: ["fc00::/7", "fe80::/10"]}}'), lan)).toEqual([
      '6: the block means every IPv6 address but fc00::/7 and fe80::/10, and none of the other family → add 0.0.0.0/0 with except: [10.1.0.0/16], which is where the pods are',
    ]);
    // Addresses of manifests say nothing of the range that they are from.
    expect(of('one-family', block('{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}'))[0]).toMatch(
      / → add ::\/0 with an except for the IPv6 addresses of the pods$/,
    );
    expect(of('one-family', block('{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}, {ipBlock: {cidr: 0.0.0.0/0}}'), lan)).toEqual([
      '6: the rule means every IPv4 address, and none of the other family → add ::/0',
    ]);
  });
});
