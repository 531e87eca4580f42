/** The workbench: what a person with only these commands learns about a network. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { useHost } from '../rig/host.ts';
import { page, untilServed } from '../rig/http.ts';
import { dist, Rkt, type RunningPod } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();
const netd = (): string => join(rkt.config, 'net.d');
afterEach(() => rmSync(netd(), { recursive: true, force: true }));

const sh = (command: string): string => execFileSync('sh', ['-c', command], { encoding: 'utf8' });
const put = (directory: string, name: string, content: object): void => {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, name), JSON.stringify(content));
};
const web = (...flags: string[]): RunningPod =>
  rkt.start([...flags, 'busybox', '--exec=/bin/sh', '--', '-c', 'mkdir -p /www && echo web > /www/index.html && exec httpd -f -p 80 -h /www']);
/** The part of an explanation that says what is wrong. */
const findings = (pod: RunningPod): string => rkt.ok('net', 'explain', pod.uuid).split('\nfindings\n')[1] ?? expect.fail('no findings');
const status = (...args: string[]) => {
  const { status: code, stdout, stderr } = rkt.run(args);
  return { code, text: stdout + stderr };
};

describe('net check and net explain', () => {
  test('a pod that is well: CHECK passed, no difference, every call of every plugin, everything that is its own', async () => {
    const pod = web('--net=bridge,default', '--port=8080:80');
    await untilServed(`http://${pod.ip}/`);
    expect(status('net', 'check', pod.uuid.slice(0, 8))).toEqual({
      code: 0,
      text: expect.stringMatching(
        /^eth0 = network "bridge": CHECK passed \(bridge, portmap, firewall\)\n {2}everything is as it was made\neth1 = network "default": CHECK passed/,
      ) as string,
    });
    const text = rkt.ok('net', 'explain', pod.uuid);
    for (const plugin of ['host-local', 'bridge', 'portmap', 'firewall'])
      expect(text).toMatch(new RegExp(`ADD ${plugin} of "bridge": ok, [0-9.]+ ms, built in`));
    expect(text).toContain('CHECK ptp of "default": ok');
    expect(text).toContain(`ports4 { tcp . 8080 : ${pod.ip} . 80 }`);
    expect(text).toContain(`lease        ${''}`.trim());
    expect(text).toContain('listens');
    expect(text).toMatch(/port of rkt0/);
    expect(text).toContain('note: sysctl: net.ipv4.conf.rkt0.route_localnet 0 -> 1');
    expect(findings(pod)).toContain('none');
    expect(text).not.toContain('"dst": "0.0.0.0/0" }]\n');
    const raw = rkt.ok('net', 'explain', '--raw', pod.uuid);
    const json = JSON.parse(rkt.ok('net', 'explain', pod.uuid, '--format=json')) as {
      calls: { verb: string; env: Record<string, string>; stdin: string }[];
    };
    const add = json.calls.find(({ verb, env }) => verb === 'ADD' && env['CNI_IFNAME'] === 'eth0') ?? expect.fail('no call');
    expect(add.env).toMatchObject({ CNI_CONTAINERID: pod.uuid, CNI_COMMAND: 'ADD' });
    for (const line of add.stdin.trimEnd().split('\n')) expect(raw).toContain(line);
    await pod.stop();
    expect(findings(pod)).toContain('the pod is exited');
    rkt.gc();
  });

  test('forwarding is off: said, with its effect and its cure', async () => {
    const pod = web('--net=bridge', '--port=8080:80');
    writeFileSync('/proc/sys/net/ipv4/ip_forward', '0');
    expect(status('net', 'check', pod.uuid)).toEqual({ code: 1, text: expect.stringContaining('changed: net.ipv4.ip_forward was 1 is 0') as string });
    expect(findings(pod)).toMatch(
      /ip_forward was 1 is 0\n +so: .*published ports answer only on the host itself.*\n +cure: rkt net repair, or sysctl -w net.ipv4.ip_forward=1/,
    );
    writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
    expect(status('net', 'check', pod.uuid).code).toBe(0);
    await pod.stop();
    rkt.gc();
  });

  test('the table was flushed, its rules, one of its sets, the whole of it: each is seen', async () => {
    const pod = web('--net=bridge', '--port=8080:80');
    sh('nft flush map inet rkt ports4');
    expect(status('net', 'check', pod.uuid)).toEqual({
      code: 1,
      text: expect.stringMatching(/missing: nftables element ports4 \{ tcp \. 8080 : [0-9.]+ \. 80 \} of table inet rkt\n$/) as string,
    });
    expect(findings(pod)).toContain('the published port is not led to the pod');
    // CHECK of the plugins asks for elements only, which are all there.
    sh(`nft add element inet rkt ports4 '{ tcp . 8080 comment "bridge/${pod.uuid}/eth0" : ${pod.ip} . 80 }'`);
    expect(status('net', 'check', pod.uuid).code).toBe(0);
    sh('nft flush table inet rkt');
    const flushed = status('net', 'check', pod.uuid);
    expect(flushed.code).toBe(1);
    expect(flushed.text).toMatch(/CHECK passed[^]*missing: nftables: chain publish of table inet rkt has 0 rules, not 5;/);
    sh('nft flush ruleset');
    expect(findings(pod)).toMatch(
      /table inet rkt does not exist, and with it the rules of every pod\n +so: .*published ports.*\n +cure: rkt net repair/,
    );
    await pod.stop();
    rkt.gc();
  });

  test('an address of a wrong subnet: changed by somebody, or wrong from the start', async () => {
    const pod = web('--net=bridge', '--port=8080:80');
    sh(`ip -n rkt-${pod.uuid} addr add 10.9.9.9/24 dev eth0; ip -n rkt-${pod.uuid} addr del ${pod.ip}/24 dev eth0`);
    expect(status('net', 'check', pod.uuid)).toEqual({
      code: 1,
      text: expect.stringContaining(`changed: address of eth0 in the pod was ${pod.ip}/24 is 10.9.9.9/24`) as string,
    });
    expect(findings(pod)).toMatch(/so: +nothing sent to [0-9.]+ is answered/);
    await pod.stop();
    // The bridge is there with another network's address; this pod's has no way to it.
    put(netd(), '20-odd.conflist', {
      cniVersion: '1.0.0',
      name: 'odd',
      plugins: [
        { type: 'bridge', bridge: 'rkt0', ipam: { type: 'host-local', subnet: '10.66.0.0/24' } },
        { type: 'portmap', capabilities: { portMappings: true } },
      ],
    });
    sh('ip addr add 192.0.2.1/32 dev lo');
    const odd = web('--net=odd', '--port=192.0.2.1:8081:80');
    expect(status('net', 'check', odd.uuid).text).toContain('CHECK passed');
    expect(findings(odd)).toMatch(
      /the host's way to 10\.66\.0\.2 was through rkt0 is none \(no route\)\n +so: +the host sends what is for the pod, published ports included, somewhere else/,
    );
    await odd.stop();
    sh('ip addr del 192.0.2.1/32 dev lo');
    rkt.gc();
  });

  test('a chain of somebody else that drops what is forwarded, as Docker makes it', async () => {
    const pod = web('--net=bridge', '--port=8080:80');
    await untilServed(`http://${pod.ip}/`);
    sh(
      "nft add table ip filter; nft add chain ip filter FORWARD '{ type filter hook forward priority 0; policy drop; }'; nft add rule ip filter FORWARD iifname docker0 accept",
    );
    expect(findings(pod)).toMatch(
      /chain ip filter FORWARD drops what none of its rules accepts[^]*cure: .*nft insert rule ip filter FORWARD ip daddr 172\.16\.29\.0\/24 accept/,
    );
    expect(status('net', 'check', pod.uuid).code).toBe(0);
    expect(rkt.ok('net', 'repair', pod.uuid)).toContain('put back: rules in chain FORWARD of iptables');
    expect(findings(pod)).toContain('none: everything');
    for (const rule of [`ip daddr ${pod.ip} accept`, 'ip saddr 172.16.29.0/24 accept', 'oifname rkt0 accept']) {
      sh(`nft flush chain ip filter FORWARD; nft add rule ip filter FORWARD ${rule}`);
      expect(findings(pod), rule).toContain('none: everything');
    }
    sh(
      "nft flush chain ip filter FORWARD; nft add chain ip filter FORWARD '{ policy accept; }'; nft add chain ip filter INPUT '{ type filter hook input priority 0; policy drop; }'",
    );
    expect(findings(pod)).toContain('none: everything');
    sh('nft delete table ip filter');
    await pod.stop();
    rkt.gc();
  });

  test('nothing listens, or only on loopback', async () => {
    const pod = rkt.start(['--net=bridge', '--port=8080:80', 'busybox', '--exec=/bin/sh', '--', '-c', 'exec httpd -f -p 127.0.0.1:80 -h /']);
    await expect.poll(() => findings(pod)).toContain('the pod listens on tcp 80 only at 127.0.0.1');
    await pod.stop();
    rkt.gc();
    const quiet = rkt.start(['--net=bridge', '--port=8080:80', 'busybox', '--exec=/bin/sleep', '--', '60']);
    expect(findings(quiet)).toContain('nothing in the pod listens on tcp 80');
    await quiet.stop();
    rkt.gc();
  });

  test('links, routes, bridge, lease and cache entry: line by line', async () => {
    const pod = web('--net=bridge');
    sh(`ip -n rkt-${pod.uuid} route del default`);
    sh('ip addr flush dev rkt0 scope global');
    rmSync(`/var/lib/cni/networks/bridge/${pod.ip}`);
    rmSync(`/var/lib/cni/results/bridge-${pod.uuid}-eth0`);
    const lines = status('net', 'check', pod.uuid).text;
    for (const line of [
      'missing: route to 0.0.0.0/0 via 172.16.29.1 in the pod',
      'missing: gateway address 172.16.29.1 on rkt0',
      `changed: the host's way to ${pod.ip} was through rkt0 is none (no route)`,
      `missing: lease of ${pod.ip} in host-local's store of network "bridge"`,
      `missing: libcni cache entry of bridge/${pod.uuid}/eth0`,
    ])
      expect(lines).toContain(line);
    sh('ip link set rkt0 down');
    expect(status('net', 'check', pod.uuid).text).toContain('changed: bridge rkt0 was up is down');
    sh(`ip -n rkt-${pod.uuid} link set eth0 down; for veth in $(ls /sys/class/net/rkt0/brif); do ip link set $veth nomaster; done`);
    expect(status('net', 'check', pod.uuid).text).toMatch(/interface eth0 in the pod was up is down[^]*bridge of host end veth\w+ was rkt0 is none/);
    sh(`ip -n rkt-${pod.uuid} link del eth0`);
    expect(status('net', 'check', pod.uuid).text).toMatch(/missing: interface eth0 in the pod\n[^]*missing: host end veth\w+ of eth0/);
    await pod.stop();
    rkt.gc();
  });

  test('disableCheck and versions without CHECK are said, and the comparison is made all the same', async () => {
    const plugin = { type: 'ptp', ipam: { type: 'host-local', subnet: '10.67.0.0/24' } };
    put(netd(), '20-quiet.conflist', { cniVersion: '1.0.0', name: 'quiet', disableCheck: 'true', plugins: [plugin] });
    put(netd(), '21-old.conflist', {
      cniVersion: '0.3.1',
      name: 'old',
      plugins: [{ ...plugin, ipam: { type: 'host-local', subnet: '10.68.0.0/24' } }],
    });
    const pod = web('--net=quiet,old');
    const { code, text } = status('net', 'check', pod.uuid);
    expect([code, text]).toEqual([
      0,
      expect.stringMatching(/CHECK not sent: the list says disableCheck[^]*CHECK not sent: its CNI version has no CHECK/),
    ]);
    writeFileSync('/proc/sys/net/ipv4/ip_forward', '0');
    expect(status('net', 'check', pod.uuid).code).toBe(1);
    await pod.stop();
    rkt.gc();
  });
});

describe('net status', () => {
  test('ready; exhausted with its code; versions without STATUS are said; a list that cannot be used', async () => {
    expect(status('net', 'status')).toEqual({
      code: 0,
      text: expect.stringMatching(/^bridge: ready \(CNI 1\.1\.0\)\n {2}bridge +ready\n/) as string,
    });
    put(netd(), '20-tiny.conflist', {
      cniVersion: '1.1.0',
      name: 'tiny',
      plugins: [{ type: 'bridge', bridge: 'tiny0', ipam: { type: 'host-local', subnet: '10.69.0.0/30' } }],
    });
    const pod = rkt.start(['--net=tiny', 'busybox', '--exec=/bin/sleep', '--', '60']);
    const full = status('net', 'status', 'tiny');
    expect(full.code).toBe(1);
    expect(full.text).toMatch(/tiny: not ready[^]*code 50 \(no pod can join now\): .*10\.69\.0/);
    await pod.stop();
    rkt.gc();
    expect(status('net', 'status', 'tiny').code).toBe(0);
    put(netd(), '21-gone.conflist', { cniVersion: '1.0.0', name: 'gone', plugins: [{ type: 'nobody-has-this' }] });
    expect(status('net', 'status', 'gone')).toEqual({ code: 1, text: expect.stringContaining('plugin "nobody-has-this"') as string });
    const debian = rkt.run(['net', 'status', 'bridge'], { env: { CNI_PATH: '/usr/lib/cni' } });
    expect([debian.status, debian.stdout]).toEqual([0, expect.stringContaining('not asked: CNI 1.0.0 has no STATUS')]);
  });
});

describe('net inspect', () => {
  test('the effective list: drop-ins, versions, where plugins are, who holds what', async () => {
    put(netd(), '10-mine.conflist', {
      cniVersion: '0.4.0',
      cniVersions: ['1.0.0', '1.1.0'],
      name: 'mine',
      disableCheck: true,
      plugins: [{ type: 'bridge', bridge: 'mine0', isGateway: true, ipam: { type: 'host-local', subnet: '10.70.0.0/24' } }],
    });
    put(join(netd(), 'mine'), '50-extra.conf', { type: 'tuning', capabilities: { mac: true } });
    const pod = rkt.start(['--net=bridge', 'busybox', '--exec=/bin/sleep', '--', '60']);
    const text = rkt.ok('net', 'inspect', 'mine');
    expect(text).toContain(join(netd(), 'mine/50-extra.conf'));
    expect(text).toMatch(/CNI +1\.[01]\.0 of 0\.4\.0, 1\.0\.0, 1\.1\.0/);
    expect(text).toMatch(/tuning +\S.* +0\.1\.0 to 1\.[01]\.0 +mac/);
    expect(text).toContain('disableCheck');
    expect(text).toContain('mine0, made with the first pod');
    expect(text).toContain('nobody is attached');
    const used = JSON.parse(rkt.ok('net', 'inspect', 'bridge', '--format=json')) as {
      attachments: { containerId: string }[];
      objects: { kind: string; holder: string }[];
      bridge: { exists: boolean; ports: string[] };
      subnets: { leases: number }[];
    };
    expect(used.attachments).toEqual([expect.objectContaining({ containerId: pod.uuid })]);
    expect(new Set(used.objects.map(({ kind }) => kind))).toEqual(new Set(['lease', 'link', 'rule', 'cache']));
    for (const { holder } of used.objects) expect(holder).toBe(`pod ${pod.uuid} (running)`);
    expect([used.bridge.exists, used.bridge.ports.length, used.subnets]).toEqual([true, 1, [{ subnet: '172.16.29.0/24', leases: 1 }]]);
    await pod.stop();
    rkt.gc();
    put(netd(), '21-gone.conflist', { cniVersion: '1.0.0', name: 'gone', plugins: [{ type: 'nobody-has-this' }] });
    expect(status('net', 'inspect', 'gone')).toEqual({
      code: 1,
      text: expect.stringMatching(/problem +plugin "nobody-has-this"[^]*NOT FOUND/) as string,
    });
  });
});

test('plugins are asked for their versions once, whatever command asks; net plan keeps nothing', () => {
  const count = join(rkt.config, 'count');
  const answer = (versions: string): void => {
    mkdirSync(netd(), { recursive: true });
    const script = `#!/bin/sh\necho "$CNI_COMMAND" >> ${count}\necho '{"cniVersion":"1.0.0","supportedVersions":[${versions}]}'\n`;
    writeFileSync(join(netd(), 'counter'), script, { mode: 0o755 });
  };
  answer('"0.4.0","1.0.0"');
  put(netd(), '10-counted.conflist', { cniVersion: '0.4.0', cniVersions: ['1.0.0', '1.1.0'], name: 'counted', plugins: [{ type: 'counter' }] });
  const asked = (): number => readFileSync(count, 'utf8').length / 'VERSION\n'.length;
  const kept = join(rkt.dataDir, 'plugin-versions.json');
  rmSync(kept, { force: true });
  expect(rkt.ok('net', 'plan', '--net=counted')).toContain('CNI 1.0.0');
  expect([asked(), existsSync(kept)]).toEqual([1, false]);
  for (let again = 0; again < 2; again++) rkt.ok('net', 'inspect', 'counted');
  expect(rkt.ok('net', 'plan', '--net=counted')).toContain('CNI 1.0.0');
  expect(asked()).toBe(2);
  rmSync(join(netd(), 'counter'));
  answer('"0.4.0"');
  expect(rkt.ok('net', 'plan', '--net=counted')).toContain('CNI 0.4.0');
  expect(asked()).toBe(3);
});

describe('net gc', () => {
  /** What is left when a pod's directory is deleted by hand. */
  async function orphan(...flags: string[]): Promise<{ uuid: string; ip: string }> {
    const pod = rkt.start([...flags, '--net-release=gc', 'busybox', '--exec=/bin/sleep', '--', '60']);
    const { uuid, ip } = pod;
    await pod.stop();
    sh(
      `umount /run/netns/rkt-${uuid}; rm -r /run/netns/rkt-${uuid} ${join(rkt.dataDir, 'pods/run', uuid)}; find /sys/fs/cgroup -depth -type d -path '*${uuid}*' -exec rmdir {} ';' 2>/dev/null || true`,
    );
    return { uuid, ip };
  }

  test('says what it would remove and why, then removes exactly that; pods and containers of others keep what they have', async () => {
    const alive = web('--net=bridge', '--port=8080:80');
    await untilServed(`http://${alive.ip}/`);
    const gone = await orphan('--net=bridge', '--port=8081:80');
    // A container that podman started on the same network: a lease, and an entry in libcni's cache.
    const lease = '/var/lib/cni/networks/bridge/172.16.29.99';
    writeFileSync(lease, 'podman-container\r\neth0');
    const entry = '/var/lib/cni/results/bridge-podman-container-eth0';
    writeFileSync(
      entry,
      JSON.stringify({ kind: 'cniCacheV1', containerId: 'podman-container', ifName: 'eth0', networkName: 'bridge', netns: '/run/netns/gone' }),
    );
    // And one of the time before the cache had kinds.
    const oldLease = '/var/lib/cni/networks/bridge/172.16.29.98';
    writeFileSync(oldLease, 'old-one\r\neth0');
    const oldEntry = '/var/lib/cni/results/bridge-old-one-eth0';
    writeFileSync(oldEntry, JSON.stringify({ cniVersion: '0.4.0', ips: [{ version: '4', address: '172.16.29.98/24' }], dns: {} }));
    const stray = '/var/lib/cni/networks/bridge/172.16.29.97';
    writeFileSync(stray, 'nobody-knows\r\neth0');

    const dry = rkt.ok('net', 'gc', '--dry-run', 'bridge');
    expect(dry).toMatch(new RegExp(`would be removed: lease ${gone.ip} .*: it is of ${gone.uuid}/eth0, a pod that is gone`));
    expect(dry).toContain(`would be removed: nftables element ports4 { tcp . 8081 : ${gone.ip} . 80 }`);
    expect(dry).toContain(`would be removed: cache entry /var/lib/cni/results/bridge-${gone.uuid}-eth0`);
    expect(dry).toMatch(/would be removed: lease 172\.16\.29\.97 .*which neither a pod nor a container in libcni's cache is/);
    expect(dry).toContain(`in use by pod ${alive.uuid} (running), container `);
    for (const kept of ['172.16.29.99', '172.16.29.98', alive.ip]) expect(dry).not.toMatch(new RegExp(`removed.*${kept.replaceAll('.', '\\.')}[ /]`));
    expect(existsSync(stray)).toBe(true);

    const { status: code, stdout } = rkt.run(['net', 'gc', 'bridge']);
    expect([code, stdout]).toEqual([0, dry.replaceAll('would be removed', 'removed')]);
    expect([lease, entry, oldLease, oldEntry, stray].map((path) => existsSync(path))).toEqual([true, true, true, true, false]);
    expect(existsSync(`/var/lib/cni/networks/bridge/${gone.ip}`)).toBe(false);
    expect(sh('nft list table inet rkt')).not.toContain(gone.uuid);
    expect(await page('http://127.0.0.1:8080/')).toBe('web');
    expect(status('net', 'check', alive.uuid).code).toBe(0);
    expect(rkt.ok('net', 'gc', 'bridge')).toContain('nothing to remove');
    await alive.stop();
    rkt.gc();
    for (const path of [lease, entry, oldLease, oldEntry]) rmSync(path);
    expect(rkt.ok('net', 'gc')).toContain('removed: bridge rkt0');
  });

  test('a data directory that nothing was run from yet', () => {
    const { status: code, stdout } = rkt.run(['net', 'gc', `--dir=${join(rkt.config, 'fresh')}`]);
    expect([code, stdout]).toEqual([0, 'bridge: nothing to remove\ndefault: nothing to remove\ndefault-restricted: nothing to remove\n']);
  });

  test('a cache entry of a namespace that is gone does not keep rkt gc from removing what pods shared', () => {
    sh('ip netns add lost');
    rkt.ok('net', 'add', 'bridge', '/run/netns/lost');
    sh('ip netns del lost');
    rkt.gc();
    rkt.gc();
    expect(sh('ip -br link')).not.toContain('rkt0');
    expect(rkt.ok('net', 'gc', 'bridge')).toContain('removed: cache entry');
  });

  test('a link whose namespace lives on goes as well, when nobody knows the attachment any more', () => {
    sh('ip netns add lost');
    rkt.ok('net', 'add', 'bridge', '/run/netns/lost');
    sh('rm /var/lib/cni/results/bridge-cnitool-*');
    expect(rkt.ok('net', 'gc', 'bridge')).toMatch(/removed: link veth[^]*removed: bridge rkt0/);
    expect(sh('ip -n lost -br link')).not.toContain('eth0');
    sh('ip netns del lost');
    rkt.gc();
  });

  test('disableGC is honoured; somebody who attaches at this moment is not disturbed; unknown networks are named', async () => {
    put(netd(), '20-shared.conflist', {
      cniVersion: '1.1.0',
      name: 'shared',
      disableGC: true,
      plugins: [{ type: 'ptp', ipam: { type: 'host-local', subnet: '10.71.0.0/24' } }],
    });
    mkdirSync('/var/lib/cni/networks/shared');
    const lease = '/var/lib/cni/networks/shared/10.71.0.9';
    writeFileSync(lease, 'theirs\r\neth0');
    expect(status('net', 'gc', 'shared')).toEqual({ code: 0, text: expect.stringContaining('GC is not sent: the list says disableGC') as string });
    expect(existsSync(lease)).toBe(true);
    rmSync('/var/lib/cni/networks/shared', { recursive: true });
    const { code, text } = status('net', 'gc', 'nope', 'shared');
    expect([code, text]).toEqual([254, expect.stringMatching(/networks not found: nope .*ERR_NET_NOT_FOUND/)]);
    const lock = join(rkt.dataDir, 'networks/bridge.lock');
    const busy = spawnSync('flock', ['--shared', lock, 'sh', '-c', `${join(dist, 'rkt')} --dir=${rkt.dataDir} net gc bridge`], { encoding: 'utf8' });
    expect([busy.status, busy.stdout]).toEqual([1, expect.stringContaining('somebody attaches to it at this moment')]);
  });
});
