import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { plugin as bridge } from '../../../cni-plugins/bridge/plugin.ts';
import { plugin as dhcp } from '../../../cni-plugins/dhcp/plugin.ts';
import { removeNetns } from '../../../src/host/netns.ts';
import { uptimeSeconds } from '../../../src/host/clock.ts';
import type { PluginContext } from '../../../src/model/cni/plugin.ts';
import type { AttachmentId, CniResult } from '../../../src/model/cni/types.ts';
import { useHost } from '../../rig/host.ts';
import { ask, askAtOnce } from '../plugins/executable.ts';
import { globalAddresses, inNetns, ip, linkNamed, routesIn, world, type World } from '../plugins/world.ts';
import { clients, givenBy, makeBridge, removeBridge, startServer, waitFor, type DhcpServer } from './dhcp-world.ts';

useHost();
beforeAll(() => mkdirSync('/run/cni', { recursive: true }));

const dist = resolve(import.meta.dirname, '../../../dist/cni');
const options = ['opt subnet 255.255.255.0', 'opt router 10.44.0.1', 'opt lease 3600'];
const conf = { bridge: 'lan0', ipam: { type: 'dhcp', timeoutMs: 4_000 } };
const dir = '/run/cni/dhcp';
const filesOf = (id: string): string => `${dir}/net1/${id}:eth0`;

let server: DhcpServer | undefined;
const worlds: World[] = [];
/** A pod's namespace, whose bridge plugin is given our dhcp as IPAM. */
function pod(id: string): World & { readonly lives: PluginContext } {
  const one = world(id, { cniVersion: '' });
  worlds.push(one);
  const lives: PluginContext = {
    ...one.ctx,
    delegate: (_type, command, req) => {
      one.heard.push(command);
      if (command === 'ADD') return dhcp.add({ ...req, command }, one.ctx);
      if (command === 'DEL') dhcp.del(req, one.ctx);
      if (command === 'CHECK') dhcp.check(req, one.ctx);
      if (command === 'GC') dhcp.gc(req, one.ctx);
      return undefined;
    },
  };
  return { ...one, lives };
}
const add = (one: ReturnType<typeof pod>, more: object = {}): CniResult => bridge.add(one.request('ADD', { ...conf, ...more }), one.lives);
const del = (one: ReturnType<typeof pod>, more: object = {}): void => bridge.del(one.request('DEL', conf, more), one.lives);
const check = (one: ReturnType<typeof pod>, result: CniResult): void => bridge.check(one.request('CHECK', conf, { prevResult: result }), one.lives);
const gc = (one: ReturnType<typeof pod>, valid: AttachmentId[]): void =>
  bridge.gc(one.request('GC', conf, { containerId: '', netns: '', ifName: '', validAttachments: valid }), one.lives);
const clientOf = (id: string): number | undefined => clients().find(({ args }) => args.includes(`${filesOf(id)}/pid`))?.pid;
const addressOf = (result: CniResult): string => result.ips?.[0]?.address.split('/')[0] ?? '';

function serve(lines: readonly string[] = options, range?: readonly [string, string]): DhcpServer {
  makeBridge('lan0');
  server = startServer('lan0', lines, range);
  return server;
}
afterEach(() => {
  server?.stop();
  server = undefined;
  for (const one of worlds.splice(0)) removeNetns(one.netns);
  if (linkNamed('lan0') !== undefined) removeBridge('lan0');
});

// After the residue checks: what a failed test left ends with the file.
afterAll(() => clients().forEach(({ pid }) => process.kill(pid, 'SIGKILL')));

describe('the life of a lease', () => {
  test('ADD: address, gateway, route; CHECK; DEL ends the client and gives the lease back', () => {
    serve([...options, 'opt dns 10.44.0.53']);
    const one = pod('pod1');
    const result = add(one);
    const address = addressOf(result);
    expect(address).toMatch(/^10\.44\.0\.\d+$/);
    expect(result).toMatchObject({
      ips: [{ address: `${address}/24`, gateway: '10.44.0.1', interface: 2 }],
      routes: [{ dst: '0.0.0.0/0', gw: '10.44.0.1' }],
    });
    expect(result.dns).toBeUndefined();
    expect(one.notes).toEqual([{ what: 'dns', detail: expect.stringContaining('10.44.0.53') as string }]);
    expect(globalAddresses(linkNamed('eth0', one.netns))).toEqual([`${address}/24`]);
    expect(routesIn(one.netns)).toEqual([`10.44.0.0/24 dev eth0 proto kernel scope link src ${address}`, 'default via 10.44.0.1 dev eth0']);
    expect(inNetns(one.netns, 'busybox', 'ping', '-c1', '-W1', '10.44.0.1')).toContain('1 packets received');
    expect(server?.log()).toContain(`sending ACK to ${address}`);
    expect(givenBy(server ?? serve())[address]).toMatch(/^(01:00:00|00:59:\d\d)$/);
    check(one, result);

    const pid = clientOf('pod1') ?? 0;
    expect(readFileSync(`${filesOf('pod1')}/pid`, 'utf8').trim()).toBe(`${pid}`);
    expect(execFileSync('readlink', [`/proc/${pid}/cwd`], { encoding: 'utf8' }).trim()).toBe('/');
    del(one, { prevResult: result });
    expect(clients()).toEqual([]);
    expect(existsSync(dir)).toBe(false);
    expect(linkNamed('eth0', one.netns)).toBeUndefined();
    expect(waitFor(() => givenBy(server ?? serve())[address] === 'expired')).toBe(true);
    del(one);
  });

  test('a client whose interface is gone makes room for the next of its attachment, which says the same identifier', () => {
    serve();
    const one = pod('pod1');
    add(one);
    const [mac, client] = [linkNamed('eth0', one.netns)?.address, clientOf('pod1')];
    inNetns(one.netns, 'ip', 'link', 'del', 'eth0');
    add(one);
    expect(linkNamed('eth0', one.netns)?.address).not.toBe(mac);
    expect(clients()).toHaveLength(1);
    expect(clientOf('pod1')).not.toBe(client);
    expect(clients()[0]?.args).toContain(`0x3d:${Buffer.from('\0pod1/net1/eth0').toString('hex')}`);
    del(one);
  });

  test('options 121 and 33; what is asked for and sent', () => {
    serve([...options, 'opt staticroutes 10.5.0.0/16 10.44.0.9, 10.6.0.0/16 0.0.0.0', 'opt routes 192.168.9.0 10.44.0.8']);
    const one = pod('pod1');
    const result = add(one, { ipam: { ...conf.ipam, priority: 5, provide: [{ option: 'host-name', value: 'web' }], request: [{ option: '42' }] } });
    expect(result.routes).toEqual([
      { dst: '10.5.0.0/16', gw: '10.44.0.9', priority: 5 },
      { dst: '10.6.0.0/16', gw: '0.0.0.0', priority: 5 },
    ]);
    expect(routesIn(one.netns)).toEqual([
      expect.stringMatching(/^10\.44\.0\.0\/24 /) as string,
      '10.5.0.0/16 via 10.44.0.9 dev eth0 metric 5',
      '10.6.0.0/16 dev eth0 scope link metric 5',
    ]);
    check(one, result);
    expect(clients()[0]?.args.join(' ')).toContain('-O 1 -O 3 -O 33 -O 42 -O 121 -x 0x3d:');
    server?.writeLeases();
    expect(execFileSync('busybox', ['dumpleases', '-f', server?.leases ?? ''], { encoding: 'utf8' })).toContain(' web ');
    del(one);
  });
  test('option 33 and the default route', () => {
    serve([...options, 'opt routes 192.168.9.0 10.44.0.8']);
    const one = pod('pod1');
    expect(add(one).routes).toEqual([
      { dst: '192.168.9.0/24', gw: '10.44.0.8' },
      { dst: '0.0.0.0/0', gw: '10.44.0.1' },
    ]);
    del(one);
  });

  test('renewing limits the life of the address to the lease, and of none that was taken away', () => {
    serve([...options.slice(0, 2), 'opt lease 600']);
    const one = pod('pod1');
    const result = add(one);
    const lifetime = (): string => /valid_lft (\S+)/.exec(inNetns(one.netns, 'ip', '-4', 'addr', 'show', 'eth0'))?.[1] ?? '';
    const renew = (): void => {
      const before = readFileSync(`${filesOf('pod1')}/lease`, 'utf8');
      process.kill(clientOf('pod1') ?? 0, 'SIGUSR1');
      expect(waitFor(() => readFileSync(`${filesOf('pod1')}/lease`, 'utf8') !== before)).toBe(true);
    };
    expect(lifetime()).toBe('forever');
    renew();
    expect(waitFor(() => /^(600|59\d)sec$/.test(lifetime()))).toBe(true);
    check(one, result);
    inNetns(one.netns, 'ip', 'addr', 'flush', 'dev', 'eth0');
    renew();
    expect(lifetime()).toBe('');
    del(one);
  });

  test('a lease that is over: link down, client ended, CHECK says so, DEL still works', () => {
    serve();
    const one = pod('pod1');
    const result = add(one);
    // What makes the client call its script as the end of a lease does, which takes 16 s at least.
    process.kill(clientOf('pod1') ?? 0, 'SIGUSR2');
    expect(waitFor(() => clientOf('pod1') === undefined)).toBe(true);
    expect(linkNamed('eth0', one.netns)?.flags).not.toContain('UP');
    expect(() => dhcp.check(one.request('CHECK', conf, { prevResult: result }), one.ctx)).toThrow('the DHCP lease of eth0 was lost');
    del(one);
    expect(existsSync(dir)).toBe(false);
  });
});

describe('no lease', () => {
  test('no server: a clear error after the time that was set, and nothing left', () => {
    makeBridge('lan0');
    const one = pod('pod1');
    const started = performance.now();
    expect(() => add(one, { ipam: { type: 'dhcp', timeoutMs: 2_000 } })).toThrow(
      expect.objectContaining({ cniCode: 100, message: 'no DHCP server answered on eth0 within 2 s' }),
    );
    expect(performance.now() - started).toBeLessThan(4_000);
    expect(clients()).toEqual([]);
    expect(existsSync(dir)).toBe(false);
    expect(linkNamed('eth0', one.netns)).toBeUndefined();
  });
  test('no interface, no namespace: said before a client is started', () => {
    const one = pod('pod1');
    expect(() => dhcp.add(one.request('ADD', conf), one.ctx)).toThrow('no interface eth0 in /run/netns/pod1 to ask a DHCP server through');
    expect(() => dhcp.add(one.request('ADD', conf, { netns: '/run/netns/none' }), one.ctx)).toThrow('no network namespace at /run/netns/none');
    expect(existsSync(dir)).toBe(false);
  });
  test('a server that sends no mask', () => {
    serve(['opt router 10.44.0.1']);
    const one = pod('pod1');
    expect(() => add(one)).toThrow('DHCP option Subnet Mask not found in DHCPACK');
    expect(clients()).toEqual([]);
    expect(existsSync(dir)).toBe(false);
  });
  test('the range is used up', () => {
    serve(options, ['10.44.0.10', '10.44.0.10']);
    const [one, two] = [pod('pod1'), pod('pod2')];
    add(one);
    expect(() => add(two, { ipam: { type: 'dhcp', timeoutMs: 2_000 } })).toThrow('no DHCP server answered');
    expect(clients()).toHaveLength(1);
    del(one);
    expect(add(two).ips?.[0]?.address).toBe('10.44.0.10/24');
    del(two);
  });
});

describe('what may have gone wrong before DEL, CHECK and GC', () => {
  test('the client was killed, the namespace is gone, the link is gone, the pid file is gone or another process has that pid', () => {
    serve();
    const pods = ['dead', 'nons', 'nolink', 'nopid', 'reused'].map((id) => [id, pod(id)] as const);
    for (const [, one] of pods) add(one);
    expect(clients()).toHaveLength(5);
    process.kill(clientOf('dead') ?? 0, 'SIGKILL');
    const [, , , , reused] = pods;
    const innocent = execFileSync('sh', ['-c', 'sleep 60 >/dev/null 2>&1 & echo $!'], { encoding: 'utf8' }).trim();
    for (const [id, one] of pods) {
      if (id === 'nons') removeNetns(one.netns);
      if (id === 'nolink') inNetns(one.netns, 'ip', 'link', 'del', 'eth0');
      if (id === 'nopid') unlinkSync(`${filesOf(id)}/pid`);
    }
    process.kill(clientOf('reused') ?? 0, 'SIGKILL');
    writeFileSync(`${filesOf('reused')}/pid`, `${innocent}\n`);
    for (const [id, one] of pods) {
      if (id === 'dead') expect(() => dhcp.check(one.request('CHECK', conf), one.ctx)).toThrow('the DHCP client of eth0 is not running');
      if (id === 'reused') expect(() => dhcp.check(one.request('CHECK', conf), one.ctx)).toThrow('is not running');
      del(one, id === 'nons' ? { netns: '' } : {});
    }
    expect(clients()).toEqual([]);
    expect(existsSync(`/proc/${innocent}`)).toBe(true);
    process.kill(Number(innocent), 'SIGKILL');
    expect(existsSync(dir)).toBe(false);
    expect(reused?.[1].heard).toEqual(['ADD', 'DEL']);
  });

  test('ids longer than a file name', () => {
    serve();
    const one = pod('pod1');
    const containerId = 'x'.repeat(300);
    const request = (command: 'ADD' | 'DEL' | 'CHECK') => one.request(command, conf, { containerId });
    bridge.add(request('ADD'), one.lives);
    dhcp.check(request('CHECK'), one.ctx);
    gc(one, [{ containerID: containerId, ifname: 'eth0' }]);
    expect(clients()).toHaveLength(1);
    bridge.del(request('DEL'), one.lives);
    expect(clients()).toEqual([]);
    expect(existsSync(dir)).toBe(false);
  });

  test('CHECK: another namespace, an expired lease', () => {
    serve();
    const [one, two] = [pod('pod1'), pod('pod2')];
    add(one);
    expect(() => dhcp.check(one.request('CHECK', conf, { netns: two.netns }), one.ctx)).toThrow('runs in another namespace than /run/netns/pod2');
    const lease = readFileSync(`${filesOf('pod1')}/lease`, 'utf8');
    writeFileSync(`${filesOf('pod1')}/lease`, lease.replace(/uptime=.*/, `uptime=${uptimeSeconds() - 3601}`));
    expect(() => dhcp.check(one.request('CHECK', conf), one.ctx)).toThrow(/the DHCP lease of eth0 on 10\.44\.0\.\d+ has expired/);
    del(one);
  });

  test('GC ends the clients of attachments that are not valid, and of records that are incomplete; an empty list ends all', () => {
    serve();
    const [a, b, c] = [pod('a'), pod('b'), pod('c')];
    for (const one of [a, b, c]) add(one);
    const addresses = ['a', 'b', 'c'].map((id) => /ip=(.*)/.exec(readFileSync(`${filesOf(id)}/lease`, 'utf8'))?.[1] ?? '');
    mkdirSync(`${dir}/net1/half:eth0`);
    mkdirSync(`${dir}/other/x:eth0`, { recursive: true });
    gc(a, [
      { containerID: 'b', ifname: 'eth0' },
      { containerID: 'c', ifname: 'eth1' },
    ]);
    expect(['a', 'b', 'c'].map((id) => clientOf(id) !== undefined)).toEqual([false, true, false]);
    expect(existsSync(`${dir}/net1/half:eth0`)).toBe(false);
    expect(existsSync(`${dir}/other/x:eth0`)).toBe(true);
    rmSync(`${dir}/other`, { recursive: true });
    // Given back before their links went.
    expect(waitFor(() => [0, 2].every((i) => givenBy(server ?? serve())[addresses[i] ?? ''] === 'expired'))).toBe(true);
    expect(linkNamed('eth0', a.netns)).toBeUndefined();
    expect(linkNamed('eth0', b.netns)).toBeDefined();
    gc(a, []);
    expect(clients()).toEqual([]);
    expect(existsSync(dir)).toBe(false);
  });

  test('a client whose record is gone ends itself at its first event', () => {
    makeBridge('lan0');
    const one = pod('pod1');
    ip('link', 'add', 'eth0', 'netns', 'pod1', 'type', 'veth', 'peer', 'name', 'h0');
    mkdirSync(`${dir}/net1`, { recursive: true });
    inNetns(one.netns, 'ip', 'link', 'set', 'eth0', 'up');
    inNetns(
      one.netns,
      'sh',
      '-c',
      `RKT_DHCP_DIR=${filesOf('pod1')} exec timeout 10 busybox udhcpc -f -R -i eth0 -s ${dist}/../dhcp/lease-event -p ${filesOf('pod1')}/pid 2>/dev/null`,
    );
    expect(clients()).toEqual([]);
    rmSync(dir, { recursive: true });
  });
});

describe('as executables', () => {
  const text = JSON.stringify({ cniVersion: '1.1.0', name: 'net1', type: 'bridge', ...conf });
  const env = (command: string, id: string) => ({ COMMAND: command, CONTAINERID: id, NETNS: `/run/netns/${id}`, IFNAME: 'eth0', PATH: dist });
  test('what a server says when it refuses is in the error, in printable characters', async () => {
    makeBridge('lan0');
    const one = pod('pod1');
    const failing = askAtOnce(`${dist}/bridge`, env('ADD', 'pod1'), text.replace('4000', '2000'));
    for (let tries = 0; clientOf('pod1') === undefined && tries < 200; tries++) await new Promise((done) => setTimeout(done, 10));
    execFileSync(`${dist}/../dhcp/lease-event`, ['nak'], {
      env: { PATH: process.env['PATH'], RKT_DHCP_DIR: filesOf('pod1'), message: 'wrong \u001b[31maddress\n' },
    });
    expect((await failing).json).toMatchObject({ code: 100, msg: 'the DHCP server refused a lease on eth0: wrong [31maddress' });
    expect(linkNamed('eth0', one.netns)).toBeUndefined();
  });
  test('several at once, each with its own client; DEL at once too', async () => {
    serve();
    const ids = ['p1', 'p2', 'p3', 'p4'];
    ids.forEach(pod);
    const answers = await Promise.all(ids.map((id) => askAtOnce(`${dist}/bridge`, env('ADD', id), text)));
    expect(answers.map(({ status, stdout }) => (status === 0 ? '' : stdout))).toEqual(['', '', '', '']);
    expect(new Set(answers.map(({ json }) => json.ips?.[0]?.address)).size).toBe(4);
    expect(clients()).toHaveLength(4);
    expect(ask(`${dist}/dhcp`, env('CHECK', 'p1'), text).stdout).toBe('');
    expect(ask(`${dist}/dhcp`, env('STATUS', 'p1'), text).stdout).toBe('');
    const ends = await Promise.all([...ids, ...ids].map((id) => askAtOnce(`${dist}/bridge`, env('DEL', id), text)));
    expect(ends.map(({ status, stdout }) => (status === 0 ? '' : stdout)).join('')).toBe('');
    expect(clients()).toEqual([]);
    expect(existsSync(dir)).toBe(false);
  });
});
