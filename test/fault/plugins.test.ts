/**
 * A misbehaving plugin at every place of a chain, on ADD and on DEL. After a failed ADD nothing is left without any gc, as
 * long as the DELs succeed; where a DEL fails the journal keeps the attachment and the next gc finishes the work.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { useHost } from '../rig/host.ts';
import { Rkt, rktPath } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();

const log = (): string => join(rkt.config, 'calls.log');
const calls = (): string[] => (existsSync(log()) ? readFileSync(log(), 'utf8').trim().split('\n') : []);

beforeAll(() => {
  mkdirSync(join(rkt.config, 'net.d'));
  copyFileSync(resolve(import.meta.dirname, '../fixtures/plugins/behave'), join(rkt.config, 'net.d/behave'));
});

/** A network `bad` of bridge, portmap, firewall, with the misbehaving plugin at `place`. */
function configure(place: number, add: string, del: string): void {
  rmSync(log(), { force: true });
  for (const command of ['ADD', 'DEL']) rmSync(`${log()}.${command}`, { force: true });
  const plugins: object[] = [
    {
      type: 'bridge',
      bridge: 'bad0',
      isGateway: true,
      ipMasq: true,
      ipam: { type: 'host-local', ranges: [[{ subnet: '10.66.0.0/24' }]], routes: [{ dst: '0.0.0.0/0' }] },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
    { type: 'firewall' },
  ];
  plugins.splice(place, 0, { type: 'behave', add, del, log: log() });
  writeFileSync(join(rkt.config, 'net.d/10-bad.conflist'), JSON.stringify({ cniVersion: '1.0.0', name: 'bad', plugins }));
}
/** Its DEL is gc's. */
const run = (): ReturnType<Rkt['run']> => rkt.run(['run', '--net-release=gc', '--net=bad', '--port=8080:80', 'busybox', '--exec=/bin/true']);

const addFaults: readonly (readonly [string, RegExp])[] = [
  ['error', /no luck today; the stars \(CNI code 100\)[\s\S]*ERR_PLUGIN_FAILED/],
  ['crash', /signal 11[\s\S]*ERR_PLUGIN_FAILED/],
  ['garbage', /this is not JSON[\s\S]*ERR_PLUGIN_OUTPUT/],
  ['nothing', /status 3 and said nothing[\s\S]*ERR_PLUGIN_FAILED/],
  ['stderr', /only on \\x1b\[31mstderr[\s\S]*ERR_PLUGIN_FAILED/],
  ['wrong-version', /incompatible CNI versions[\s\S]*ERR_PLUGIN_FAILED[\s\S]*hint: .*cniVersions/],
  ['huge', /ERR_PLUGIN_OUTPUT/],
];

describe.each([0, 1, 2, 3])('at place %i of the chain', (place) => {
  test.each(addFaults)('ADD: %s', (kind, message) => {
    configure(place, kind, 'ok');
    const outcome = run();
    expect(outcome.status).toBe(254);
    expect(outcome.stderr).toMatch(message);
    expect(outcome.stderr).toContain('plugin behave of network "bad"');
    expect(calls().map((line) => line.split(' ')[0])).toEqual(['ADD', 'DEL']);
    expect(rkt.podDirectories()).toEqual([]);
    rkt.gc();
  });

  test.each(['error', 'crash', 'garbage', 'nothing', 'stderr'])('DEL: %s once, the next gc finishes', (kind) => {
    configure(place, 'ok', `once:${kind}`);
    expect(run().status).toBe(0);
    const first = rkt.run(['gc', '--grace-period=0']);
    expect(first.status).toBe(254);
    expect(first.stderr).toContain('plugin behave of network "bad"');
    expect(rkt.podDirectories()).toHaveLength(1);
    rkt.gc();
    expect(rkt.podDirectories()).toEqual([]);
  });

  test('ADD fails and so does the DEL after it: kept, said, finished by gc', () => {
    configure(place, 'error', 'once:error');
    const outcome = run();
    expect(outcome.status).toBe(254);
    expect(outcome.stderr).toMatch(/could not undo network.attach[\s\S]*kept for rkt gc/);
    expect(rkt.podDirectories()).toHaveLength(1);
    rkt.gc();
    expect(rkt.podDirectories()).toEqual([]);
  });
});

test('a plugin that is slow is waited for; one that says "try again" is asked again', () => {
  configure(3, 'once:again', 'ok');
  expect(run().status).toBe(0);
  expect(calls().filter((line) => line.startsWith('ADD'))).toHaveLength(2);
  rkt.gc();
  configure(3, 'slow', 'ok');
  expect(run().status).toBe(0);
  rkt.gc();
});

test.each([
  ['INT', 130],
  ['TERM', 143],
])('one that goes on saying "try again" does not keep SIG%s waiting', (signal, status) => {
  configure(3, 'again', 'once:again');
  const started = performance.now();
  const words = [
    '--foreground',
    '--preserve-status',
    `--signal=${signal}`,
    '1',
    rktPath,
    ...rkt.arguments(['run', '--net=bad', 'busybox', '--exec=/bin/true']),
  ];
  const outcome = spawnSync('timeout', words, { encoding: 'utf8' });
  expect([outcome.status, outcome.stderr]).toEqual([status, expect.stringContaining('ERR_INTERRUPTED')]);
  expect(performance.now() - started).toBeLessThan(4_000);
  // The way down asks once; the rest is for gc.
  expect(calls().filter((line) => line.startsWith('DEL'))).toHaveLength(1);
  expect(rkt.podDirectories()).toHaveLength(1);
  rkt.gc();
});

test('the DEL after a failed ADD gets the last result there was, the DEL of gc the final one', () => {
  configure(0, 'error', 'ok');
  run();
  expect(calls()[1]).not.toContain('prev');
  rkt.gc();
  configure(3, 'error', 'ok');
  run();
  expect(calls()[1]).toContain('prev');
  rkt.gc();
  configure(3, 'ok', 'ok');
  run();
  rkt.gc();
  expect(calls()[1]).toContain('prev');
});
