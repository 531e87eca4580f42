/** A1-A12: what may be given to a plugin besides its configuration, and who takes it. @see cni.md 1.6 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readConf as bandwidthConf } from '../../cni-plugins/bandwidth/conf.ts';
import { readConf as bridgeConf } from '../../cni-plugins/bridge/conf.ts';
import { readConf as dnsnameConf } from '../../cni-plugins/dnsname/conf.ts';
import { readConf as hostDeviceConf } from '../../cni-plugins/host-device/conf.ts';
import { readConf as portmapConf } from '../../cni-plugins/portmap/conf.ts';
import { builtinPlugins } from '../../src/compose/plugins.ts';
import type { PluginContext, PluginRequest } from '../../src/model/cni/plugin.ts';
import { parseRequest } from '../../src/model/cni/request.ts';
import type { CniCommand, CniResult } from '../../src/model/cni/types.ts';

let dataDir = '';
beforeAll(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'rkt-leases-'));
});
afterAll(() => rmSync(dataDir, { recursive: true }));

const context: PluginContext = { delegate: () => undefined, note: () => undefined };
const request = (command: CniCommand, conf: object, args = ''): PluginRequest =>
  parseRequest(
    { CNI_COMMAND: command, CNI_CONTAINERID: 'c', CNI_NETNS: '/x', CNI_IFNAME: 'eth0', CNI_PATH: '/x', CNI_ARGS: args },
    JSON.stringify({ cniVersion: '1.1.0', name: 'n', type: 't', ...conf }),
  );
/** ADD of an IPAM, taken back. */
function addressOf(type: string, conf: object, args = ''): CniResult {
  const plugin = builtinPlugins.get(type) ?? expect.fail(`no plugin ${type}`);
  const result = plugin.add(request('ADD', conf, args), context);
  plugin.del(request('DEL', conf, args), context);
  return result;
}
const hostLocal = (more: object = {}): object => ({ ipam: { type: 'host-local', dataDir, subnet: '10.9.0.0/24' }, ...more });

test('A1: portMappings are what portmap publishes', () => {
  const runtimeConfig = { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'udp', hostIP: '127.0.0.1' }] };
  expect(portmapConf(request('ADD', { runtimeConfig }).conf).mappings).toMatchObject([
    { hostPort: 8080, containerPort: 80, protocol: 'udp', host: { text: '127.0.0.1' } },
  ]);
});
test("A2: ipRanges come before host-local's own ranges", () => {
  const runtimeConfig = { ipRanges: [[{ subnet: '10.8.0.0/24', rangeStart: '10.8.0.9', gateway: '10.8.0.254' }]] };
  expect(addressOf('host-local', hostLocal({ runtimeConfig })).ips).toMatchObject([
    { address: '10.8.0.9/24', gateway: '10.8.0.254' },
    { address: '10.9.0.2/24', gateway: '10.9.0.1' },
  ]);
});
test('A3: bandwidth are rates and bursts in bits, unless the configuration has its own', () => {
  const runtimeConfig = { bandwidth: { ingressRate: 8_000, ingressBurst: 80_000 } };
  const { ingress, egress } = bandwidthConf(request('ADD', { runtimeConfig }).conf);
  expect([ingress?.rate, ingress?.burst, egress]).toEqual([1_000, 10_000, undefined]);
  const own = bandwidthConf(request('ADD', { runtimeConfig, egressRate: 16_000, egressBurst: 16_000 }).conf);
  expect([own.ingress, own.egress?.rate]).toEqual([undefined, 2_000]);
});
test("A5: ips ask for an address; host-local's may be without prefix length", () => {
  for (const ip of ['10.9.0.77', '10.9.0.77/24'])
    expect(addressOf('host-local', hostLocal({ runtimeConfig: { ips: [ip] } })).ips?.map(({ address }) => address)).toEqual(['10.9.0.77/24']);
});
test('A6: mac is the hardware address bridge gives, and stands above args and CNI_ARGS', () => {
  const mac = (conf: object, args = ''): string | undefined => bridgeConf(request('ADD', conf, args)).mac;
  const [runtimeConfig, args] = [{ mac: '02:00:00:00:00:01' }, { cni: { mac: '02:00:00:00:00:02' } }];
  expect(mac({ runtimeConfig, args }, 'MAC=02:00:00:00:00:03')).toBe('02:00:00:00:00:01');
  expect(mac({ args }, 'MAC=02:00:00:00:00:03')).toBe('02:00:00:00:00:02');
  expect(mac({}, 'MAC=02:00:00:00:00:03')).toBe('02:00:00:00:00:03');
});
test('A8: deviceID is the device host-device moves, whatever the configuration says', () => {
  const runtimeConfig = { deviceID: '0000:00:1f.6' };
  expect(hostDeviceConf(request('ADD', { runtimeConfig, device: 'eth9' })).selector).toEqual({ by: 'deviceID', id: '0000:00:1f.6' });
  expect(hostDeviceConf(request('ADD', { device: 'eth9' })).selector).toEqual({ by: 'device', name: 'eth9' });
});
test('A9: aliases are names by which dnsname makes the pod known', () => {
  expect(dnsnameConf(request('ADD', { runtimeConfig: { aliases: ['web', 'WWW'] } })).names).toEqual(['web', 'www']);
});
test('A11: args.cni.ips ask for an address; labels are nobody else’s business', () => {
  const args = { cni: { ips: ['10.9.0.66'], labels: [{ key: 'a', value: 'b' }] } };
  expect(addressOf('host-local', hostLocal({ args })).ips?.map(({ address }) => address)).toEqual(['10.9.0.66/24']);
});
describe('A12', () => {
  test('A12: CNI_ARGS IP= asks for an address, MAC= for a hardware address; other keys are passed over', () => {
    expect(addressOf('host-local', hostLocal(), 'IgnoreUnknown=1;K8S_POD_NAME=x;IP=10.9.0.55').ips?.[0]?.address).toBe('10.9.0.55/24');
    expect(bridgeConf(request('ADD', {}, 'IgnoreUnknown=1;MAC=02:00:00:00:00:03')).mac).toBe('02:00:00:00:00:03');
  });
});
