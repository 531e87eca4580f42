/** Published ports at planning: who has a port already, which one is chosen, what cannot be. And networks with arguments of their own. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { plain, writeLayout } from '../netns/images/image-rig.ts';
import { useHost } from '../rig/host.ts';
import { page, untilServed } from '../rig/http.ts';
import { Rkt, rktPath } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();
const sleep = ['busybox', '--exec=/bin/sleep', '--', '60'];
const show = ['busybox', '--exec=/bin/sh', '--', '-c'];
const put = (name: string, main: object, others: object[] = [], file = name): void => {
  mkdirSync(join(rkt.config, 'net.d'), { recursive: true });
  writeFileSync(join(rkt.config, `net.d/${file}.conflist`), JSON.stringify({ cniVersion: '1.1.0', name, plugins: [main, ...others] }));
};
afterEach(() => rmSync(join(rkt.config, 'net.d'), { recursive: true, force: true }));
/** `run` and `net plan` refuse alike, and nothing is left. */
function refused(flags: readonly string[], ...expected: (string | RegExp)[]): void {
  const before = rkt.podDirectories();
  for (const outcome of [rkt.run(['run', ...flags, ...sleep], { timeoutMs: 10_000 }), rkt.run(['net', 'plan', ...flags])]) {
    expect(outcome.status, outcome.stderr).toBe(254);
    for (const one of expected) expect(outcome.stderr).toMatch(one);
  }
  expect(rkt.podDirectories()).toEqual(before);
}

describe('a port that somebody has', () => {
  test('another pod, until it is removed', async () => {
    const pod = rkt.start([
      '--net=bridge',
      '--port=8080:80',
      '--port=127.0.0.1:5353:53/udp',
      'busybox',
      '--name=web',
      '--exec=/bin/sleep',
      '--',
      '60',
    ]);
    const holder = new RegExp(`is published by pod ${pod.uuid} \\(web\\)`);
    refused(['--net=bridge', '--port=8080:81'], /host port 8080\/tcp/, holder, 'ERR_NET_PORTS');
    refused(['--net=default', '--port=127.0.0.1:8080:81', '--port=5353:1/udp'], /2 ports cannot be published/, holder);
    rkt.ok('net', 'plan', '--net=bridge', '--port=8080:81/udp');
    await pod.stop('SIGKILL');
    refused(['--net=bridge', '--port=8080:81'], holder, /rkt rm/);
    rkt.ok('rm', pod.uuid);
    rkt.ok('net', 'plan', '--net=bridge', '--port=8080:81');
    // A pod that ends by itself gives its ports back, unless it was told not to.
    const once = (...flags: string[]): string => rkt.ok('run', '--net=bridge', '--port=8080:80', ...flags, 'busybox', '--exec=/bin/true');
    once();
    once('--net-release=gc');
    refused(['--net=bridge', '--port=8080:81'], /is published by pod/, /rkt rm/);
    rkt.gc();
  });

  test('a process of the host: pid and command', async () => {
    rkt.ok('fetch', 'busybox');
    const script = "require('node:net').createServer().listen(8181, '127.0.0.1', () => console.log('ready'))";
    const server = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(server.stdout, 'data');
    try {
      refused(
        ['--net=bridge', '--port=8181:80'],
        new RegExp(`host port 8181/tcp is in use by pid ${server.pid ?? 0} \\(node -e .*, which listens on 127.0.0.1`),
      );
      rkt.ok('net', 'plan', '--net=bridge', '--port=8181:80/udp');
      const words = [
        '--reuid=65534',
        '--clear-groups',
        rktPath,
        `--local-config=${rkt.config}/none`,
        'net',
        'plan',
        '--port=8181:80',
        '--net=bridge',
      ];
      expect(spawnSync('setpriv', words, { encoding: 'utf8' }).stderr).toContain('is in use by a process of user 0');
    } finally {
      const gone = once(server, 'exit');
      server.kill('SIGKILL');
      await gone;
    }
  });

  test('a server on [::1] is not in the way: no port leads from there to a pod', async () => {
    const server = createServer();
    await new Promise<void>((done) => void server.listen(8182, '::1', done));
    rkt.ok('net', 'plan', '--net=bridge', '--port=8182:80');
    await new Promise((done) => server.close(done));
  });
});

test('host port 0: chosen, printed, shown by list and status, and it leads to the pod', async () => {
  const pod = rkt.start([
    '--net=bridge',
    '--port=0:80',
    '--port=127.0.0.1:0:81-82/udp',
    ...show,
    'mkdir /w; echo chosen > /w/index.html; exec httpd -f -p 80 -h /w',
  ]);
  await expect.poll(() => pod.stderr).toMatch(/published: 127\.0\.0\.1:\d+->82\/udp\n/);
  const [, port = ''] = /published: (\d+)->80\/tcp\n/.exec(pod.stderr) ?? expect.fail(pod.stderr);
  expect(Number(port)).toBeGreaterThanOrEqual(49_152);
  const { ports } = (JSON.parse(rkt.ok('list', '--format=json')) as [{ ports: { hostPort: number; containerPort: number }[] }])[0];
  expect(ports.map(({ containerPort }) => containerPort)).toEqual([80, 81, 82]);
  expect(ports[0]?.hostPort).toBe(Number(port));
  expect(rkt.ok('list')).toMatch(new RegExp(`PORTS.*\\n.*${port}->80/tcp, 127\\.0\\.0\\.1:\\d+->81/udp`));
  expect(rkt.ok('status', pod.uuid)).toContain(`ports=${port}->80/tcp, 127.0.0.1:`);
  expect(rkt.ok('net', 'plan', '--net=bridge', '--port=0:80')).toMatch(/any address, tcp (49|5\d|6\d)\d{3} of the host -> 80 of the pod/);
  const { ip } = pod;
  await untilServed(`http://${ip}/`);
  expect(await page(`http://${ip.replace(/\.\d+$/, '.1')}:${port}/`)).toBe('chosen');
  await pod.stop('SIGKILL');
  // Nothing answers there any more.
  expect(rkt.ok('list')).toContain('exited');
  expect(rkt.ok('list')).not.toContain('->');
  expect(rkt.ok('list', '--format=json')).not.toContain('"ports"');
  rkt.gc();
});

test('a port by the name its image gives it, in the plan as in the pod', () => {
  const layout = join(rkt.config, 'layout');
  writeLayout(layout, [plain(execFileSync('tar', ['-C', '/', '-c', 'etc/hostname']))], { config: { ExposedPorts: { '80/tcp': {} }, Cmd: ['/x'] } });
  const flags = ['--net=bridge', '--port=80-tcp:127.0.0.1:8080', '--pod-name=x', '--interactive'];
  expect(rkt.run(['net', 'plan', ...flags, `oci:${layout}`]).stderr).toMatch(/is not in the store \[ERR_IMAGE_NOT_FOUND\]\nhint: rkt fetch oci:/);
  const id = rkt.ok('fetch', `oci:${layout}`).trim();
  expect(rkt.ok('net', 'plan', ...flags, id)).toContain('127.0.0.1, tcp 8080 of the host -> 80 of the pod');
  expect(rkt.run(['net', 'plan', '--port=81-tcp:1', id]).stderr).toContain('did you mean "80-tcp"?');
});

test('addresses this machine does not have, families the pod does not have, [::1]', () => {
  rkt.ok('fetch', 'busybox');
  refused(['--net=bridge', '--port=192.0.2.99:80:80', '--port=[::]:81:80'], 'no address 192.0.2.99', 'gives the pod no IPv6 address');
  refused(['--net=bridge', '--port=[::1]:80:80'], /does not route \[::1\] to a pod/);
  rkt.ok('net', 'plan', '--net=bridge', '--port=172.16.29.1:80:80');
});

describe('what ADD would refuse is refused at planning', () => {
  test.each<[string, object, object[], string[], (string | RegExp)[]]>([
    [
      'a bridge name that is too long',
      { type: 'bridge', bridge: 'sixteen-bytes-xx' },
      [],
      [],
      [/bridge "sixteen-bytes-xx" is not an interface name/],
    ],
    ['host-local without ranges', { type: 'bridge', ipam: { type: 'host-local' } }, [], [], [/plugin host-local: /]],
    [
      'an address outside of the range',
      { type: 'bridge', capabilities: { ips: true }, ipam: { type: 'host-local', subnet: '10.5.0.0/24' } },
      [],
      [':ip=10.6.0.1'],
      ['failed to allocate all requested IPs: 10.6.0.1'],
    ],
    [
      'a static address without prefix',
      { type: 'bridge', ipam: { type: 'static', addresses: [{ address: '10.5.0.1' }] } },
      [],
      [],
      [/plugin static: .*10\.5\.0\.1/],
    ],
    [
      'every plugin is asked',
      { type: 'macvlan', mode: 'x' },
      [
        { type: 'bandwidth', ingressRate: 800 },
        { type: 'tuning', dataDir: 'x' },
        { type: 'sbr', table: 'x' },
        { type: 'vrf' },
        { type: 'dnsname', domainName: '..' },
        { type: 'host-device' },
      ],
      [],
      [/7 faults/, 'unknown macvlan mode', 'burst must also be set', 'dataDir', 'plugin sbr: ', 'vrf name', 'domainName', 'specify either "device"'],
    ],
    ['ptp without addresses', { type: 'ptp' }, [], [], ['ptp needs an ipam section']],
    [
      'several at once',
      { type: 'bridge', mtu: 'big' },
      [
        { type: 'portmap', backend: 'x' },
        { type: 'firewall', ingressPolicy: 'x' },
      ],
      [],
      [/3 faults/, 'mtu must be', 'unrecognized backend', 'unknown ingress policy'],
    ],
  ])('%s', (_name, main, others, [args = ''], expected) => {
    rkt.ok('fetch', 'busybox');
    put('x', main, others);
    refused([`--net=x${args}`], 'network "x"', ...expected, 'ERR_NETCONF_INVALID');
  });
});

describe('networks with arguments', () => {
  const range = { type: 'host-local', ranges: [[{ subnet: '10.94.0.0/24' }], [{ subnet: 'fd94::/64' }]] };

  test('capability arguments: JSON with commas reaches the plugins that declare it', () => {
    put('x', { type: 'bridge', bridge: 'x0', capabilities: { ipRanges: true, mac: true, ips: true }, ipam: { type: 'host-local' } });
    const args = 'cap.ipRanges=[[{"subnet":"10.95.0.0/24","rangeStart":"10.95.0.50"}],[{"subnet":"fd95::/64"}]],mac=02:00:00:00:00:77';
    const text = rkt.ok('run', `--net=x:${args}`, ...show, 'ip -o addr show eth0; ip link show eth0');
    expect(text).toMatch(/inet 10\.95\.0\.50\/24[\s\S]*inet6 fd95::2\/64[\s\S]*02:00:00:00:00:77/);
    rkt.gc();
    refused(['--net=x:cap.bandwidth={"ingressRate":1,"ingressBurst":1}'], 'takes no cap.bandwidth=', 'declared are: ipRanges, ips, mac');
    refused(['--net=x:cap.ipRange=[]'], 'did you mean "ipRanges"?');
  });

  test.each(['bridge', 'ptp'])('%s with IPv6 alone: address asked for, default route, published port', async (type) => {
    put(
      'six',
      {
        type,
        ...(type === 'bridge' ? { bridge: 'six0', isGateway: true } : {}),
        ipMasq: true,
        capabilities: { ips: true },
        ipam: { type: 'host-local', ranges: [[{ subnet: 'fd96::/64' }]], routes: [{ dst: '::/0' }] },
      },
      [{ type: 'portmap', capabilities: { portMappings: true } }, { type: 'firewall' }],
    );
    const pod = rkt.start([
      '--net=six:ip=fd96::77',
      '--port=[fd96::1]:8080:80',
      ...show,
      'mkdir /w; ip -6 route > /w/index.html; exec httpd -f -p [::]:80 -h /w',
    ]);
    await untilServed('http://[fd96::77]/');
    expect(await page('http://[fd96::1]:8080/')).toMatch(/default via fd96::1 dev eth0/);
    expect(rkt.ok('enter', pod.uuid, '--', 'ip', '-4', '-o', 'addr', 'show', 'eth0')).toBe('');
    await pod.stop('SIGKILL');
    rkt.gc();
  });

  test('several networks: interfaces and default routes in the order of the files, in both families', () => {
    const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }];
    const second = { type: 'host-local', ranges: [[{ subnet: '10.97.0.0/24' }], [{ subnet: 'fd97::/64' }]], routes };
    put('later', { type: 'ptp', ipam: second }, [], '20-later');
    put('first', { type: 'bridge', bridge: 'first0', isGateway: true, ipam: { ...range, routes } }, [], '10-first');
    const text = rkt.ok('run', '--net=later,first', ...show, 'ip route get 192.0.2.9; ip -6 route get 2001:db8::9; ip -6 route');
    expect(text).toMatch(/^192\.0\.2\.9 via 10\.94\.0\.1 dev eth0/);
    expect(text).toMatch(/2001:db8::9 .*via fd94::1 dev eth0/);
    expect(text.split('\n').filter((line) => line.startsWith('default'))).toEqual([
      expect.stringContaining('default via fd94::1 dev eth0'),
      expect.stringMatching(/default via fd97::1 dev eth1 .*metric 1025/),
    ]);
    expect(text).not.toContain('nexthop');
    rkt.gc();
  });

  test('MTU, address and MAC of each network', () => {
    put('x', { type: 'bridge', bridge: 'x0', mtu: 1280, capabilities: { ips: true, mac: true }, ipam: range });
    const pod = rkt.start(['--net=x:ip=10.94.0.9,fd94::9,mac=02:00:00:00:00:09', 'busybox', '--exec=/bin/sleep', '--', '60']);
    const text = rkt.ok('enter', pod.uuid, '--', '/bin/sh', '-c', 'ip addr show eth0');
    expect(text).toMatch(/mtu 1280[\s\S]*02:00:00:00:00:09[\s\S]*inet 10\.94\.0\.9\/24[\s\S]*inet6 fd94::9\/64/);
    // A bridge without ports has the MTU it likes.
    expect(execFileSync('ip', ['link', 'show', 'x0'], { encoding: 'utf8' })).toContain('mtu 1280');
  });
});
