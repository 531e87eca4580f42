/** The networks that come with rkt, run by other people's plugins: every list must work unchanged with Debian's binaries. */
import { execFileSync, spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { parseNetArgs } from '../../../src/net/args.ts';
import { loadConf } from '../../../src/net/conf/load.ts';
import { readFacts } from '../../../src/net/facts/facts.ts';
import { executablesToProbe, planNetworks, type PlanInput } from '../../../src/net/plan/plan.ts';
import type { PlannedNetwork } from '../../../src/model/plan.ts';
import { useHost } from '../../rig/host.ts';

// Debian's plugins leave lock files, their bridge and iptables chains behind; what they leave is not ours to judge here.
useHost({ tolerate: (line) => /^file \/(var\/lib|run)\/cni/.test(line) });

const configs = loadConf([{ path: resolve(import.meta.dirname, '../../../net.d'), owner: 'builtin' }]);
const sh = (command: string): string => execFileSync('sh', ['-c', command], { encoding: 'utf8' });
const supported = (path: string): string[] =>
  (
    JSON.parse(execFileSync(path, { env: { CNI_COMMAND: 'VERSION' }, input: '{"cniVersion":"1.0.0"}', encoding: 'utf8' })) as {
      supportedVersions: string[];
    }
  ).supportedVersions;

function planned(name: string): PlannedNetwork {
  const input: PlanInput = {
    request: parseNetArgs([name]),
    configs,
    facts: readFacts(configs.networks, ['/etc/rkt/net.d', '/usr/lib/cni']),
    ports: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }].filter(() => name !== 'default-restricted') as PlanInput['ports'],
    builtinTypes: [],
    forceExec: true,
  };
  const versions = Object.fromEntries(executablesToProbe(input).map(({ path }) => [path, supported(path)]));
  return planNetworks({ ...input, facts: { ...input.facts, versions } }).networks[0] ?? expect.fail('nothing planned');
}

/** A minimal libcni loop, independent of ours. */
function call(network: PlannedNetwork, command: 'ADD' | 'CHECK' | 'DEL', result?: object): object | undefined {
  const { plugins } = JSON.parse(network.confList) as { plugins: object[] };
  let previous = result;
  const steps = network.plugins.map((plugin, i) => ({ plugin, conf: plugins[i] ?? {} }));
  for (const { plugin, conf } of command === 'DEL' ? steps.reverse() : steps) {
    const stdin = JSON.stringify({
      ...conf,
      cniVersion: network.cniVersion,
      name: network.name,
      ...(plugin.runtimeConfig === undefined ? {} : { runtimeConfig: plugin.runtimeConfig }),
      ...(previous === undefined ? {} : { prevResult: previous }),
    });
    const env = {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      CNI_COMMAND: command,
      CNI_CONTAINERID: 'shipped',
      CNI_NETNS: '/run/netns/pod',
      CNI_IFNAME: network.ifName,
      CNI_PATH: '/usr/lib/cni',
    };
    const ran = spawnSync(plugin.via, { env, input: stdin, encoding: 'utf8' });
    expect(ran.status, `${command} ${plugin.type}: ${ran.stdout} ${ran.stderr}`).toBe(0);
    if (command === 'ADD') previous = JSON.parse(ran.stdout) as object;
  }
  return previous;
}

afterEach(() => {
  sh('ip netns del pod 2>/dev/null; ip link del rkt0 2>/dev/null; nft flush ruleset; true');
});

describe.each([
  ['bridge', '172.16.29.', true],
  ['default', '172.16.28.', true],
  ['default-restricted', '172.31.0.', false],
])('%s', (name, prefix, hasDefaultRoute) => {
  test("attaches and detaches with Debian's plugins", () => {
    const network = planned(name);
    expect(network.cniVersion).toBe('1.0.0');
    expect(network.plugins.every(({ via }) => via.startsWith('/usr/lib/cni/'))).toBe(true);
    sh('ip netns add pod');
    const result = call(network, 'ADD');
    expect(sh('ip -n pod -4 -o addr show eth0')).toContain(` ${prefix}`);
    expect(sh('ip -n pod route show default') !== '').toBe(hasDefaultRoute);
    expect(sh(`ip netns exec pod busybox ping -c1 -W2 ${network.expects.gateways?.[0] ?? ''}`)).toContain('1 packets received');
    // What a pod leaves on the host while it runs is no conflict for the next pod.
    expect(planned(name).name).toBe(name);
    call(network, 'DEL', result);
    expect(sh('ip -n pod -o link')).not.toContain('eth0');
  });
});

test('hairpin: no network asks for what the bridge plugin refuses', () => {
  for (const { plugins } of configs.networks)
    for (const plugin of plugins) expect(plugin['hairpinMode'] === true && plugin['promiscMode'] === true).toBe(false);
  expect(configs.faulty).toEqual([]);
  expect(configs.notices).toEqual([]);
});
