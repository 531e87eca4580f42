/** A runtime that knows nothing of GC: our executables take what attachments share along with the last of them. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createNetns, removeNetns } from '../../../src/host/netns.ts';
import { useHost } from '../../rig/host.ts';
import { askAtOnce, makeExecutables, type Answer } from './executable.ts';

useHost();

let dir = '';
let dataDir = '';
beforeAll(() => {
  dir = makeExecutables('bridge', 'portmap', 'firewall');
  dataDir = mkdtempSync(join(tmpdir(), 'rkt-leases-'));
});
afterAll(() => [dir, dataDir].forEach((path) => rmSync(path, { recursive: true })));

const chain = ['bridge', 'portmap', 'firewall'] as const;
const conf = (type: string, i: number, prevResult: unknown): string =>
  JSON.stringify({
    cniVersion: '1.0.0',
    name: 'tidy',
    type,
    ...(type === 'bridge'
      ? {
          bridge: 'tidy0',
          isGateway: true,
          ipMasq: true,
          ipam: { type: 'host-local', dataDir, subnet: '10.9.0.0/24', routes: [{ dst: '0.0.0.0/0' }] },
        }
      : {}),
    runtimeConfig: { portMappings: [{ hostPort: 9000 + i, containerPort: 80, protocol: 'tcp' }] },
    ...(prevResult === undefined ? {} : { prevResult }),
  });
const call = (type: string, verb: string, i: number, prevResult: unknown): Promise<Answer> =>
  askAtOnce(
    join(dir, type),
    { COMMAND: verb, CONTAINERID: `c${i}`, NETNS: `/run/netns/c${i}`, IFNAME: 'eth0', PATH: dir },
    conf(type, i, prevResult),
  );
async function add(i: number): Promise<unknown> {
  createNetns(`/run/netns/c${i}`);
  let result: unknown;
  for (const type of chain) {
    const answer = await call(type, 'ADD', i, result);
    expect(answer.status, answer.stdout).toBe(0);
    result = answer.json;
  }
  return result;
}
async function del(i: number, result: unknown): Promise<void> {
  for (const type of chain.toReversed()) {
    const answer = await call(type, 'DEL', i, result);
    expect(answer.status, answer.stdout).toBe(0);
  }
  removeNetns(`/run/netns/c${i}`);
}
const bridges = (): number => (JSON.parse(execFileSync('ip', ['-j', 'link', 'show', 'type', 'bridge'], { encoding: 'utf8' })) as unknown[]).length;
const rules = (): string => execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' }).trim();

test('bridge, table and store stay while one attachment is there, and go with the last', async () => {
  const [first, second] = [await add(1), await add(2)];
  await del(1, first);
  expect([bridges(), rules().includes('table inet rkt'), existsSync(join(dataDir, 'tidy'))]).toEqual([1, true, true]);
  await del(2, second);
  expect([bridges(), rules(), readdirSync(dataDir)]).toEqual([0, '', []]);
});

test('attachments that come while the last one leaves find, or make, what they need', async () => {
  let present = await add(0);
  for (let round = 0; round < 6; round++) {
    const leaving = del(round, present);
    const [, next] = await Promise.all([leaving, add(round + 1)]);
    expect(bridges()).toBe(1);
    expect(rules()).toContain(`9${String(round + 1).padStart(3, '0')}`);
    present = next;
  }
  await del(6, present);
  expect([bridges(), rules(), readdirSync(dataDir)]).toEqual([0, '', []]);
});
