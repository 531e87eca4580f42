/** Golden diagrams: facts below → `diagram/<case>.txt` and `.svg`. UPDATE_GOLDEN=1 writes them; look at the pictures before you commit them. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { AttachmentFacts, DiagramFacts, PodFacts } from '../../src/net/diagram/facts.ts';
import { charactersOf, layOut } from '../../src/net/diagram/layout.ts';
import { pictureOf } from '../../src/net/diagram/picture.ts';
import { renderSvg } from '../../src/net/diagram/svg.ts';
import { renderText } from '../../src/net/diagram/text.ts';
import type { PortMapping } from '../../src/model/cni/types.ts';

const attachment = (
  network: string,
  ifName: string,
  addresses: readonly string[],
  over: Partial<AttachmentFacts> & { ports?: PortMapping[] } = {},
): AttachmentFacts => ({
  network: {
    name: network,
    ifName,
    cniVersion: '1.1.0',
    source: { path: `/etc/rkt/net.d/20-${network}.conflist`, owner: 'admin' },
    confList: '',
    plugins: [{ type: network === 'default' ? 'ptp' : 'bridge', via: 'builtin' }],
    args: [],
    capabilityArgs: over.ports === undefined ? {} : { portMappings: over.ports },
    pluginPath: [],
    expects: {
      ...(network === 'default' ? {} : { bridge: `rkt-${network}` }),
      subnets: network === 'default' ? ['172.16.28.0/24'] : ['10.89.0.0/24'],
      gateway: true,
      masquerade: network !== 'db',
    },
  },
  result: { cniVersion: '1.1.0', ips: addresses.map((address) => ({ address })) },
  addresses,
  missing: [],
  failures: [],
  ...over,
});
const pod = (id: string, apps: readonly string[], attachments: readonly AttachmentFacts[], over: Partial<PodFacts> = {}): PodFacts => ({
  id: `${id}-0000-4000-8000-000000000000`,
  name: undefined,
  apps,
  isRunning: true,
  mode: 'contained',
  attachments,
  ...over,
});
const healthy: DiagramFacts = {
  hostName: 'machine',
  uplinks: [{ name: 'eth0', addresses: ['192.168.7.5/24', '2001:db8::5/64'] }],
  forwarding: { ipv4: true, ipv6: false },
  bridges: [
    { name: 'rkt-web', up: true, addresses: ['10.89.0.1/24', 'fd00:89::1/64'] },
    { name: 'rkt-db', up: true, addresses: ['10.89.1.1/24'] },
  ],
  pods: [
    pod(
      '11111111',
      ['nginx', 'sidecar'],
      [
        attachment('web', 'eth0', ['10.89.0.2/24', 'fd00:89::2/64'], {
          ports: [
            { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
            { hostIP: '::1', hostPort: 5353, containerPort: 53, protocol: 'udp' },
          ],
        }),
        attachment('db', 'eth1', ['10.89.1.3/24']),
      ],
    ),
    pod('22222222', ['postgres'], [attachment('db', 'eth0', ['10.89.1.2/24'])], { name: 'primary' }),
    pod('33333333', ['cron'], [attachment('default', 'eth0', ['172.16.28.2/24'], { addresses: undefined })], { isRunning: false }),
    pod('44444444', ['exporter'], [], { mode: 'host' }),
    pod('55555555', ['batch'], [], { mode: 'none' }),
  ],
};
const rule = (what: string, set: string): string => `${what} (set ${set} of table inet rkt)`;
const cases: Record<string, DiagramFacts> = {
  empty: { ...healthy, uplinks: [], bridges: [], pods: [] },
  healthy,
  broken: {
    ...healthy,
    forwarding: { ipv4: false, ipv6: true },
    bridges: [{ name: 'rkt-web', up: true, addresses: ['10.89.0.1/24'] }],
    pods: [
      pod(
        '11111111',
        ['nginx'],
        [
          attachment('web', 'eth0', ['10.99.0.2/24'], {
            missing: [
              'address 10.89.0.2/24 of eth0 in the pod',
              'sysctl net.ipv4.ip_forward = 1 (it was 0)',
              rule('forwarding for 10.89.0.2', 'pods4'),
              rule('published port 8080/tcp', 'ports4'),
              rule('published port 8080/tcp', 'ports6'),
              'rules of chain forward of table inet rkt',
            ],
            ports: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
          }),
        ],
      ),
      pod(
        '22222222',
        ['postgres'],
        [attachment('db', 'eth0', ['10.89.1.2/24'], { missing: ['bridge rkt-db'], failures: ['one', 'two', 'three', 'four'] })],
      ),
      pod('44444444', ['exporter'], [], { mode: 'host' }),
    ],
  },
  'bridge-down': {
    ...healthy,
    bridges: [{ name: 'rkt-web', up: false, addresses: [] }],
    pods: [
      pod(
        '11111111',
        ['nginx'],
        [attachment('web', 'eth0', [], { addresses: undefined, failures: ["the pod's interface eth0 is gone: disconnect and connect the network"] })],
      ),
    ],
  },
  hostile: {
    ...healthy,
    hostName: '<script>alert("&")</script>\u001b[31m',
    pods: [pod('11111111', ['a'], [attachment('web', 'eth0', ['10.89.0.2/24'])], { name: "]]>'\u202e" })],
  },
};

const update = process.env['UPDATE_GOLDEN'] === '1';
describe.each(Object.keys(cases))('%s', (name) => {
  const facts = cases[name] ?? healthy;
  const scene = layOut(pictureOf(facts));
  test.each([
    ['txt', renderText(scene)],
    ['svg', renderSvg(scene)],
  ])('%s is as recorded', (ending, made) => {
    const path = join(import.meta.dirname, 'diagram', `${name}.${ending}`);
    if (update) writeFileSync(path, made);
    expect(made).toBe(readFileSync(path, 'utf8'));
  });
  test('boxes do not overlap, texts stay inside their box, wires end on borders', () => {
    for (const [i, a] of scene.boxes.entries()) {
      for (const { text } of [{ text: ` ${a.card.title}` }, ...a.card.lines]) expect(charactersOf(text).length).toBeLessThanOrEqual(a.width - 4);
      expect(a.card.lines.length).toBeLessThanOrEqual(a.height - 2);
      for (const b of scene.boxes.slice(0, i))
        expect(a.x >= b.x + b.width || b.x >= a.x + a.width || a.y >= b.y + b.height || b.y >= a.y + a.height).toBe(true);
    }
    expect(scene.wires.filter(({ points }) => points.length < 2)).toEqual([]);
  });
  test('nothing is sent to a terminal or a browser that is more than text', () => {
    // oxlint-disable-next-line no-control-regex -- control characters are exactly what must not be there
    expect(renderText(scene)).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
    const texts = [...renderSvg(scene).matchAll(/<text[^>]*>([^]*?)<\/text>/g)].map(([, content]) => content ?? '');
    expect(texts.filter((content) => /[<>"']|&(?!#\d+;)/.test(content))).toEqual([]);
  });
});
