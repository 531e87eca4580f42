import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { LeaseStore } from '../../../cni-plugins/host-local/store.ts';
import { plugin } from '../../../cni-plugins/host-local/plugin.ts';
import { parseRequest, perform } from '../../../src/model/cni/request.ts';
import { CniError, type AttachmentId, type CniResult } from '../../../src/model/cni/types.ts';
import { cpuMs } from '../../rig/cpu.ts';
import { useHost } from '../../rig/host.ts';
import { ask, askAtOnce, makeExecutables } from './executable.ts';

useHost();

const debian = '/usr/lib/cni/host-local';
let executables = '';
let dataDir = '';
beforeAll(() => {
  executables = makeExecutables('host-local');
});
afterAll(() => rmSync(executables, { recursive: true, force: true }));
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'rkt-leases-'));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

const slash28 = { ranges: [[{ subnet: '10.9.0.0/28' }]] };
const conf = (ipam: object = slash28, more: object = {}): string =>
  JSON.stringify({ cniVersion: '1.0.0', name: 'n1', type: 'ptp', ipam: { type: 'host-local', dataDir, ...ipam }, ...more });
const env = (command: string, id: string, ifName = 'eth0', more: object = {}) => ({
  COMMAND: command,
  CONTAINERID: id,
  NETNS: '/x',
  IFNAME: ifName,
  PATH: '/usr/lib/cni',
  ...more,
});
/** In process. */
function own(command: string, id: string, text = conf(), ifName = 'eth0', more: object = {}): CniResult | undefined {
  const full = Object.fromEntries(Object.entries(env(command, id, ifName, more)).map(([name, value]) => [`CNI_${name}`, value]));
  return perform(plugin, parseRequest(full, text), { delegate: () => undefined, note: () => undefined });
}
const add = (id: string, text = conf(), ifName = 'eth0', more: object = {}): string[] =>
  (own('ADD', id, text, ifName, more)?.ips ?? []).map(({ address }) => address);
const gc = (valid: AttachmentId[], ipam: object = slash28): CniResult | undefined =>
  own('GC', '', conf(ipam, { cniVersion: '1.1.0', 'cni.dev/valid-attachments': valid }));
const store = (): string => join(dataDir, 'n1');
/** None when the store has gone with the last of them. */
const leases = (): string[] => (existsSync(store()) ? readdirSync(store()) : []).filter((name) => /^[0-9a-f]+[.:]/.test(name)).sort();
const plant = (name: string, content: string): void => {
  mkdirSync(store(), { recursive: true });
  writeFileSync(join(store(), name), content);
};

describe("the store is the reference's", () => {
  test('names, content, last reserved address', () => {
    expect(add('c1')).toEqual(['10.9.0.2/28']);
    expect(readFileSync(join(store(), '10.9.0.2'), 'utf8')).toBe('c1\r\neth0');
    expect(readFileSync(join(store(), 'last_reserved_ip.0'), 'utf8')).toBe('10.9.0.2');
    expect(statSync(join(store(), '10.9.0.2')).mode & 0o777).toBe(0o600);
  });

  test('both alternate on one store: no address twice, each frees what the other gave', () => {
    const given: string[] = [];
    for (let i = 0; i < 13; i++) {
      const address = i % 2 === 0 ? ask(debian, env('ADD', `c${i}`), conf()).json.ips?.[0]?.address : add(`c${i}`)[0];
      given.push(address ?? 'none');
    }
    expect(new Set(given).size).toBe(13);
    expect(given).toEqual(Array.from({ length: 13 }, (_, i) => `10.9.0.${i + 2}/28`));
    expect(() => add('one-more')).toThrow('no IP addresses available in range set: 10.9.0.1-10.9.0.14');
    expect(ask(debian, env('ADD', 'one-more'), conf()).json.msg).toContain('no IP addresses available in range set: 10.9.0.1-10.9.0.14');
    for (let i = 0; i < 13; i++) {
      if (i % 2 === 0) own('DEL', `c${i}`);
      else expect(ask(debian, env('DEL', `c${i}`), conf()).status).toBe(0);
    }
    expect(leases()).toEqual([]);
  });

  test('each refuses a second ADD of what the other has given, and CHECKs it', () => {
    add('ours');
    ask(debian, env('ADD', 'theirs'), conf());
    const theirs = ask(debian, env('ADD', 'ours'), conf());
    expect(theirs.json.msg).toBe('failed to allocate for range 0: 10.9.0.2 has been allocated to ours, duplicate allocation is not allowed');
    expect(() => add('theirs')).toThrow('failed to allocate for range 0: 10.9.0.3 has been allocated to theirs, duplicate allocation is not allowed');
    expect(ask(debian, env('CHECK', 'ours'), conf()).status).toBe(0);
    own('CHECK', 'theirs');
    expect(() => own('CHECK', 'nobody')).toThrow('host-local: Failed to find address added by container nobody');
    expect(leases()).toEqual(['10.9.0.2', '10.9.0.3']);
  });

  test("the result and the error are the reference's, byte for byte of JSON", () => {
    const ipam = { ...slash28, routes: [{ dst: '0.0.0.0/0' }, { dst: '10.5.0.0/16', gw: '10.9.0.9' }], resolvConf: join(dataDir, 'resolv.conf') };
    writeFileSync(
      join(dataDir, 'resolv.conf'),
      '# c\nnameserver 10.0.0.1\nnameserver fd00::1\ndomain a.example\nsearch b.example c.example\noptions ndots:2 rotate\n; c\n',
    );
    for (const cniVersion of ['0.2.0', '0.4.0', '1.0.0']) {
      const theirs = ask(debian, env('ADD', 'x'), conf(ipam, { cniVersion }));
      ask(debian, env('DEL', 'x'), conf(ipam, { cniVersion }));
      rmSync(join(store(), 'last_reserved_ip.0'));
      const ours = ask(join(executables, 'host-local'), env('ADD', 'x'), conf(ipam, { cniVersion }));
      own('DEL', 'x', conf(ipam));
      rmSync(join(store(), 'last_reserved_ip.0'));
      expect(JSON.parse(ours.stdout), cniVersion).toEqual(JSON.parse(theirs.stdout));
      expect(theirs.status).toBe(0);
    }
  });

  test('50 processes at once get 50 addresses', async () => {
    const wide = conf({ ranges: [[{ subnet: '10.9.0.0/24' }]] });
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => askAtOnce(i % 5 === 0 ? debian : join(executables, 'host-local'), env('ADD', `c${i}`), wide)),
    );
    expect(answers.filter(({ status }) => status !== 0).map(({ stdout, stderr }) => stdout + stderr)).toEqual([]);
    expect(new Set(answers.map(({ json }) => json.ips?.[0]?.address)).size).toBe(50);
    await Promise.all(
      Array.from({ length: 50 }, (_, i) => askAtOnce(i % 3 === 0 ? debian : join(executables, 'host-local'), env('DEL', `c${i}`), wide)),
    );
    expect(leases()).toEqual([]);
  }, 60_000);
});

describe('both at once on one store, ADD and DEL, ours collecting garbage in between', () => {
  test('no address is ever held twice, and none stays', async () => {
    const narrow = conf({ ranges: [[{ subnet: '10.9.0.0/27' }]] });
    const holders = new Map<string, string>();
    const binary = (i: number): string => (i % 2 === 0 ? debian : join(executables, 'host-local'));
    /** One container after another; what it was given it holds until it is told to let go. */
    const life = async (worker: number): Promise<void> => {
      for (let round = 0; round < 6; round++) {
        const id = `w${worker}r${round}`;
        const added = await askAtOnce(binary(worker + round), env('ADD', id), narrow);
        const address = added.json.ips?.[0]?.address ?? added.stdout;
        expect(holders.get(address), `${address} for ${id}`).toBeUndefined();
        holders.set(address, id);
        if (round % 3 === 2) gc([...holders.values()].map((containerID) => ({ containerID, ifname: 'eth0' })).concat(others()));
        holders.delete(address);
        expect((await askAtOnce(binary(worker + round + (round % 2)), env('DEL', id), narrow)).status).toBe(0);
      }
    };
    // Attachments of which the test does not know yet whether they have an address: a runtime's GC excludes them by a lock (R3).
    const others = (): AttachmentId[] => Array.from({ length: 8 * 6 }, (_, i) => ({ containerID: `w${i % 8}r${Math.floor(i / 8)}`, ifname: 'eth0' }));
    await Promise.all(Array.from({ length: 8 }, (_, worker) => life(worker)));
    expect(leases()).toEqual([]);
  }, 60_000);
});

describe('a reboot', () => {
  const bootFile = (): string => join(dataDir, '.rkt-index/n1/.boot');
  /** What is there now was made in a boot that is over. */
  const reboot = (): void => {
    writeFileSync(bootFile(), '00000000-0000-0000-0000-000000000000');
    utimesSync(store(), 1e9, 1e9);
  };
  test('frees what was reserved before it, by whomever', () => {
    add('ours');
    ask(debian, env('ADD', 'theirs'), conf());
    own('CHECK', 'theirs');
    reboot();
    expect(() => own('CHECK', 'ours')).toThrow('Failed to find address');
    expect(leases()).toEqual([]);
    // Round robin goes on.
    expect(add('new')).toEqual(['10.9.0.4/28']);
    expect(readFileSync(bootFile(), 'utf8')).toBe(readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
  });
  test('but nothing that the reference, which does not know the index, has made since', () => {
    add('a');
    add('b');
    reboot();
    ask(debian, env('DEL', 'b'), conf());
    rmSync(join(store(), 'last_reserved_ip.0'));
    expect(ask(debian, env('ADD', 'new'), conf()).json.ips?.[0]?.address).toBe('10.9.0.3/28');
    // The very same attachment, reserved again: only the file is another one.
    const again = '10.9.0.5';
    plant(again, 'b\r\neth0');
    expect(add('c')).toEqual(['10.9.0.4/28']);
    expect(leases()).toEqual(['10.9.0.3', '10.9.0.4', again]);
  });
  test('an interrupted writer of the boot id says nothing', () => {
    add('a');
    writeFileSync(bootFile(), '');
    utimesSync(store(), 1e9, 1e9);
    own('CHECK', 'a');
  });
  test('what is listed since is not freed by the next look', () => {
    add('a');
    reboot();
    add('b');
    utimesSync(store(), 1e9, 1e9);
    own('CHECK', 'b');
    expect(leases()).toEqual(['10.9.0.3']);
  });
});

describe('index and seal', () => {
  const indexed = (): string[] =>
    readdirSync(join(dataDir, '.rkt-index/n1'))
      .filter((name) => name !== '.boot')
      .sort();
  test('our own changes keep the seal, those of others break it', () => {
    add('c1');
    const sealed = statSync(store()).mtimeMs;
    expect(sealed).toBeLessThan(Date.parse('2003-01-01'));
    add('c2');
    expect(statSync(store()).mtimeMs).toBe(sealed);
    expect(indexed()).toEqual(['c1:eth0', 'c2:eth0']);
    plant('10.9.0.9', 'c9\r\neth0');
    own('DEL', 'c9');
    expect(leases()).toEqual(['10.9.0.2', '10.9.0.3']);
  });
  test("a stale entry of the index frees nothing of somebody else's", () => {
    add('c1');
    ask(debian, env('DEL', 'c1'), conf());
    rmSync(join(store(), 'last_reserved_ip.0'));
    expect(ask(debian, env('ADD', 'other'), conf()).json.ips?.[0]?.address).toBe('10.9.0.2/28');
    own('DEL', 'c1');
    expect(leases()).toEqual(['10.9.0.2']);
  });
  test('without its index the store is walked', () => {
    add('c1');
    rmSync(join(dataDir, '.rkt-index'), { recursive: true });
    own('DEL', 'c1');
    expect(leases()).toEqual([]);
  });
  test('an empty file is a lease nobody made: a crash or a power loss', () => {
    plant('10.9.0.2', '');
    plant('10.9.0.3', ' \n');
    plant('10.9.0.4', '');
    for (const name of ['10.9.0.2', '10.9.0.3']) utimesSync(join(store(), name), 1e9, 1e9);
    expect(add('c1')).toEqual(['10.9.0.2/28']);
    // A young one may still be written to: the address is left alone, and looked at again.
    expect(leases()).toEqual(['10.9.0.2', '10.9.0.4']);
    utimesSync(join(store(), '10.9.0.4'), 1e9, 1e9);
    expect(add('c2')).toEqual(['10.9.0.3/28']);
    expect(leases()).toEqual(['10.9.0.2', '10.9.0.3']);
  });
  test('DEL of what is not there makes no store', () => {
    own('DEL', 'c1');
    expect(existsSync(store())).toBe(false);
  });
  test('DEL needs no ranges', () => {
    add('c1');
    own('DEL', 'c1', conf({}));
    own('DEL', 'c1', conf({}));
    expect(leases()).toEqual([]);
  });
  test('files of old versions, without interface, go when there is no exact one', () => {
    plant('10.9.0.2', 'c1');
    plant('10.9.0.3', 'c1\r\neth1');
    own('DEL', 'c1', conf(), 'eth1');
    expect(leases()).toEqual(['10.9.0.2']);
    own('DEL', 'c1', conf(), 'eth0');
    expect(leases()).toEqual([]);
  });
  test('ids longer than a file name', () => {
    const [a, b] = [`${'x'.repeat(300)}a`, `${'x'.repeat(300)}b`];
    add(a);
    add(b);
    own('DEL', a);
    expect(leases()).toEqual(['10.9.0.3']);
    own('DEL', b);
    expect(leases()).toEqual([]);
  });
});

describe('allocation', () => {
  test('round robin goes on after what was freed, wraps, and never gives the gateway', () => {
    const small = conf({ ranges: [[{ subnet: '10.9.0.0/29', rangeStart: '10.9.0.2', rangeEnd: '10.9.0.5', gateway: '10.9.0.4' }]] });
    expect(add('a', small)).toEqual(['10.9.0.2/29']);
    own('DEL', 'a', small);
    expect(add('b', small)).toEqual(['10.9.0.3/29']);
    expect(add('c', small)).toEqual(['10.9.0.5/29']);
    expect(add('d', small)).toEqual(['10.9.0.2/29']);
    own('DEL', 'b', small);
    expect(add('e', small)).toEqual(['10.9.0.3/29']);
    expect(() => add('f', small)).toThrow('no IP addresses');
  });
  test('several pools of one set, several sets, IPv6; a failing set gives back what the others gave', () => {
    const dual = conf({ ranges: [[{ subnet: '10.9.0.0/30' }, { subnet: '10.9.1.0/30' }], [{ subnet: 'FD09::/126', rangeEnd: 'fd09::2' }]] });
    expect(add('a', dual)).toEqual(['10.9.0.2/30', 'fd09::2/126']);
    expect(readFileSync(join(store(), 'fd09::2'), 'utf8')).toBe('a\r\neth0');
    expect(() => add('b', dual)).toThrow('failed to allocate for range 1: no IP addresses available in range set: fd09::1-fd09::2');
    expect(leases()).toEqual(['10.9.0.2', 'fd09::2']);
    own('DEL', 'a', dual);
    expect(add('c', dual)).toEqual(['10.9.0.2/30', 'fd09::2/126']);
  });
  test("a refused second ADD leaves the first one's addresses alone (the reference frees them)", () => {
    const two = conf({ ranges: [[{ subnet: '10.9.0.0/28' }], [{ subnet: '10.9.1.0/28' }]] });
    add('a', two);
    rmSync(join(store(), '10.9.0.2'));
    expect(() => add('a', two)).toThrow('failed to allocate for range 1: 10.9.1.2 has been allocated to a');
    expect(leases()).toEqual(['10.9.1.2']);
  });
  test('requested by CNI_ARGS, args and runtimeConfig', () => {
    expect(add('a', conf(), 'eth0', { ARGS: 'IgnoreUnknown=1;MAC=0a:00:00:00:00:01;IP=10.9.0.7' })).toEqual(['10.9.0.7/28']);
    expect(add('b', conf(slash28, { args: { cni: { ips: ['10.9.0.8/24'] } } }))).toEqual(['10.9.0.8/28']);
    expect(add('c', conf(slash28, { runtimeConfig: { ips: ['10.9.0.9'] } }))).toEqual(['10.9.0.9/28']);
    expect(() => add('d', conf(), 'eth0', { ARGS: 'IP=10.9.0.7' })).toThrow(
      'requested IP address 10.9.0.7 is not available in range set 10.9.0.1-10.9.0.14',
    );
    expect(() => add('d', conf(), 'eth0', { ARGS: 'IP=10.9.0.1' })).toThrow("requested ip 10.9.0.1 is subnet's gateway");
    expect(() => add('d', conf(), 'eth0', { ARGS: 'IP=10.8.0.1' })).toThrow('failed to allocate all requested IPs: 10.8.0.1');
    expect(() => add('d', conf(), 'eth0', { ARGS: 'IP=x' })).toThrow('cannot understand ip: "x"');
    expect(leases()).toEqual(['10.9.0.7', '10.9.0.8', '10.9.0.9']);
  });
  test('ranges of the runtime come first, the old style before the list', () => {
    const text = conf(
      { subnet: '10.9.1.0/28', ranges: [[{ subnet: '10.9.2.0/28' }]] },
      { runtimeConfig: { ipRanges: [[{ subnet: '10.9.0.0/28' }]] } },
    );
    expect(add('a', text)).toEqual(['10.9.0.2/28', '10.9.1.2/28', '10.9.2.2/28']);
  });
  test('a full range is found out from a listing, not by trying each', () => {
    for (let i = 2; i < 4096; i++) plant(`10.9.${i >> 8}.${i & 255}`, `c${i}\r\neth0`);
    const wide = conf({ ranges: [[{ subnet: '10.9.0.0/20' }]] });
    add('x', conf({ ranges: [[{ subnet: '10.10.0.0/24' }]] }));
    expect(cpuMs(() => expect(() => add('y', wide)).toThrow('no IP addresses'))).toBeLessThan(250);
  });
  test('the work of ADD and DEL does not grow with the reservations', () => {
    const wide = conf({ ranges: [[{ subnet: '10.9.0.0/16' }]] });
    const costMs = (): number => {
      const times = Array.from({ length: 30 }, (_, i) =>
        cpuMs(() => {
          add(`probe${i}`, wide);
          own('DEL', `probe${i}`, wide);
        }),
      );
      return times.sort((a, b) => a - b)[10] ?? 0;
    };
    const empty = costMs();
    for (let i = 0; i < 3000; i++) plant(`10.9.${128 + (i >> 8)}.${i & 255}`, `c${i}\r\neth0`);
    add('rebuild', wide);
    const full = costMs();
    console.log(`host-local ADD+DEL in process: ${empty.toFixed(2)} ms empty, ${full.toFixed(2)} ms with 3000 reservations`);
    expect(full).toBeLessThan(empty * 3 + 0.5);
  });
});

describe('GC and STATUS', () => {
  test('cni#1047: what is not valid goes; lock, last_reserved_ip, files without interface and foreign files stay', () => {
    add('a');
    add('b');
    ask(debian, env('ADD', 'c'), conf());
    plant('10.9.0.12', 'old');
    plant('note.txt', 'a\r\neth0');
    gc([
      { containerID: 'a', ifname: 'eth0' },
      { containerID: 'b', ifname: 'eth1' },
    ]);
    expect(leases()).toEqual(['10.9.0.12', '10.9.0.2']);
    expect(readdirSync(store())).toEqual(expect.arrayContaining(['lock', 'last_reserved_ip.0', 'note.txt']));
    gc([]);
    expect(leases()).toEqual(['10.9.0.12']);
    expect(readdirSync(join(dataDir, '.rkt-index/n1'))).toEqual(['.boot', 'old']);
  });
  test('with nothing valid and nothing reserved the store goes; a foreign file keeps its directory', () => {
    add('a');
    gc([{ containerID: 'b', ifname: 'eth0' }]);
    expect(readdirSync(store()).sort()).toEqual(['last_reserved_ip.0', 'lock']);
    plant('note.txt', '');
    gc([]);
    expect(readdirSync(store())).toEqual(['note.txt']);
    rmSync(join(store(), 'note.txt'));
    gc([]);
    expect(readdirSync(dataDir)).toEqual([]);
    expect(add('a')).toEqual(['10.9.0.2/28']);
  });
  test('a lock that somebody waits for stays, and so does the store', async () => {
    let waiting;
    let ino;
    {
      using held = LeaseStore.open(dataDir, 'n1', { create: true });
      ({ ino } = statSync(join(store(), 'lock')));
      waiting = askAtOnce(debian, env('ADD', 'theirs'), conf());
      const awaited = (): boolean =>
        readFileSync('/proc/locks', 'utf8')
          .split('\n')
          .some((line) => line.includes(' -> FLOCK') && line.includes(`:${ino} `));
      for (let tries = 0; !awaited() && tries < 1000; tries++) await new Promise((done) => setTimeout(done, 5));
      held?.removeIfEmpty();
    }
    expect((await waiting).json.ips?.[0]?.address).toBe('10.9.0.2/28');
    expect(statSync(join(store(), 'lock')).ino).toBe(ino);
    own('DEL', 'theirs');
    gc([]);
    expect(readdirSync(dataDir)).toEqual([]);
  });
  test('STATUS says when a range is full, and who has it', () => {
    const small = { ranges: [[{ subnet: '10.9.0.0/30' }]] };
    const status = (): CniResult | undefined => own('STATUS', '', conf(small, { cniVersion: '1.1.0' }));
    status();
    add('a', conf(small));
    const refusal = (() => {
      try {
        status();
      } catch (error) {
        return error;
      }
    })();
    expect(refusal).toBeInstanceOf(CniError);
    expect(refusal).toMatchObject({ cniCode: 50, message: 'no IP addresses available in range set: 10.9.0.1-10.9.0.2' });
    expect(refusal).toMatchObject({ details: 'range set 0: held are 10.9.0.2 by a (eth0)' });
    const wide = { ranges: [[{ subnet: '10.10.0.0/28' }], [{ subnet: '10.9.0.0/28' }]] };
    for (let i = 0; i < 12; i++) add(`c${i}`);
    let details = '';
    try {
      own('STATUS', '', conf(wide, { cniVersion: '1.1.0' }));
    } catch (error) {
      details = error instanceof CniError ? error.details : '';
    }
    expect(details).toMatch(/^range set 1: held are (10\.9\.0\.\d+ by \w+ \(eth0\), ){4}10\.9\.0\.\d+ by \w+ \(eth0\) and 8 more$/);
  });
});

describe('configuration', () => {
  test.each([
    [{}, 'no IP ranges specified'],
    [{ subnet: '10.9.0.0/31' }, 'Network 10.9.0.0/31 too small to allocate from'],
    [{ subnet: 'fd09::/127' }, 'Network fd09::/127 too small to allocate from'],
    [{ subnet: '10.9.0.1/24' }, 'Network has host bits set. For a subnet mask of length 24 the network address is 10.9.0.0'],
    [{ subnet: '10.9.0.0/24', rangeStart: '10.8.0.1' }, 'RangeStart 10.8.0.1 not in network 10.9.0.0/24'],
    [{ subnet: '10.9.0.0/24', rangeEnd: '10.8.0.1' }, 'RangeEnd 10.8.0.1 not in network 10.9.0.0/24'],
    [{ subnet: '10.9.0.0/24', rangeStart: '10.9.0.9', rangeEnd: '10.9.0.8' }, 'RangeStart 10.9.0.9 is after RangeEnd 10.9.0.8'],
    [{ subnet: '::ffff:10.9.0.0/120' }, 'subnet ::ffff:a09:0/120 is IPv4 written as IPv6'],
    [{ subnet: 'x' }, 'subnet must be a subnet such as 10.1.0.0/16, not "x"'],
    [{ ranges: [[]] }, 'invalid range set 0: empty range set'],
    [{ ranges: [[{ subnet: '10.9.0.0/24' }, { subnet: 'fd09::/64' }]] }, 'invalid range set 0: mixed address families'],
    [
      { ranges: [[{ subnet: '10.9.0.0/24' }, { subnet: '10.9.0.0/16' }]] },
      'invalid range set 0: subnets 10.9.0.1-10.9.0.254 and 10.9.0.1-10.9.255.254 overlap',
    ],
    [{ ranges: [[{ subnet: '10.9.0.0/24' }], [{ subnet: '10.9.0.0/16' }]] }, 'range set 0 overlaps with 1'],
    [{ ranges: [{ subnet: '10.9.0.0/24' }] }, 'ranges[0] must be a list of ranges'],
    [{ ranges: [[{ subnet: '10.9.0.0/24', gateway: 'x' }]] }, 'ranges[0][0].gateway must be an IP address, not "x"'],
    [{ subnet: '10.9.0.0/24', routes: [{ dst: 'x' }] }, 'routes[0].dst must be an address with prefix length, not "x"'],
    [{ subnet: '10.9.0.0/24', resolvConf: '/nonexistent' }, 'resolvConf /nonexistent does not exist'],
  ])('%j', (ipam, message) => {
    expect(() => add('a', conf(ipam))).toThrow(message);
    expect(existsSync(store())).toBe(false);
  });
  test('two addresses of a family need CNI 0.3.0', () => {
    expect(() => add('a', conf({ ranges: [[{ subnet: '10.9.0.0/24' }], [{ subnet: '10.8.0.0/24' }]] }, { cniVersion: '0.2.0' }))).toThrow(
      'CNI version 0.2.0 does not support more than 1 address per family',
    );
  });
  test('keys in any case', () =>
    expect(add('a', conf({ RANGES: [[{ Subnet: '10.9.0.0/24', rangestart: '10.9.0.77' }]] }))).toEqual(['10.9.0.77/24']));
});
