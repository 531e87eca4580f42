import { describe, expect, test } from 'vitest';
import { parseNetArgs } from '../../../../src/net/args.ts';
import { parseList, parseSingle } from '../../../../src/net/conf/parse.ts';
import type { ConfOwner, FaultyFile, LoadedConf, NetworkConf } from '../../../../src/net/conf/types.ts';
import type { HostRoute, NetFacts } from '../../../../src/net/facts/types.ts';
import { executablesToProbe, planNetworks, type PlanInput } from '../../../../src/net/plan/plan.ts';
import { joinableNetworks } from '../../../../src/net/plan/select.ts';
import { planJson, renderPlan } from '../../../../src/net/plan/render.ts';

const directories: Record<ConfOwner, string> = { admin: '/etc/rkt/net.d', system: '/usr/lib/rkt/net.d', builtin: '/dist/net.d' };
type File = [owner: ConfOwner, file: string, content: object | string];

/** Parses as the loader does, without files. */
function conf(...files: File[]): LoadedConf {
  const networks: NetworkConf[] = [];
  const faulty: FaultyFile[] = [];
  for (const [owner, name, content] of files) {
    const file = { path: `${directories[owner]}/${name}`, text: typeof content === 'string' ? content : JSON.stringify(content) };
    const parsed = name.endsWith('.conflist') ? parseList(file, owner, () => []) : parseSingle(file, owner);
    if ('ok' in parsed) networks.push(parsed.ok);
    else faulty.push({ path: file.path, owner, faults: parsed.faults, ...(parsed.name === undefined ? {} : { name: parsed.name }) });
  }
  return { networks, faulty, notices: [] };
}
const hostLocal = (...subnets: string[]) => ({ type: 'host-local', ranges: subnets.map((subnet) => [{ subnet }]) });
const list = (name: string, plugins: object[], more: object = {}) => ({ cniVersion: '1.0.0', name, ...more, plugins });
const ptp = (name: string, subnet = '10.77.0.0/24') => list(name, [{ type: 'ptp', ipam: hostLocal(subnet) }]);
const bridge = (name: string, device: string, subnet: string, more: object = {}) =>
  list(name, [{ type: 'bridge', bridge: device, isGateway: true, ipam: hostLocal(subnet), ...more }]);
const portmap = { type: 'portmap', capabilities: { portMappings: true } };
const facts: NetFacts = { routes: [], pluginPath: [directories.admin, '/opt/cni/bin', '/usr/lib/cni'], executables: {}, versions: {} };
const builtinTypes = ['bridge', 'ptp', 'host-local', 'portmap', 'firewall'];

function input(net: string[], files: File[], more: Partial<PlanInput> = {}): PlanInput {
  return { request: parseNetArgs(net), configs: conf(...files), facts, ports: [], builtinTypes, forceExec: false, ...more };
}
const plan = (...args: Parameters<typeof input>) => planNetworks(input(...args));
const names = (...args: Parameters<typeof input>): string[] => plan(...args).networks.map(({ ifName, name }) => `${ifName}=${name}`);
function refusal(...args: Parameters<typeof input>): { code: string; message: string; details: string[]; hint: string | undefined } {
  try {
    plan(...args);
  } catch (error) {
    const { code, message, details, hint } = error as { code: string; message: string; details: string[]; hint: string | undefined };
    return { code, message, details, hint };
  }
  return expect.fail('should be refused');
}

describe('which networks', () => {
  const files: File[] = [
    ['builtin', '99-default.conflist', ptp('default', '10.1.0.0/24')],
    ['admin', '50-b.conflist', ptp('b', '10.2.0.0/24')],
    ['system', '10-s.conflist', ptp('s', '10.3.0.0/24')],
    ['admin', '20-a.conf', { cniVersion: '0.1.0', name: 'a', type: 'bridge' }],
  ];
  test('joining order is file-name order over all directories, not the order asked for', () => {
    expect(names(['default,b', 'a', 's'], files)).toEqual(['eth0=s', 'eth1=a', 'eth2=b', 'eth3=default']);
    expect(names([], files)).toEqual(['eth0=default']);
    expect(names(['all,b:K=V'], files)).toEqual(['eth0=s', 'eth1=a', 'eth2=b', 'eth3=default']);
  });
  test('arguments reach their network only, also with all', () => {
    expect(plan(['all,b:IP=10.2.0.9;K=V'], files).networks.map(({ name, args }) => [name, args])).toEqual([
      ['s', []],
      ['a', []],
      [
        'b',
        [
          ['IP', '10.2.0.9'],
          ['K', 'V'],
        ],
      ],
      ['default', []],
    ]);
  });
  test('the admin overrides the system, which overrides what comes with rkt', () => {
    const more: File[] = [
      ...files,
      ['system', '70-default.conflist', ptp('default', '10.4.0.0/24')],
      ['admin', '05-default.conflist', ptp('default', '10.5.0.0/24')],
    ];
    const made = plan(['default,b'], more);
    expect(made.networks.map(({ name, source, expects }) => [name, source.owner, expects.subnets[0]])).toEqual([
      ['default', 'admin', '10.5.0.0/24'],
      ['b', 'admin', '10.2.0.0/24'],
    ]);
    expect(made.warnings).toEqual(['overriding "default" network with one from /etc/rkt/net.d']);
    expect(plan(['b'], more).warnings).toEqual([]);
  });
  test('unknown names are all named in one error, whatever else is wrong', () => {
    const broken: File[] = [...files, ['admin', '01-x.conf', '{"name":"x",'], ['admin', '02-y.conflist', list('y', [{ type: 'nope' }])]];
    expect(refusal(['defalt', 'zzz', 'x', 'y'], broken)).toEqual({
      code: 'ERR_NET_NOT_FOUND',
      message: 'networks not found: defalt, zzz',
      details: ['no network "defalt"; did you mean "default"?', 'no network "zzz"'],
      hint: 'there are: a, b, default, s, x, y',
    });
  });
  test('host and none plan nothing', () => {
    expect(plan(['host'], [])).toEqual({ mode: 'host', networks: [], warnings: [] });
    expect(plan(['none,a'], [])).toEqual({ mode: 'none', networks: [], warnings: ['--net=none wins: not joining a'] });
  });
});

describe('files that are not valid', () => {
  const good: File = ['admin', '20-good.conflist', ptp('good')];
  const named: File = ['admin', '10-bad.conflist', '{\n  "name": "bad",\n  "plugins": [}'];
  const nameless: File = ['admin', '10-bad.conflist', '{ oops'];
  const namedFault = '/etc/rkt/net.d/10-bad.conflist:3:15: not JSON: expected a value, found "}"';

  test('the network they define is refused with file and line', () => {
    expect(refusal(['bad'], [good, named])).toMatchObject({
      code: 'ERR_NETCONF_INVALID',
      message: `the configuration of network "bad" is not valid: ${namedFault}`,
    });
  });
  test('other networks are not affected, but warned', () => {
    expect(plan(['good'], [good, named]).warnings).toEqual([`ignored ${namedFault}`]);
  });
  test('without a readable name they could define what no other file defines', () => {
    expect(plan(['good'], [good, nameless]).warnings).toEqual([
      'ignored /etc/rkt/net.d/10-bad.conflist:1:3: not JSON: expected a key in double quotes, found "o"',
    ]);
    expect(refusal(['goof'], [good, nameless])).toMatchObject({
      code: 'ERR_NETCONF_INVALID',
      details: [
        '/etc/rkt/net.d/10-bad.conflist:1:3: not JSON: expected a key in double quotes, found "o"',
        'no network "goof"; did you mean "good"?',
      ],
    });
  });
  test('all asks for every one of them', () => {
    expect(refusal(['all'], [good, named]).code).toBe('ERR_NETCONF_INVALID');
    expect(refusal(['all'], [good, nameless]).code).toBe('ERR_NETCONF_INVALID');
  });
  test('one that is overridden does not matter; one that overrides does', () => {
    expect(
      plan(
        ['default'],
        [
          ['admin', 'a.conflist', ptp('default')],
          ['builtin', 'b.conflist', '{"name":"default",'],
        ],
      ).networks,
    ).toHaveLength(1);
    expect(
      refusal(
        ['default'],
        [
          ['admin', 'a.conflist', '{"name":"default",'],
          ['builtin', 'b.conflist', ptp('default')],
        ],
      ).code,
    ).toBe('ERR_NETCONF_INVALID');
  });
  test('two definitions in one directory are refused when asked for', () => {
    const twice: File[] = [good, ['admin', '1.conf', { name: 'two', type: 'ptp' }], ['admin', '0.conflist', ptp('two')]];
    const text = 'network "two" is defined twice in one directory: /etc/rkt/net.d/0.conflist, /etc/rkt/net.d/1.conf';
    expect(refusal(['two'], twice)).toMatchObject({ code: 'ERR_NETCONF_DUPLICATE', message: text });
    expect(refusal(['all'], twice).code).toBe('ERR_NETCONF_DUPLICATE');
    expect(plan(['good'], twice).warnings).toEqual([text]);
    expect(
      plan(['two'], [...twice.map(([, name, content]): File => ['builtin', name, content]), ['admin', '5.conflist', ptp('two')]]).networks,
    ).toHaveLength(1);
    expect(
      refusal(
        ['two'],
        [
          ['admin', '1.conf', { name: 'two', type: 'ptp' }],
          ['admin', '0.conflist', '{"name":"two",'],
        ],
      ).code,
    ).toBe('ERR_NETCONF_DUPLICATE');
  });
  test('net list shows the joinable ones and says why others are not', () => {
    const { networks, warnings } = joinableNetworks(
      conf(good, named, ['admin', '1.conflist', ptp('two')], ['admin', '2.conflist', ptp('two')], ['builtin', '0.conflist', ptp('good')]),
    );
    expect(networks.map(({ name }) => name)).toEqual(['good']);
    expect(warnings).toEqual([
      `ignored ${namedFault}`,
      'network "two" is defined twice in one directory: /etc/rkt/net.d/1.conflist, /etc/rkt/net.d/2.conflist',
      'overriding "good" network with one from /etc/rkt/net.d',
    ]);
  });
});

describe('where plugins come from', () => {
  const via = (executables: Record<string, string>, forceExec = false, plugins: object[] = [{ type: 'bridge', ipam: { type: 'host-local' } }]) =>
    plan(['n'], [['admin', 'n.conflist', list('n', plugins)]], { facts: { ...facts, executables }, forceExec }).networks[0]?.plugins.map((plugin) => [
      plugin.via,
      ...(plugin.ipam === undefined ? [] : [plugin.ipam.via]),
    ]);
  const debian = { bridge: '/usr/lib/cni/bridge', 'host-local': '/usr/lib/cni/host-local', tuning: '/usr/lib/cni/tuning' };

  test('built in, unless the admin put one beside their networks', () => {
    expect(via(debian)).toEqual([['builtin', 'builtin']]);
    expect(via({ ...debian, bridge: '/etc/rkt/net.d/bridge' })).toEqual([['/etc/rkt/net.d/bridge', '/usr/lib/cni/host-local']]);
    expect(via({ 'host-local': '/etc/rkt/net.d/host-local' })).toEqual([['builtin', '/etc/rkt/net.d/host-local']]);
  });
  test('--net-exec takes executables only', () => {
    expect(via(debian, true)).toEqual([['/usr/lib/cni/bridge', '/usr/lib/cni/host-local']]);
    expect(() => via({ bridge: '/usr/lib/cni/bridge' }, true)).toThrow(/"host-local"/);
  });
  test('unknown types name network, file, place and the directories searched', () => {
    const plugins = [{ type: 'brigde' }, { type: 'tuning', ipam: { type: 'constructor' } }];
    expect(
      refusal(['n'], [['admin', 'n.conflist', list('n', plugins)]], { facts: { ...facts, executables: { tuning: '/usr/lib/cni/tuning' } } }),
    ).toMatchObject({
      code: 'ERR_PLUGIN_NOT_FOUND',
      message: 'plugin "brigde", "constructor" not found',
      details: [
        'plugin "brigde" of network "n" (/etc/rkt/net.d/n.conflist, plugins[0].type); did you mean "bridge"?',
        'plugin "constructor" of network "n" (/etc/rkt/net.d/n.conflist, plugins[1].ipam.type)',
        'searched /etc/rkt/net.d',
        'searched /opt/cni/bin',
        'searched /usr/lib/cni',
      ],
    });
  });
  test('the delegate of an executable must be one', () => {
    const missing = refusal(['n'], [['admin', 'n.conflist', list('n', [{ type: 'macvlan', ipam: { type: 'host-local' } }])]], {
      facts: { ...facts, executables: { macvlan: '/usr/lib/cni/macvlan' } },
    });
    expect(missing.details[0]).toContain('rkt has it built in, but an executable is needed here');
  });
  test('networks that are not asked for may miss theirs', () => {
    expect(
      names(
        ['n'],
        [
          ['admin', 'a.conflist', list('a', [{ type: 'nope' }])],
          ['admin', 'n.conflist', ptp('n')],
        ],
      ),
    ).toEqual(['eth0=n']);
  });
});

describe('CNI version', () => {
  const chosen = (versions: Record<string, string[]>, more: object = { cniVersion: '1.1.0', cniVersions: ['0.4.0', '1.0.0'] }) => {
    const files: File[] = [['admin', 'n.conflist', list('n', [{ type: 'macvlan', ipam: { type: 'dhcp' } }, { type: 'portmap' }], more)]];
    return plan(['n'], files, { facts: { ...facts, executables: { macvlan: '/c/macvlan', dhcp: '/c/dhcp' }, versions } }).networks[0]?.cniVersion;
  };
  test('the highest every plugin accepts', () => {
    expect(chosen({ '/c/macvlan': ['0.4.0', '1.0.0', '1.1.0'], '/c/dhcp': ['0.4.0', '1.0.0', '1.1.0'] })).toBe('1.1.0');
    expect(chosen({ '/c/macvlan': ['0.4.0', '1.0.0', '1.1.0'], '/c/dhcp': ['0.4.0', '1.0.0'] })).toBe('1.0.0');
    expect(chosen({ '/c/macvlan': ['0.4.0', '1.1.0'], '/c/dhcp': ['0.4.0', '1.0.0'] })).toBe('0.4.0');
    expect(chosen({})).toBe('1.1.0');
  });
  test('a list that names one version gets it, or is refused with the cure', () => {
    expect(chosen({}, { cniVersion: '1.1.0' })).toBe('1.1.0');
    expect(() => chosen({ '/c/macvlan': ['0.3.1', '0.4.0', '1.0.0'], '/c/dhcp': ['0.4.0', '1.0.0', '1.1.0'] }, { cniVersion: '1.1.0' })).toThrow(
      expect.objectContaining({
        code: 'ERR_NETCONF_INVALID',
        details: ['the list names 1.1.0', '/c/macvlan speaks 0.3.1, 0.4.0, 1.0.0', '/c/dhcp speaks 0.4.0, 1.0.0, 1.1.0'],
        hint: 'add "1.0.0", which all of them speak, to "cniVersions"; or install plugins that speak one of the list',
      }),
    );
  });
  test('--net-exec is not the only way when all of the list is built in', () => {
    const files: File[] = [['admin', 'n.conflist', { ...bridge('n', 'br', '10.9.0.0/24'), cniVersion: '1.1.0' }]];
    const executables = { bridge: '/usr/lib/cni/bridge', 'host-local': '/usr/lib/cni/host-local' };
    const versions = { '/usr/lib/cni/bridge': ['1.0.0'], '/usr/lib/cni/host-local': ['1.0.0'] };
    const more = { facts: { ...facts, executables, versions } };
    expect(plan(['n'], files, more).networks[0]?.cniVersion).toBe('1.1.0');
    expect(refusal(['n'], files, { ...more, forceExec: true }).hint).toMatch(/add "1.0.0"[^;]*; or install [^;]*; or leave out --net-exec/);
  });
  test('none that suits all is an error naming who speaks what', () => {
    expect(() => chosen({ '/c/macvlan': ['0.3.1'], '/c/dhcp': ['1.0.0'] })).toThrow(
      expect.objectContaining({
        code: 'ERR_NETCONF_INVALID',
        details: ['the list names 0.4.0, 1.0.0, 1.1.0', '/c/macvlan speaks 0.3.1', '/c/dhcp speaks 1.0.0'],
      }),
    );
  });
  test('executables are asked; they have to answer when the list leaves a choice', () => {
    const executables = { macvlan: '/c/macvlan', dhcp: '/c/dhcp', tuning: '/c/tuning' };
    const files: File[] = [
      ['admin', '1.conflist', list('one', [{ type: 'tuning' }, { type: 'macvlan' }])],
      ['admin', '2.conflist', list('two', [{ type: 'macvlan', ipam: { type: 'dhcp' } }, { type: 'portmap' }], { cniVersions: ['1.0.0', '1.1.0'] })],
      ['admin', '3.conf', { cniVersion: '0.1.0', name: 'old', type: 'tuning' }],
    ];
    const asked = (net: string): string[] =>
      executablesToProbe(input([net], files, { facts: { ...facts, executables } })).map(({ path, needed }) => `${path}${needed ? '!' : ''}`);
    expect(asked('one,two')).toEqual(['/c/dhcp!', '/c/macvlan!', '/c/tuning']);
    expect(asked('one')).toEqual(['/c/macvlan', '/c/tuning']);
    expect(asked('old')).toEqual([]);
    expect(asked('host')).toEqual([]);
  });
});

describe('capabilities', () => {
  const ports = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' as const }];
  const files: File[] = [
    ['admin', '1.conflist', ptp('plain', '10.1.0.0/24')],
    ['admin', '2.conflist', list('first', [{ type: 'ptp', capabilities: { ips: true, mac: false }, ipam: hostLocal('10.2.0.0/24') }, portmap])],
    ['admin', '3.conflist', list('second', [{ type: 'ptp', ipam: hostLocal('10.3.0.0/24') }, portmap])],
  ];
  test('ports go to the first network that can map them, and there only to plugins that declare it', () => {
    const made = plan(['all'], files, { ports });
    expect(made.networks.map(({ name, capabilityArgs }) => [name, capabilityArgs])).toEqual([
      ['plain', {}],
      ['first', { portMappings: ports }],
      ['second', {}],
    ]);
    expect(made.networks[1]?.plugins.map(({ runtimeConfig }) => runtimeConfig)).toEqual([undefined, { portMappings: ports }]);
    expect(made.networks[1]?.plugins[0]).not.toHaveProperty('runtimeConfig');
  });
  test('ports that nobody maps are refused with the cure', () => {
    const refused = refusal(['plain'], files, { ports });
    expect(refused).toMatchObject({ code: 'ERR_NET_PORTS', message: 'no network of the pod can publish ports: "plain" (/etc/rkt/net.d/1.conflist)' });
    expect(refused.hint).toContain('"portMappings":true');
    expect(refusal(['none'], files, { ports }).code).toBe('ERR_NET_PORTS');
    expect(plan(['host'], files, { ports }).warnings).toHaveLength(1);
  });
  test('ip= and mac= need a plugin that declares them', () => {
    expect(plan(['first:ip=10.2.0.9'], files).networks[0]).toMatchObject({
      capabilityArgs: { ips: ['10.2.0.9'] },
      plugins: [{ runtimeConfig: { ips: ['10.2.0.9'] } }, {}],
    });
    expect(refusal(['first:mac=02:00:00:00:00:01', 'plain:ip=10.1.0.9'], files)).toMatchObject({
      code: 'ERR_NET_ARGS',
      details: [expect.stringContaining('network "plain" takes no ip='), expect.stringContaining('network "first" takes no mac=')],
    });
  });
});

describe('expectations', () => {
  const expects = (plugins: object[]) =>
    plan(['n'], [['admin', 'n.conflist', list('n', plugins)]], { builtinTypes: [...builtinTypes, 'macvlan', 'static', 'dhcp'] }).networks[0]?.expects;
  test('keys count as the plugins read them: the exact spelling', () =>
    expect(expects([{ type: 'bridge', bridge: 'x0', Bridge: 'y0' }])).toMatchObject({ bridge: 'x0' }));
  test.each<[object[], object]>([
    [
      [{ type: 'ptp', ipMasq: true, ipam: hostLocal('10.1.0.0/24') }],
      { subnets: ['10.1.0.0/24'], gateways: ['10.1.0.1'], gateway: true, masquerade: true },
    ],
    [
      [{ type: 'bridge', ipam: hostLocal('10.1.0.0/24', 'fd00::/64') }],
      { bridge: 'cni0', subnets: ['10.1.0.0/24', 'fd00::/64'], gateways: ['10.1.0.1', 'fd00::1'], gateway: false, masquerade: false },
    ],
    [
      [{ type: 'bridge', Bridge: 'b', ISGATEWAY: true, ipam: { type: 'host-local', subnet: '10.1.0.0/24', gateway: '10.1.0.254' } }],
      { bridge: 'b', subnets: ['10.1.0.0/24'], gateways: ['10.1.0.254'], gateway: true, masquerade: false },
    ],
    [
      [{ type: 'bridge', isDefaultGateway: true, ipam: { type: 'static', addresses: [{ address: '10.1.0.7/24' }] } }],
      { bridge: 'cni0', subnets: ['10.1.0.0/24'], gateways: ['10.1.0.1'], gateway: true, masquerade: false },
    ],
    [[{ type: 'macvlan', ipam: hostLocal('10.1.0.0/24') }], { subnets: ['10.1.0.0/24'], gateways: ['10.1.0.1'], gateway: false, masquerade: false }],
    [[{ type: 'ptp', ipam: { type: 'dhcp' } }], { subnets: [], gateway: true, masquerade: false }],
  ])('%j', (plugins, expected) => {
    expect(expects(plugins)).toEqual(expected);
  });
});

describe('subnet conflicts', () => {
  const against = (network: object, ...routes: HostRoute[]): string => {
    try {
      plan(['n'], [['admin', 'n.conflist', network]], { facts: { ...facts, routes }, builtinTypes: [...builtinTypes, 'macvlan'] });
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_NET_SUBNET_CONFLICT' });
      return (error as Error).message;
    }
    return 'none';
  };
  const route = (destination: string, device: string, more: Partial<HostRoute> = {}): HostRoute => ({ destination, device, kind: 'route', ...more });
  const p = ptp('n', '172.16.28.0/24');
  const b = bridge('n', 'rkt0', '172.16.28.0/24');

  test.each<[string, object, HostRoute[], string]>([
    [
      'a wider route',
      p,
      [route('172.16.0.0/12', 'tun0', { gateway: '10.8.0.1' })],
      'subnet 172.16.28.0/24 of network "n" overlaps the route 172.16.0.0/12 via 10.8.0.1 on device tun0',
    ],
    [
      'a narrower route',
      p,
      [route('172.16.28.128/25', 'docker0')],
      'subnet 172.16.28.0/24 of network "n" overlaps the route 172.16.28.128/25 on device docker0',
    ],
    [
      'the same on another bridge',
      b,
      [route('172.16.28.0/24', 'cni0')],
      'subnet 172.16.28.0/24 of network "n" overlaps the route 172.16.28.0/24 on device cni0',
    ],
    [
      'a single foreign host',
      p,
      [route('172.16.28.9/32', 'wg0')],
      'subnet 172.16.28.0/24 of network "n" overlaps the route 172.16.28.9/32 on device wg0',
    ],
    [
      'an address',
      p,
      [route('172.16.28.7/32', 'lo', { kind: 'address' })],
      'subnet 172.16.28.0/24 of network "n" overlaps the host\'s address 172.16.28.7 on device lo',
    ],
    [
      'an address and its own route count once',
      p,
      [route('172.16.28.0/24', 'eth0'), route('172.16.28.7/24', 'eth0', { kind: 'address' })],
      'subnet 172.16.28.0/24 of network "n" overlaps the route 172.16.28.0/24 on device eth0',
    ],
    [
      'a reject of the very subnet',
      p,
      [{ destination: '172.16.28.0/24', device: '', kind: 'reject' }],
      'subnet 172.16.28.0/24 of network "n" overlaps the rejecting route 172.16.28.0/24',
    ],
    ['IPv6', ptp('n', 'fd00:1::/64'), [route('fd00::/16', 'eth0')], 'subnet fd00:1::/64 of network "n" overlaps the route fd00::/16 on device eth0'],
    [
      'more than a host behind a veth',
      p,
      [route('172.16.28.0/25', 'veth0')],
      'subnet 172.16.28.0/24 of network "n" overlaps the route 172.16.28.0/25 on device veth0',
    ],
    [
      'a host behind a gateway',
      p,
      [route('172.16.28.9/32', 'veth0', { gateway: '10.8.0.1' })],
      'subnet 172.16.28.0/24 of network "n" overlaps the route 172.16.28.9/32 via 10.8.0.1 on device veth0',
    ],
    ['no overlap', p, [route('172.16.29.0/24', 'eth0'), route('172.16.29.1/24', 'eth0', { kind: 'address' })], 'none'],
    ['the default route and its halves', p, [route('0.0.0.0/0', 'eth0'), route('0.0.0.0/1', 'tun0'), route('128.0.0.0/1', 'tun0')], 'none'],
    ['the default route of IPv6', ptp('n', 'fd00:1::/64'), [route('::/0', 'eth0'), route('8000::/1', 'tun0'), route('2000::/3', 'tun0')], 'none'],
    ['our own bridge', b, [route('172.16.28.0/24', 'rkt0'), route('172.16.28.1/24', 'rkt0', { kind: 'address' })], 'none'],
    ['pods that run already', p, [route('172.16.28.2/32', 'veth12ab34cd'), route('172.16.28.1/32', 'veth12ab34cd', { kind: 'address' })], 'none'],
    ['a fence around more than the subnet', p, [{ destination: '172.16.0.0/12', device: '', kind: 'reject' }], 'none'],
    ['macvlan', list('n', [{ type: 'macvlan', ipam: hostLocal('172.16.28.0/24') }]), [route('172.16.28.0/24', 'eth0')], 'none'],
    ['a bridge without gateway', bridge('n', 'rkt0', '172.16.28.0/24', { isGateway: false }), [route('172.16.28.0/24', 'eth0')], 'none'],
    ['another family', p, [route('::/16', 'eth0')], 'none'],
  ])('%s', (_title, network, routes, expected) => {
    expect(against(network, ...routes)).toBe(expected);
  });

  test('networks of one pod', () => {
    const two = (first: object, second: object) =>
      refusal(
        ['all'],
        [
          ['admin', '1.conflist', first],
          ['admin', '2.conflist', second],
        ],
      );
    expect(two(ptp('x', '10.1.0.0/16'), ptp('y', '10.1.2.0/24'))).toMatchObject({
      code: 'ERR_NET_SUBNET_CONFLICT',
      message: 'subnet 10.1.2.0/24 of network "y" overlaps subnet 10.1.0.0/16 of network "x"',
    });
    expect(two(bridge('x', 'b', '10.1.0.0/16'), bridge('y', 'b', '10.1.2.0/24')).code).toBe('ERR_NET_SUBNET_CONFLICT');
    expect(two(bridge('x', 'b', '10.1.0.0/16'), bridge('y', 'c', '10.1.0.0/16')).code).toBe('ERR_NET_SUBNET_CONFLICT');
    expect(
      plan(
        ['all'],
        [
          ['admin', '1.conflist', bridge('x', 'b', '10.1.0.0/16')],
          ['admin', '2.conflist', bridge('y', 'b', '10.1.0.0/16')],
        ],
      ).warnings,
    ).toEqual(['networks "x" and "y" share bridge b and subnet 10.1.0.0/16: give them ranges that do not overlap']);
  });
  test('every pair is named, and the cure fits the owner', () => {
    const refused = refusal(['n'], [['builtin', 'n.conflist', p]], {
      facts: { ...facts, routes: [route('172.16.0.0/12', 'a'), route('172.16.28.0/24', 'b')] },
    });
    expect(refused.details).toHaveLength(2);
    expect(refused.hint).toBe('copy /dist/net.d/n.conflist to /etc/rkt/net.d and choose another subnet there');
  });
});

test('a single plugin keeps its own bytes for the plugin', () => {
  const text = '{"name":"n","type":"ptp"}\n';
  expect(plan(['n'], [['admin', 'n.conf', text]]).networks[0]).toMatchObject({ rawConf: text, cniVersion: '0.1.0' });
});

test('foreign text cannot move the cursor', () => {
  const made = plan(['n:K=\u009b31m'], [['admin', 'n.conflist', ptp('n')]]);
  // oxlint-disable-next-line no-control-regex -- control characters are exactly what must not be there
  expect(renderPlan({ ...made, warnings: ['\u001b[2J'] })).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u0080-\u009f]/);
});

test('JSON has sorted keys and is the plan', () => {
  const made = plan(['n'], [['admin', 'n.conflist', ptp('n')]]);
  expect(JSON.parse(planJson(made))).toEqual(made);
  expect([...planJson(made).matchAll(/^ {2}"(\w+)"/gm)].map(([, key]) => key)).toEqual(['mode', 'networks', 'warnings']);
});
