import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { cpuMs } from '../../rig/cpu.ts';
import { useHost } from '../../rig/host.ts';
import {
  HeldError,
  claim,
  elementsOf,
  generation,
  missingOf,
  release,
  removeTableIfUnused,
  removeUnusedChains,
  tableDamage,
} from '../../../src/host/nftables/table.ts';
import { TransactionError, transaction } from '../../../src/host/nftables/transport.ts';
import { ofAttachment } from '../../../cni-plugins/skel/attachment.ts';
import { type AttachmentKey, type Element, firewallElements, masqueradeElements, portElements, setNames } from '../../../src/model/ruleset.ts';
import { cidr, ip } from '../../rig/addresses.ts';

useHost();
afterEach(() => void execFileSync('nft', ['flush', 'ruleset']));

const key = (containerId: string): AttachmentKey => ({ network: 'net', containerId, ifName: 'eth0' });
const drop = (containerId: string, expected: readonly Element[] = []): number => release(ofAttachment(key(containerId), setNames, expected)).length;
const nft = (...args: string[]): string => execFileSync('nft', args, { encoding: 'utf8' });
const everything = (containerId: string, last: number) => [
  ...masqueradeElements(key(containerId), [cidr(`10.1.0.${last}/24`), cidr(`fd00::${last}/64`)]),
  ...portElements(
    key(containerId),
    [
      { hostPort: 8000 + last, containerPort: 80, protocol: 'tcp', host: undefined },
      { hostPort: 8000 + last, containerPort: 53, protocol: 'udp', host: ip('192.0.2.1') },
      { hostPort: 8000 + last, containerPort: 80, protocol: 'sctp', host: ip('2001:db8::1') },
    ],
    { addresses: [cidr(`10.1.0.${last}/24`), cidr(`fd00::${last}/64`)], snat: true, masqAll: false },
  ),
  ...firewallElements(key(containerId), [ip(`10.1.0.${last}`), ip(`fd00::${last}`)], 'same-bridge', 'br0'),
];

describe('what nft sees', () => {
  interface Listed {
    nftables: { set?: { name: string; elem?: unknown[] }; map?: { name: string; elem?: unknown[] } }[];
  }
  test('every element with its values and the attachment as comment', () => {
    claim(everything('cid', 5));
    const listed = JSON.parse(nft('-j', 'list', 'table', 'inet', 'rkt')) as Listed;
    const elements = Object.fromEntries(
      listed.nftables.flatMap((item) => {
        const found = item.set ?? item.map;
        return found?.elem === undefined ? [] : [[found.name, found.elem]];
      }),
    );
    const named = (val: unknown) => ({ elem: { val, comment: 'net/cid/eth0' } });
    expect(elements).toEqual({
      masq4: [[named('10.1.0.5'), { goto: { target: 'outside-10.1.0.0/24' } }]],
      masq6: [[named('fd00::5'), { goto: { target: 'outside-fd00--/64' } }]],
      ports4: [[named({ concat: ['tcp', 8005] }), { concat: ['10.1.0.5', 80] }]],
      ports6: [[named({ concat: ['tcp', 8005] }), { concat: ['fd00::5', 80] }]],
      hostports4: [[named({ concat: ['192.0.2.1', 'udp', 8005] }), { concat: ['10.1.0.5', 53] }]],
      hostports6: [[named({ concat: ['2001:db8::1', 'sctp', 8005] }), { concat: ['fd00::5', 80] }]],
      hairpin4: [[named('10.1.0.5'), { jump: { target: 'inside-10.1.0.0/24' } }]],
      hairpin6: [[named('fd00::5'), { jump: { target: 'inside-fd00--/64' } }]],
      pods4: [named('10.1.0.5')],
      pods6: [named('fd00::5')],
      closed4: [named('10.1.0.5')],
      closed6: [named('fd00::5')],
      same4: [named({ concat: ['10.1.0.5', 'br0'] })],
      same6: [named({ concat: ['fd00::5', 'br0'] })],
    });
  });

  test('the listing loads again and lists the same: nft understands every object', () => {
    claim(everything('cid', 5));
    const text = nft('list', 'table', 'inet', 'rkt');
    nft('delete', 'table', 'inet', 'rkt');
    execFileSync('nft', ['-f', '-'], { input: text });
    expect(nft('list', 'table', 'inet', 'rkt')).toBe(text);
    expect(missingOf(everything('cid', 5))).toEqual([]);
    expect(drop('cid')).toBe(14);
  });
});

describe('claim, release', () => {
  test('are idempotent and leave other attachments alone', () => {
    claim(everything('a', 5));
    claim(everything('b', 6));
    claim(everything('a', 5));
    expect(missingOf(everything('a', 5))).toEqual([]);
    expect(drop('a')).toBe(14);
    expect(drop('a')).toBe(0);
    expect(missingOf(everything('b', 6))).toEqual([]);
    expect(missingOf(everything('a', 5))).toHaveLength(14);
    expect(removeTableIfUnused()).toBe(false);
    expect(drop('b')).toBe(14);
    expect(removeTableIfUnused()).toBe(true);
    expect(removeTableIfUnused()).toBe(true);
    expect(nft('list', 'tables')).toBe('');
  });

  test('an attachment whose name ends like another is not taken for it', () => {
    claim(masqueradeElements({ network: 'xnet', containerId: 'a', ifName: 'eth0' }, [cidr('10.1.0.9/24')]));
    claim(masqueradeElements({ network: 'net', containerId: 'a', ifName: 'eth01' }, [cidr('10.1.0.8/24')]));
    expect(drop('a')).toBe(0);
  });

  test('survive the table being flushed away', () => {
    claim(everything('a', 5));
    nft('flush', 'ruleset');
    expect(drop('a')).toBe(0);
    expect(missingOf(everything('a', 5))).toHaveLength(14);
    claim(everything('a', 5));
    expect(missingOf(everything('a', 5))).toEqual([]);
  });

  test('a published port has one owner; nothing of a refused claim stays', () => {
    claim(everything('a', 5));
    const rival = portElements(
      key('b'),
      [
        { hostPort: 9000, containerPort: 1, protocol: 'tcp', host: undefined },
        { hostPort: 8005, containerPort: 1, protocol: 'tcp', host: undefined },
      ],
      { addresses: [cidr('10.1.0.6/24')], snat: true, masqAll: false },
    );
    expect(() => claim(rival)).toThrow(HeldError);
    expect(() => claim(rival)).toThrow('net/a/eth0');
    expect(missingOf(rival)).toHaveLength(rival.length);
    expect(missingOf(everything('a', 5))).toEqual([]);
  });

  test('a pod address that IPAM gave to somebody else is taken over, subnet of another size included', () => {
    claim(masqueradeElements(key('dead'), [cidr('10.1.0.5/24'), cidr('10.1.0.6/24')]));
    claim(masqueradeElements(key('new'), [cidr('10.1.0.5/16')]));
    expect(
      elementsOf('masq4')
        .map((element) => element.comment)
        .sort(),
    ).toEqual(['net/dead/eth0', 'net/new/eth0']);
    expect(drop('dead')).toBe(1);
    expect(missingOf(masqueradeElements(key('new'), [cidr('10.1.0.5/16')]))).toEqual([]);
  });

  test('a table of another version is refused, not touched', () => {
    nft('add', 'table', 'inet', 'rkt');
    expect(() => claim(everything('a', 5))).toThrow(/not of this rkt.*nft delete table inet rkt/s);
    expect(() => drop('a')).toThrow(/not of this rkt/);
    expect(() => removeTableIfUnused()).toThrow(/not of this rkt/);
  });
});

describe('chains of subnets', () => {
  const chains = () =>
    [...nft('list', 'table', 'inet', 'rkt').matchAll(/chain ((?:in|out)side\S+)/g)].map((match) => match[1] ?? '').sort((a, b) => (a < b ? -1 : 1));
  test('come with the first pod, are shared, and go when nothing leads to them', () => {
    claim(everything('a', 5));
    claim(everything('b', 6));
    expect(chains()).toEqual(['inside-10.1.0.0/24', 'inside-fd00--/64', 'outside-10.1.0.0/24', 'outside-fd00--/64']);
    drop('a');
    removeUnusedChains();
    expect(chains()).toHaveLength(4);
    drop('b');
    claim(masqueradeElements(key('c'), [cidr('10.1.0.7/24')]));
    removeUnusedChains();
    expect(chains()).toEqual(['outside-10.1.0.0/24']);
    drop('c');
    removeUnusedChains();
    expect(chains()).toEqual([]);
  });

  test('hold the rules a person would have written', () => {
    claim(everything('a', 5));
    claim(
      portElements(key('b'), [{ hostPort: 1, containerPort: 1, protocol: 'tcp', host: undefined }], {
        addresses: [cidr('10.9.0.5/30'), cidr('fd09::5/127')],
        snat: true,
        masqAll: true,
      }),
    );
    claim(masqueradeElements(key('c'), [cidr('10.8.0.1/32'), cidr('fd08::1/128'), cidr('10.7.5.1/23')]));
    const text = nft('list', 'table', 'inet', 'rkt');
    const rules = (chain: string) => new RegExp(`chain ${chain.replaceAll('.', '\\.')} \\{\n([^}]*)\\}`).exec(text)?.[1]?.trim().split(/\n\s*/);
    expect(rules('outside-10.1.0.0/24')).toEqual(['ip daddr 10.1.0.0/24 return', 'masquerade']);
    expect(rules('outside-fd00--/64')).toEqual(['ip6 daddr fd00::/64 return', 'masquerade']);
    expect(rules('outside-10.8.0.1/32')).toEqual(['ip daddr 10.8.0.1 return', 'masquerade']);
    expect(rules('outside-fd08--1/128')).toEqual(['ip6 daddr fd08::1 return', 'masquerade']);
    expect(rules('outside-10.7.4.0/23')).toEqual(['ip daddr 10.7.4.0/23 return', 'masquerade']);
    expect(rules('inside-10.1.0.0/24')).toEqual(['ip saddr 10.1.0.0/24 masquerade', 'ip saddr 127.0.0.0/8 masquerade']);
    expect(rules('inside-0.0.0.0/0')).toEqual(['meta nfproto ipv4 masquerade']);
    expect(rules('inside---/0')).toEqual(['meta nfproto ipv6 masquerade']);
  });
});

describe('transaction', () => {
  test('is all or nothing and names the op that failed, in the kernel’s words where it has any', () => {
    claim(everything('a', 5));
    const [fresh, taken] = [masqueradeElements(key('b'), [cidr('10.1.0.7/24')])[0], everything('a', 5)[0]];
    if (fresh === undefined || taken === undefined) throw new Error('no elements');
    let caught: unknown;
    try {
      transaction([fresh, taken].map((element) => ({ op: 'create-element', table: 'rkt', element })));
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(TransactionError);
    expect(caught).toMatchObject({
      code: 'EEXIST',
      failures: [{ index: 1, errno: 17 }],
      message: 'nftables create-element 0a010005 of masq4: EEXIST',
    });
    expect(missingOf([fresh])).toEqual([fresh]);
  });

  test('of an older generation is refused', () => {
    claim(everything('a', 5));
    const seen = generation();
    claim(everything('b', 6));
    expect(() => transaction([{ op: 'delete-table', table: 'rkt' }], seen)).toThrow(/ERESTART/);
    transaction([{ op: 'delete-table', table: 'rkt' }], generation());
    expect(nft('list', 'tables')).toBe('');
  });
});

describe('many', () => {
  test('200 attachments: the last costs what the first does', () => {
    const median = (values: number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
    for (let i = 0; i < 30; i++) {
      claim(everything(`warm${i}`, 5));
      drop(`warm${i}`);
    }
    const adds = Array.from({ length: 200 }, (_, i) => cpuMs(() => claim(everything(`c${i}`, i + 1))));
    const dels = Array.from({ length: 200 }, (_, i) => cpuMs(() => drop(`c${199 - i}`, everything(`c${199 - i}`, 200 - i))));
    const figures = {
      addFirst: median(adds.slice(0, 20)),
      addLast: median(adds.slice(180)),
      delFull: median(dels.slice(0, 20)),
      delEmpty: median(dels.slice(180)),
    };
    console.log('ms per attachment of 14 elements', figures);
    expect(figures.addLast).toBeLessThan(3 * figures.addFirst + 1);
    expect(figures.delFull).toBeLessThan(3 * figures.delEmpty + 1);
    expect(removeTableIfUnused()).toBe(true);
  });

  test('processes that make, use and remove the table at the same time never fail and leave none', async () => {
    const root = resolve(import.meta.dirname, '../../..');
    const workers = [1, 2, 3].map((worker) => {
      const child = spawn(
        process.execPath,
        [
          '--experimental-transform-types',
          '--no-warnings',
          resolve(import.meta.dirname, 'claims.mjs'),
          resolve(root, 'dist'),
          root,
          String(worker),
          '60',
        ],
        { stdio: ['ignore', 'pipe', 'pipe'] },
      );
      let text = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => void (text += String(chunk)));
      return once(child, 'close').then(([code]) => `${String(code)} ${text}`);
    });
    expect(await Promise.all(workers)).toEqual(['0 ', '0 ', '0 ']);
    expect(nft('list', 'tables')).toBe('');
  });
});

describe('damage to the table itself', () => {
  const chains = ['outside-10.1.0.0/24', 'inside-10.1.0.0/24'];
  const damage = (): string[] => tableDamage(chains).map(({ text }) => text);
  test('none right after it was made, with every element in it', () => {
    claim(everything('cid', 5));
    expect(damage()).toEqual([]);
  });
  test('flushed, emptied, added to, replaced, deleted', () => {
    expect(damage()).toEqual(['table inet rkt does not exist']);
    claim(everything('cid', 5));
    nft('flush', 'chain', 'inet', 'rkt', 'publish');
    expect(damage()).toEqual(['chain publish of table inet rkt has 0 rules, not 5']);
    nft('flush', 'ruleset');
    claim(everything('cid', 5));
    nft('add', 'rule', 'inet', 'rkt', 'forward', 'drop');
    expect(damage()).toEqual(['chain forward of table inet rkt has 11 rules, not 10']);
    nft('flush', 'ruleset');
    claim(everything('cid', 5));
    nft('flush', 'chain', 'inet', 'rkt', 'output');
    nft('add', 'rule', 'inet', 'rkt', 'output', 'accept');
    expect(damage()).toEqual(['chain output of table inet rkt has other rules than rkt made']);
    nft('delete', 'chain', 'inet', 'rkt', 'output');
    expect(damage()).toEqual(['chain output of table inet rkt does not exist']);
    nft('flush', 'ruleset');
    claim([]);
    nft('add', 'table', 'inet', 'rkt', '{ comment "another"; }');
    expect(damage()).toEqual(['table inet rkt is of another rkt: its comment is "another"']);
  });
  test('chains of subnets count when something leads to them', () => {
    claim(firewallElements(key('cid'), [ip('10.1.0.5')], 'open', ''));
    expect(damage()).toEqual(chains.map((name) => `chain ${name} of table inet rkt does not exist`));
    expect(tableDamage([])).toEqual([]);
  });
});
