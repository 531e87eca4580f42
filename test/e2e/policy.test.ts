/** Network policies on running pods: from the first instruction, changed while they run, nothing left behind. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sleepMs } from '../../src/host/clock.ts';
import { readExperiment } from '../../src/policy/manifests/experiment.ts';
import { openFolder } from '../../src/lab/folder.ts';
import { runExperiment } from '../../src/lab/lab.ts';
import { useHost } from '../rig/host.ts';
import { Rkt, type RunningPod } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();
let dir = '';
beforeEach(() => {
  // Else br_netfilter shows the rules what is bridged, too, on this host and on few others.
  for (const tables of ['iptables', 'ip6tables']) {
    const setting = `/proc/sys/net/bridge/bridge-nf-call-${tables}`;
    if (existsSync(setting)) writeFileSync(setting, '0');
  }
  dir = mkdtempSync('/tmp/rkt-policy-');
});
afterEach(() => {
  for (const { key, by } of (JSON.parse(rkt.ok('net', 'policy', 'list', '--format=json')) as { policies: { key: string; by: string[] }[] }).policies)
    if (by.includes('applied')) rkt.ok('net', 'policy', 'rm', key);
  rmSync(dir, { recursive: true, force: true });
});

const policy = (name: string, spec: unknown, namespace = 'shop'): string =>
  JSON.stringify({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name, namespace }, spec });
const write = (file: string, ...texts: string[]): string => {
  const path = join(dir, file);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, texts.join('\n---\n'));
  return path;
};
const nft = (): string => execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' });
const start = (name: string, labels: string[], ...flags: string[]): RunningPod => {
  const net = flags.some((flag) => flag.startsWith('--net')) ? [] : ['--net=bridge'];
  return rkt.start([
    ...net,
    `--pod-name=${name}`,
    ...labels.map((label) => `--label=${label}`),
    ...flags,
    'busybox',
    '--exec=/bin/sleep',
    '--',
    '60',
  ]);
};

/** Nobody listens, so who is let through is refused at once; who is not hears nothing. */
function reach(from: RunningPod, targets: readonly string[], port: number, seconds = 0.8): Promise<boolean[]> {
  const one = (ip: string, index: number): string =>
    `{ if timeout ${seconds} bash -c '</dev/tcp/${ip}/${port}' 2>&1 | grep -q refused; then echo ${index}; fi; } &`;
  const child = spawn('nsenter', [`--net=/run/netns/rkt-${from.uuid}`, 'bash', '-c', `${targets.map(one).join('\n')}\nwait`]);
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return new Promise((done) => void child.on('close', () => done(targets.map((_, index) => said.split('\n').includes(String(index))))));
}
const reaches = async (from: RunningPod, to: RunningPod, port: number): Promise<boolean> => (await reach(from, [to.ip], port))[0] === true;

const namedPort = (pods: readonly { ns: string; name: string; labels: Record<string, string> }[], ips: readonly string[]): string =>
  JSON.stringify({
    pods: pods.map(({ ns, name, labels }, index) => ({ ns, name, labels, ip: ips[index], ports: [{ name: 'http', port: index < 5 ? 80 : 8080 }] })),
    policies: ['policies'],
    probes: { protocols: ['TCP'], ports: [80, 8080] },
    networks: [{ name: 'pods', type: 'bridge', subnet: '172.16.29.0/24' }],
  });

test('ten pods run by rkt: the matrix that the lab has for the same YAML', async () => {
  const apps = ['web', 'db', 'cache', 'front', 'job'];
  const pods = [
    ...apps.map((app) => ({ ns: 'shop', name: app, labels: { app } })),
    ...apps.map((app) => ({ ns: 'ops', name: `o-${app}`, labels: { app } })),
  ];
  const policies = write(
    'policies/all.yaml',
    JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'ops', labels: { team: 'ops' } } }),
    policy('db', {
      podSelector: { matchLabels: { app: 'db' } },
      ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }], ports: [{ port: 'http' }] }],
    }),
    policy('cache', {
      podSelector: { matchLabels: { app: 'cache' } },
      ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: 'ops' } } }] }],
    }),
    policy('job', {
      podSelector: { matchLabels: { app: 'job' } },
      policyTypes: ['Egress'],
      egress: [{ to: [{ podSelector: {}, namespaceSelector: {} }], ports: [{ port: 'http' }] }],
    }),
    policy('default', { podSelector: {}, policyTypes: ['Ingress'], ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 8080 }] }] }, 'ops'),
  );
  const running = pods.map(({ ns, name, labels }, index) =>
    start(name, [`app=${labels.app}`], `--namespace=${ns}`, `--policy=${policies}`, `--named-port=http=${index < 5 ? 80 : 8080}`),
  );
  const ips = running.map(({ ip }) => ip);
  write('experiment.yaml', namedPort(pods, ips));
  const lab = runExperiment(readExperiment(openFolder(dir)));
  expect(lab.summary).toMatchObject({ mismatches: 0, noEvidence: 0, otherRule: 0 });
  const wanted = new Map(lab.steps[0]?.cells.map(({ from, to, port, measured }) => [`${from} ${to} ${port}`, measured?.verdict === 'allow']));
  const nameOf = (index: number): string => `${pods[index]?.ns}/${pods[index]?.name}`;
  const found = new Map<string, boolean>();
  for (const port of [80, 8080])
    await Promise.all(
      running.map(async (from, i) => {
        for (const [j, ok] of (await reach(from, ips, port)).entries()) if (i !== j) found.set(`${nameOf(i)} ${nameOf(j)} ${port}`, ok);
      }),
    );
  // On a busy machine a hundred shells take their time: who should have been heard is asked again, alone.
  for (const [i, from] of running.entries())
    for (const [j, to] of running.entries())
      for (const port of [80, 8080]) {
        const key = `${nameOf(i)} ${nameOf(j)} ${port}`;
        if (found.get(key) === false && wanted.get(key) === true) found.set(key, (await reach(from, [to.ip], port, 5))[0] === true);
      }
  expect(found.size).toBe(180);
  expect([...found].filter(([key, ok]) => ok !== wanted.get(key))).toEqual([]);
  expect([...found.values()].filter((ok) => !ok).length).toBeGreaterThan(40);

  const explained = rkt.ok('net', 'policy', 'explain', 'ops/o-web', 'shop/db', 'http');
  expect(explained).toContain('DENIED');
  expect(explained).toContain(`NetworkPolicy shop/db (${policies}:3)`);
  expect(explained).toMatch(/NetworkPolicy shop\/db ingress: [1-9]\d* packets/);
  await Promise.all(running.map((pod) => pod.stop()));
  rkt.gc();
  expect(nft()).not.toContain('rkt-policy');
});

test.each(['bridge', 'default'])('policies and pods that come and go change what others may do (%s)', async (net) => {
  const [web, db] = [start('web', ['app=web'], `--net=${net}`), start('db', ['app=db'], `--net=${net}`, '--namespace=default')];
  const plain = rkt.start([`--net=${net}`, 'busybox', '--exec=/bin/sleep', '--', '60']);
  const open = async (from: RunningPod): Promise<boolean> => reaches(from, db, 80);
  expect([await open(web), await open(plain), await reaches(db, plain, 80)]).toEqual([true, true, true]);
  const file = write(
    'db.yaml',
    policy('db', { podSelector: { matchLabels: { app: 'db' } }, ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }] }] }, 'default'),
  );
  expect(rkt.ok('net', 'policy', 'apply', file)).toBe('NetworkPolicy default/db\n');
  expect([await open(web), await open(plain), await reaches(db, plain, 80)]).toEqual([true, false, true]);
  if (net === 'bridge') {
    // Nor by its MAC, past the host.
    const shown = execFileSync('ip', ['-n', `rkt-${db.uuid}`, 'link', 'show', 'eth0'], { encoding: 'utf8' });
    const link = /link\/ether (\S+)/.exec(shown)?.[1] ?? '';
    execFileSync('ip', ['-n', `rkt-${plain.uuid}`, 'neigh', 'replace', db.ip, 'lladdr', link, 'dev', 'eth0']);
    expect(await open(plain)).toBe(false);
    execFileSync('ip', ['-n', `rkt-${plain.uuid}`, 'neigh', 'del', db.ip, 'dev', 'eth0']);
  }
  const late = start('late', ['app=web'], `--net=${net}`);
  expect(await open(late)).toBe(true);
  // The address of who has ended opens nothing: its successor is another.
  const { ip } = late;
  await late.stop();
  const end = performance.now() + 5_000;
  while (nft().includes(`${ip} `) && performance.now() < end) sleepMs(20);
  expect(rkt.ok('net', 'policy', 'list')).not.toContain('late');
  const heir = rkt.start([`--net=${net}:IP=${ip}`, 'busybox', '--exec=/bin/sleep', '--', '60']);
  expect(await open(heir)).toBe(false);
  // R34: the host reaches its pods.
  expect(spawnSync('bash', ['-c', `timeout 1 bash -c '</dev/tcp/${db.ip}/80'`], { encoding: 'utf8' }).stderr).toContain('refused');
  expect(rkt.ok('net', 'policy', 'rm', 'db')).toBe('NetworkPolicy default/db\n');
  expect(await open(plain)).toBe(true);
  await Promise.all([web, db, plain, heir].map((pod) => pod.stop()));
  rkt.gc();
  expect(nft()).not.toContain('rkt-policy');
});

test('a pod sends with its own address only', async () => {
  const file = write(
    'db.yaml',
    policy('db', { podSelector: { matchLabels: { app: 'db' } }, ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }] }] }),
  );
  const [web, db, bad] = ['web', 'db', 'bad'].map((app) => start(app, [`app=${app}`], '--namespace=shop', `--policy=${file}`));
  if (web === undefined || db === undefined || bad === undefined) throw new Error('three pods');
  expect([await reaches(web, db, 80), await reaches(bad, db, 80)]).toEqual([true, false]);
  const inBad = (...words: string[]): void => void execFileSync('nsenter', [`--net=/run/netns/rkt-${bad.uuid}`, ...words]);
  inBad('ip', 'addr', 'del', `${bad.ip}/24`, 'dev', 'eth0');
  inBad('ip', 'addr', 'add', `${web.ip}/24`, 'dev', 'eth0');
  expect([await reaches(bad, db, 80), await reaches(web, db, 80)]).toEqual([false, true]);
  await Promise.all([web, db, bad].map((pod) => pod.stop()));
  rkt.gc();
});

test('pods that send from their first instruction: nothing gets past, and what would is seen', async () => {
  const count = process.env['RKT_SOAK'] === undefined ? 20 : 1000;
  const sink = start('sink', ['app=sink'], '--namespace=shop');
  const inSink = (...words: string[]): string =>
    execFileSync('nsenter', [`--net=/run/netns/rkt-${sink.uuid}`, 'nft', ...words], { encoding: 'utf8' });
  inSink('add table inet seen; add chain inet seen in { type filter hook input priority 0; }; add rule inet seen in tcp dport 9 counter');
  const leaked = (): number => Number(/packets (\d+)/.exec(inSink('list', 'chain', 'inet', 'seen', 'in'))?.[1]);
  const race = async (pods: number, ...flags: string[]): Promise<void> => {
    const send = ['busybox', '--exec=/bin/sh', '--', '-c', `busybox nc -w 1 ${sink.ip} 9 2>/dev/null </dev/null; true`];
    for (let begun = 0; begun < pods; begun += 10) {
      const batch = Array.from({ length: Math.min(10, pods - begun) }, () =>
        rkt.launch(['run', '--net=bridge', '--namespace=shop', ...flags, ...send]),
      );
      for (const { status, stderr } of await Promise.all(batch)) expect([status, stderr]).toEqual([0, '']);
    }
    rkt.gc();
  };
  // Late on purpose: the policy is for when they have gone.
  await race(4);
  expect(leaked()).toBe(4);
  const file = write('deny.yaml', policy('racers', { podSelector: { matchLabels: { app: 'racer' } }, policyTypes: ['Egress'] }));
  await race(count, '--label=app=racer', `--policy=${file}`);
  expect(leaked()).toBe(4);
  expect(nft()).not.toContain('racers');
  await sink.stop();
  rkt.gc();
});

test('gc puts back rules that somebody took away; rm --force of a pod whose journal is lost leaves none', async () => {
  const file = write('db.yaml', policy('db', { podSelector: { matchLabels: { app: 'db' } }, policyTypes: ['Ingress'] }));
  const [web, db] = [start('web', ['app=web'], '--namespace=shop'), start('db', ['app=db'], '--namespace=shop', `--policy=${file}`)];
  expect(await reaches(web, db, 80)).toBe(false);
  execFileSync('nft', ['flush', 'ruleset']);
  expect(await reaches(web, db, 80)).toBe(true);
  rkt.ok('gc');
  expect(await reaches(web, db, 80)).toBe(false);
  await db.stop('SIGKILL');
  writeFileSync(join(db.dir, 'journal'), 'damage\n');
  expect(nft()).toContain('shop/db');
  rkt.ok('rm', '--force', db.uuid);
  expect(nft()).not.toContain('shop/db');
  await web.stop();
  rkt.gc();
  expect(nft()).not.toContain('rkt-policy');
});

test('what cannot be is refused before anything is touched, every fault at once', () => {
  const { status, stderr } = rkt.run(['run', '--net=host', '--label=x', '--namespace=A', '--named-port=80', 'busybox']);
  expect(status).toBe(254);
  for (const text of ['--label=x', '--namespace=A', '--named-port=80', '--net=host']) expect(stderr).toContain(text);
  const file = write('bad.yaml', policy('x', { podSelectr: {} }));
  const bad = rkt.run(['run', '--net=bridge', `--policy=${file}`, 'busybox']);
  expect([bad.status, bad.stderr]).toEqual([2, expect.stringMatching(/bad\.yaml:1.*podSelectr/)]);
  expect(readFileSync('/proc/net/dev', 'utf8')).not.toContain('rkt0');
});
