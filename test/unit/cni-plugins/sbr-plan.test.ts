import { describe, expect, test } from 'vitest';
import { type MainRoute, planRoutes } from '../../../cni-plugins/sbr/plan.ts';
import { cidrText } from '../../../src/model/cidr.ts';
import { cidr, ip } from '../../rig/addresses.ts';

const lease = (address: string, gateway?: string) => ({ address: cidr(address), gateway: gateway === undefined ? undefined : ip(gateway) });
/** `10.0.0.0/24 via 10.0.0.1 src 10.0.0.2` */
function route(text: string): MainRoute {
  const [dst = '', ...words] = text.split(' ');
  const after = (word: string) => (words.includes(word) ? ip(words[words.indexOf(word) + 1] ?? '') : undefined);
  const subnet = cidr(dst);
  return { family: subnet.ip.family, dst: subnet, gateway: after('via'), source: after('src') };
}
const textOf = ({ dst, gateway, source }: MainRoute): string =>
  [cidrText(dst), ...(gateway === undefined ? [] : ['via', gateway.text]), ...(source === undefined ? [] : ['src', source.text])].join(' ');
function plan(leases: ReturnType<typeof lease>[], routes: string[], gateways: string[] = [], hints = false) {
  const made = planRoutes(leases, routes.map(route), gateways.map(ip), hints);
  return {
    tables: made.addresses.map(({ gateway, copies }) => [...copies.map(textOf), ...(gateway === undefined ? [] : [`default ${gateway.text}`])]),
    leave: made.leave.map(textOf),
    hints: made.hints.map(({ subnet, source, route: there }) => [cidrText(subnet), source.text, there === undefined ? undefined : textOf(there)]),
  };
}
const subnet = '10.0.0.0/24 src 10.0.0.2';

describe('routes of an interface', () => {
  test('those with a gateway come after those they need, and leave before them', () => {
    expect(plan([lease('10.0.0.2/24', '10.0.0.1')], ['0.0.0.0/0 via 10.0.0.1', subnet])).toEqual({
      tables: [[subnet, '0.0.0.0/0 via 10.0.0.1']],
      leave: ['0.0.0.0/0 via 10.0.0.1', subnet],
      hints: [],
    });
  });
  test('a default route is made of the gateway when there is none, and of the configured one in any case', () => {
    expect(plan([lease('10.0.0.2/24', '10.0.0.1')], [subnet]).tables).toEqual([[subnet, 'default 10.0.0.1']]);
    expect(plan([lease('10.0.0.2/24', '10.0.0.1')], [subnet, '0.0.0.0/0 via 10.0.0.1'], ['10.0.0.9', 'fd00::1']).tables).toEqual([
      [subnet, 'default 10.0.0.9'],
    ]);
    expect(plan([lease('10.0.0.2/24')], [subnet]).tables).toEqual([[subnet]]);
  });
  test('two addresses: each has its own, both have what says neither source nor gateway', () => {
    expect(
      plan([lease('10.0.0.2/24'), lease('10.1.0.2/24')], [subnet, '10.1.0.0/24 src 10.1.0.2', '10.2.0.0/16', '10.3.0.0/16 via 10.1.0.9']).tables,
    ).toEqual([
      [subnet, '10.2.0.0/16'],
      ['10.1.0.0/24 src 10.1.0.2', '10.2.0.0/16', '10.3.0.0/16 via 10.1.0.9'],
    ]);
  });
  test('a gateway outside of every subnet is lost to nobody', () => {
    expect(
      plan([lease('10.0.0.2/32', '169.254.1.1')], ['169.254.1.1/32', '0.0.0.0/0 via 169.254.1.1', '10.9.0.0/16 via 169.254.1.2']).tables,
    ).toEqual([['169.254.1.1/32', '0.0.0.0/0 via 169.254.1.1', '10.9.0.0/16 via 169.254.1.2']]);
  });
  test('families are apart; one without address stays in main, and link-local routes do in any case', () => {
    const v6 = ['fd00::/64', 'fe80::/64', '::/0 via fd00::1'];
    expect(plan([lease('10.0.0.2/24')], [subnet, ...v6])).toEqual({ tables: [[subnet]], leave: [subnet], hints: [] });
    expect(plan([lease('fd00::2/64')], [subnet, ...v6])).toEqual({
      tables: [['fd00::/64', 'fe80::/64', '::/0 via fd00::1']],
      leave: ['::/0 via fd00::1', 'fd00::/64'],
      hints: [],
    });
  });
  test('source hints: what is on the link stays, and its subnet names the first address in it', () => {
    const leases = [lease('10.0.0.2/24', '10.0.0.1'), lease('10.0.0.3/24'), lease('fd00::2/64')];
    expect(plan(leases, ['10.0.0.0/24', '0.0.0.0/0 via 10.0.0.1', 'fd00::/64'], [], true)).toMatchObject({
      leave: ['0.0.0.0/0 via 10.0.0.1'],
      hints: [
        ['10.0.0.0/24', '10.0.0.2', '10.0.0.0/24'],
        ['fd00::/64', 'fd00::2', 'fd00::/64'],
      ],
    });
    // ptp: the subnet is behind the gateway, and its route must stay as it is.
    expect(plan([lease('10.0.0.2/24', '10.0.0.1')], ['10.0.0.1/32 src 10.0.0.2', '10.0.0.0/24 via 10.0.0.1 src 10.0.0.2'], [], true).leave).toEqual(
      [],
    );
  });
});
