import { describe, expect, test } from 'vitest';
import { parseNetArgs } from '../../../src/net/args.ts';

/** `name`, `name:args`, as one line each */
const brief = (...occurrences: string[]): string[] => {
  const request = parseNetArgs(occurrences);
  if (request.mode === 'ns') return [`ns ${request.netns ?? ''}`];
  if (request.mode !== 'contained') return [request.mode, ...request.warnings];
  const networks = request.networks.map(({ name, args, capabilityArgs }) =>
    [
      name,
      ...args.map((pair) => pair.join('=')),
      ...(capabilityArgs.ips ?? []).map((ip) => `ip ${ip}`),
      ...Object.entries(capabilityArgs).flatMap(([key, value]) => (['ips', 'mac'].includes(key) ? [] : [`cap ${key} ${JSON.stringify(value)}`])),
      ...(capabilityArgs.mac === undefined ? [] : [`mac ${capabilityArgs.mac}`]),
    ].join(' | '),
  );
  return [...(request.all ? ['*all*'] : []), ...networks];
};
const faults = (...occurrences: string[]): string[] => {
  try {
    parseNetArgs(occurrences);
  } catch (error) {
    const { code, details, message } = error as { code: string; details: string[]; message: string };
    expect(code).toBe('ERR_NET_ARGS');
    return details.length > 0 ? details : [message.replace('cannot understand --net: ', '')];
  }
  return expect.fail('should be refused');
};

describe('--net', () => {
  test.each<[string[], string[]]>([
    [[], ['default']],
    [[''], ['default']],
    [['default'], ['default']],
    [['none'], ['none']],
    [['host'], ['host']],
    [['all'], ['*all*']],
    [['a,b'], ['a', 'b']],
    [
      ['b', 'a'],
      ['b', 'a'],
    ],
    [
      ['', 'a'],
      ['default', 'a'],
    ],
    [['a:IP=10.1.2.3'], ['a | IP=10.1.2.3']],
    [['a:K=V;K2=V2'], ['a | K=V | K2=V2']],
    [['a:K='], ['a | K=']],
    [['a:K=V,b'], ['a | K=V', 'b']],
    [['a:K=V,K2=V2,b:K=V'], ['a | K=V | K2=V2', 'b | K=V']],
    [['all,net1:IP=10.0.0.1'], ['*all*', 'net1 | IP=10.0.0.1']],
    [
      ['all', 'net1:IP=10.0.0.1'],
      ['*all*', 'net1 | IP=10.0.0.1'],
    ],
    [['default:IP=fd00::5'], ['default | IP=fd00::5']],
    [['a:ip=fd00::5'], ['a | ip fd00::5']],
    [['a:cap.bandwidth={"ingressRate":1000,"ingressBurst":2},b'], ['a | cap bandwidth {"ingressRate":1000,"ingressBurst":2}', 'b']],
    [['a:cap.aliases=["x","y"],ip=10.0.0.5,b:cap.x=1'], ['a | ip 10.0.0.5 | cap aliases ["x","y"]', 'b | cap x 1']],
    [['a:cap.x={"t":"],};{"};K=V'], ['a | K=V | cap x {"t":"],};{"}']],
    [['a:cap.x="a,b;c",cap.y.z/w=[[1,2],{"k":[3]}],b'], ['a | cap x "a,b;c" | cap y.z/w [[1,2],{"k":[3]}]', 'b']],
    [
      ['a:cap.ipRanges=[[{"subnet":"10.1.0.0/16"}],[{"subnet":"fd00::/64","rangeStart":"fd00::9"}]]'],
      ['a | cap ipRanges [[{"subnet":"10.1.0.0/16"}],[{"subnet":"fd00::/64","rangeStart":"fd00::9"}]]'],
    ],
    [['a:K="x,b'], ['a | K="x', 'b']],
    [['ns:/run/netns/x'], ['ns /run/netns/x']],
    [['ns:/proc/12/ns/net'], ['ns /proc/12/ns/net']],
    [['ns'], ['ns']],
    [['ns:K=V'], ['ns | K=V']],
    [['a:ip=fd00::5/64,mac=02:00:00:00:00:0A'], ['a | ip fd00::5/64 | mac 02:00:00:00:00:0a']],
    [['a:ip=10.0.0.5,fd00::5,b'], ['a | ip 10.0.0.5 | ip fd00::5', 'b']],
    [['a:ip=10.0.0.5,ip=fd00::5'], ['a | ip 10.0.0.5 | ip fd00::5']],
    [['a:IP=10.0.0.5/24,10.0.1.5/24'], ['a | IP=10.0.0.5/24,10.0.1.5/24']],
    [['a:K=V,10.0.0.5'], ['a | K=V', '10.0.0.5']],
    [['a:ip=fd00::5;IgnoreUnknown=1'], ['a | IgnoreUnknown=1 | ip fd00::5']],
    [['a:ip=fd00::5,b:ip=fd00::6'], ['a | ip fd00::5', 'b | ip fd00::6']],
    [['a:GATEWAY=fd00::1'], ['a | GATEWAY=fd00::1']],
    [['a.b_c-1'], ['a.b_c-1']],
    [
      ['none,a', 'b'],
      ['none', '--net=none wins: not joining a, b'],
    ],
    [
      ['a', 'host'],
      ['host', '--net=host wins: not joining a'],
    ],
  ])('%j', (occurrences, expected) => {
    expect(brief(...occurrences)).toEqual(expected);
  });

  test.each<[string[], string[]]>([
    [['a,a'], ['network "a" is given twice']],
    [['a', 'a:K=V'], ['network "a" is given twice']],
    [['default', ''], ['network "default" is given twice']],
    [['a,,b'], ['empty network name in "a,,b"']],
    [['a,'], ['empty network name in "a,"']],
    [[':K=V'], ['empty network name in ":K=V"']],
    [['K=V'], ['"K=V" is not a network name']],
    [['../x'], ['"../x" is not a network name']],
    [['host:K=V'], ['"host" takes no arguments']],
    [['none:K=V'], ['"none" takes no arguments']],
    [['all:K=V'], ['"all" takes no arguments']],
    [['all:'], ['empty argument of network "all"', '"all" takes no arguments']],
    [['host,none'], ['"host" and "none" contradict each other']],
    [['a:'], ['empty argument of network "a"']],
    [['a:K=V;'], ['empty argument of network "a"']],
    [['a:foo'], ['argument "foo" of network "a" is not key=value']],
    [['a:=V'], ['"" of network "a" is not an argument name']],
    [['a:K=V;K=W'], ['argument K of network "a" is given twice']],
    [['a:K=V=W'], ['the value of argument "K" of network "a" holds "=" or a control character']],
    [['a:K=x\n'], ['the value of argument "K" of network "a" holds "=" or a control character']],
    [['ns:'], ['"ns:" needs the absolute path of a network namespace, not ""']],
    [['ns:run/x'], ['"ns:" needs the absolute path of a network namespace, not "run/x"']],
    [['ns:/run/netns/x,a'], ['"ns:" stands alone: the namespace has the networks its maker gave it']],
    [['ns:/a', 'ns:/b'], ['"ns:" stands alone: the namespace has the networks its maker gave it']],
    [['ns,ns'], ['network "ns" is given twice']],
    [['a:cap.x={"k":[1,2}'], ['brackets or quotes of "a:cap.x={\\"k\\":[1,2}" do not match']],
    [['a:cap.x="open,b'], ['brackets or quotes of "a:cap.x=\\"open,b" do not match']],
    [['a:cap.deviceID=0000:00:1f.6'], ['cap.deviceID of network "a": "0000:00:1f.6" is not JSON (a text needs quotes: cap.KEY=\'"text"\')']],
    [['a:cap.=1'], ['"cap." of network "a" names no capability']],
    [['a:cap.x=1;cap.x=2'], ['cap.x of network "a" is given twice']],
    [['a:cap.portMappings=[]'], ['cap.portMappings of network "a" is written --port']],
    [['a:cap.ips=["10.0.0.1"]'], ['cap.ips of network "a" is written ip=ADDRESS']],
    [['a:cap.bandwidth={"ingressRate":-1}'], ['cap.bandwidth of network "a": ingressRate must be a whole number, not negative']],
    [['a:cap.bandwidth={"ingresRate":1}'], ['cap.bandwidth of network "a": needs ingressRate, ingressBurst, egressRate, egressBurst']],
    [['a:cap.ipRanges=[{"subnet":"10.1.0.0/16"}]'], [expect.stringContaining('must be a list of lists of ranges') as string]],
    [['a:cap.aliases="x"'], ['cap.aliases of network "a": must be a list of names']],
    [
      ['a:cap.aliases=["fine_1.x","x y","-a",".","é"]'],
      [
        expect.stringMatching(
          /^cap\.aliases of network "a": "x y" is no DNS name: it has other characters .*; "-a" is no DNS name: each part .*; "\." is no DNS name: each .*; "é" is no DNS name: it has other/,
        ),
      ],
    ],
    [[`a:cap.aliases=["${'a'.repeat(64)}"]`], [expect.stringContaining('is no DNS name: each part between dots has 1 to 63')]],
    [['a:ip=fd00::g'], ['ip "fd00::g" of network "a" is not an address']],
    [['a:ip='], ['ip "" of network "a" is not an address']],
    [['a:mac=01:00:00:00:00:01'], ['mac "01:00:00:00:00:01" of network "a" is not the MAC address of an interface']],
    [['a:mac=00:00:00:00:00:00'], ['mac "00:00:00:00:00:00" of network "a" is not the MAC address of an interface']],
    [['a:mac=02:00:00:00:00:01;mac=02:00:00:00:00:02'], ['mac of network "a" is given twice']],
    [
      ['a,a,:K=V,host:x', 'b c'],
      [
        'empty network name in "a,a,:K=V,host:x"',
        'argument "x" of network "host" is not key=value',
        '"b c" is not a network name',
        'network "a" is given twice',
        '"host" takes no arguments',
      ],
    ],
  ])('%j is refused', (occurrences, expected) => {
    expect(faults(...occurrences)).toEqual(expected);
  });
});
