/** Rules in somebody else's FORWARD chain: made only where it drops, as iptables would, found by name, and nothing else is touched. */
import { execFileSync } from 'node:child_process';
import { afterEach, describe, expect, test } from 'vitest';
import { plugin as firewall } from '../../../cni-plugins/firewall/plugin.ts';
import { closeForward, openForward } from '../../../src/host/nftables/forward.ts';
import type { PluginNote } from '../../../src/model/cni/plugin.ts';
import { ip } from '../../rig/addresses.ts';
import { useHost } from '../../rig/host.ts';
import { context, request } from './request.ts';

useHost();
const sh = (script: string): string => execFileSync('sh', ['-c', script], { encoding: 'utf8' });
const saved = (): string[] =>
  sh('iptables-nft-save; ip6tables-nft-save')
    .split('\n')
    .filter((line) => line.startsWith('-A FORWARD'));
const drop = (): string => sh('iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP; iptables-nft -A FORWARD -s 198.51.100.1/32 -j DROP');
afterEach(() => {
  firewall.gc({ ...request('GC', ''), validAttachments: [] }, context([]));
  sh('nft delete table ip filter 2>/dev/null; nft delete table ip6 filter 2>/dev/null; true');
});
const theirs = '-A FORWARD -s 198.51.100.1/32 -j DROP';
const rulesOf = (v4: string, v6: string, name: string): string[] => [
  `-A FORWARD -s ${v4}/32 -m comment --comment "rkt ${name}" -j ACCEPT`,
  `-A FORWARD -d ${v4}/32 -m comment --comment "rkt ${name}" -j ACCEPT`,
  `-A FORWARD -s ${v6}/128 -m comment --comment "rkt ${name}" -j ACCEPT`,
  `-A FORWARD -d ${v6}/128 -m comment --comment "rkt ${name}" -j ACCEPT`,
];
const p1 = rulesOf('10.88.0.2', 'fd88::2', 'net/p1/eth0');
const p2 = rulesOf('10.88.0.3', 'fd88::3', 'net/p2/eth0');
const add = (pod: 'p1' | 'p2'): PluginNote[] => {
  const notes: PluginNote[] = [];
  firewall.add(request('ADD', pod), context(notes));
  return notes;
};
const ordered = (v4v6: string[], more: string[]): string[] => [theirs, ...v4v6.slice(0, 2), ...more.slice(0, 2), ...v4v6.slice(2), ...more.slice(2)];

describe('FORWARD', () => {
  test('no chain, or one that lets through: nothing is made', () => {
    expect(add('p1')).toEqual([]);
    sh('iptables-nft -A FORWARD -s 198.51.100.1/32 -j DROP');
    expect(add('p1')).toEqual([]);
    expect(saved()).toEqual([theirs]);
  });

  test('one that drops: the bytes iptables itself makes', () => {
    drop();
    expect(add('p1').map(({ detail }) => detail)).toEqual([
      'table ip filter: chain FORWARD drops by default, rules for this pod were appended',
      'table ip6 filter: chain FORWARD drops by default, rules for this pod were appended',
    ]);
    const bytes = (): string => sh('nft --debug=netlink list table ip filter 2>/dev/null; nft --debug=netlink list table ip6 filter 2>/dev/null');
    const ours = bytes();
    expect(saved()).toEqual(ordered(p1, []));
    sh('iptables-nft -F FORWARD; ip6tables-nft -F FORWARD');
    for (const rule of [theirs, ...p1]) sh(`${rule.includes('fd88') ? 'ip6tables-nft' : 'iptables-nft'} ${rule}`);
    const withoutHandles = (text: string): string => text.replace(/FORWARD \d+( \d+)*/g, 'FORWARD');
    expect(withoutHandles(ours)).toBe(withoutHandles(bytes()));
    // Made by iptables, and yet ours by name.
    firewall.del(request('DEL', 'p1'), context([]));
    expect(saved()).toEqual([theirs]);
  });

  test('again: no second rule; DEL takes one attachment’s, GC those that are not valid', () => {
    drop();
    add('p1');
    expect(add('p1')).toEqual([]);
    add('p2');
    expect(saved()).toEqual(ordered(p1, p2));
    firewall.del(request('DEL', 'p1'), context([]));
    firewall.del(request('DEL', 'p1'), context([]));
    expect(saved()).toEqual(ordered(p2, []));
    add('p1');
    firewall.gc(request('GC', '', {}, [{ containerID: 'p1', ifname: 'eth0' }]), context([]));
    expect(saved()).toEqual(ordered(p1, []));
  });

  test('the policy was changed back meanwhile, the chain was flushed, the table is gone: DEL all the same', () => {
    drop();
    add('p1');
    sh('iptables-nft -P FORWARD ACCEPT; ip6tables-nft -F FORWARD');
    firewall.del(request('DEL', 'p1'), context([]));
    expect(saved()).toEqual([theirs]);
    sh('nft delete table ip filter; nft delete table ip6 filter');
    firewall.del(request('DEL', 'p1'), context([]));
  });

  test('a policy that is set after ADD: repair opens, once', () => {
    add('p1');
    drop();
    const repair = (apply: boolean): readonly string[] | undefined => firewall.repair?.(request('CHECK', 'p1'), context([]), apply);
    const words = ['rules in chain FORWARD of iptables, which drops by default'];
    expect([repair(false), repair(true), repair(true)]).toEqual([words, words, []]);
    expect(saved()).toEqual(ordered(p1, []));
  });

  test('a chain of that name which is not hooked in drops nothing', () => {
    sh('nft add table ip filter; nft add chain ip filter FORWARD');
    expect(openForward('net/p1/eth0', [ip('10.88.0.2')])).toEqual([]);
  });

  test('rules of others with a comment like ours stay', () => {
    drop();
    sh('iptables-nft -A FORWARD -s 198.51.100.2/32 -m comment --comment "not rkt net/p1/eth0" -j ACCEPT');
    add('p1');
    closeForward('net/p1/eth0', (comment) => comment === 'net/p1/eth0');
    expect(saved()).toEqual([theirs, '-A FORWARD -s 198.51.100.2/32 -m comment --comment "not rkt net/p1/eth0" -j ACCEPT']);
  });
});
