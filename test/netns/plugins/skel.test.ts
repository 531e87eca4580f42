import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createNetns, removeNetns } from '../../../src/host/netns.ts';
import { useHost } from '../../rig/host.ts';
import { ask, makeExecutable, makeExecutables, type Answer } from './executable.ts';

useHost();

let dir = '';
let dataDir = '';
beforeAll(() => {
  dir = makeExecutables('host-local', 'ptp', 'loopback');
  // Asks its IPAM and does nothing else, no clean-up either: what reaches the IPAM comes from the front.
  makeExecutable(
    join(dir, 'asks'),
    `import { runAsExecutable } from './cni-plugins/skel/main.ts';
     const ask = (verb) => (req, ctx) => ctx.delegate(req.conf.ipam.type, verb, req);
     runAsExecutable({ type: 'asks', versions: ['1.0.0'], add: ask('ADD'), check: ask('CHECK'), del: ask('DEL'), gc: ask('GC'), status: ask('STATUS') });`,
  );
  dataDir = mkdtempSync(join(tmpdir(), 'rkt-leases-'));
});
afterAll(() => [dir, dataDir].forEach((path) => rmSync(path, { recursive: true })));

const run = (type: string, env: Record<string, string>, stdin = ''): Answer => ask(join(dir, type), env, stdin);
const full = (command: string, more: Record<string, string> = {}) => ({
  COMMAND: command,
  CONTAINERID: 'c1',
  NETNS: '/run/netns/skel',
  IFNAME: 'eth0',
  PATH: dir,
  ...more,
});
const conf = (more: object = {}): string =>
  JSON.stringify({ cniVersion: '1.0.0', name: 'skel', type: 'ptp', ipam: { type: 'host-local', dataDir, subnet: '10.9.0.0/24' }, ...more });
function inNetns(work: (netns: string) => void): void {
  createNetns('/run/netns/skel');
  try {
    work('/run/netns/skel');
  } finally {
    removeNetns('/run/netns/skel');
  }
}

describe('without a request', () => {
  test('X7: about, exit 0', () => {
    expect(run('ptp', {})).toMatchObject({
      status: 0,
      stdout: '',
      stderr: 'CNI ptp plugin of rkt 0.0.0-test\nCNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n',
    });
  });
  test('V6: VERSION answers with the version it was asked in; V7: and without stdin with its own', () => {
    const supportedVersions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'];
    expect(run('host-local', { COMMAND: 'VERSION' }, '{"cniVersion":"0.4.0"}').json).toEqual({ cniVersion: '0.4.0', supportedVersions });
    expect(run('host-local', { COMMAND: 'VERSION' }).json).toEqual({ cniVersion: '1.1.0', supportedVersions });
  });
  test('VERSION does not wait for a stdin that never ends', async () => {
    const child = spawn(join(dir, 'host-local'), [], {
      env: { PATH: process.env['PATH'], CNI_COMMAND: 'VERSION' },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const status = await Promise.race([
      new Promise<number | null>((done) => void child.on('close', done)),
      new Promise<string>((done) => void setTimeout(done, 4_000, 'still waiting')),
    ]);
    child.kill();
    expect(status).toBe(0);
  });
});

describe('refused', () => {
  test.each<[string, Record<string, string>, string, number, string]>([
    ['X1', { COMMAND: 'ADD' }, conf(), 4, 'required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH] missing'],
    ['X6', full('PURGE'), conf(), 4, 'unknown CNI_COMMAND: PURGE'],
    ['X2', full('ADD'), '{', 6, 'failed to decode the network configuration'],
    ['X3', full('ADD'), conf({ cniVersion: '7.0.0' }), 1, 'incompatible CNI versions'],
    ['X4', full('CHECK'), conf({ cniVersion: '0.3.1' }), 1, 'config version does not allow CHECK'],
  ])('%s', (_key, env, stdin, code, msg) => {
    const { status, json, stderr } = run('ptp', env['CONTAINERID'] === undefined ? env : { ...env, PATH: dir }, stdin);
    expect({ status, code: json.code, msg: json.msg, stderr }).toEqual({ status: 1, code, msg, stderr: '' });
  });
  test('P22: the error object carries the version of the configuration', () =>
    expect(run('ptp', full('ADD'), conf({ cniVersion: '0.4.0', ipam: {} })).json).toMatchObject({ cniVersion: '0.4.0' }));
  test('Z11: its own namespace, before anything is done; unless it is meant (R8)', () => {
    const own = { NETNS: '/proc/self/ns/net' };
    const answer = run('ptp', full('ADD', own), conf());
    expect(answer.json.code).toBe(8);
    expect(
      answer.stdout
        .trim()
        .split('\n')
        .filter((line) => line === '{'),
    ).toHaveLength(1);
    expect(execFileSync('ip', ['-o', 'link'], { encoding: 'utf8' })).not.toContain('veth');
    expect(run('ptp', full('DEL', own), conf()).json.code).toBe(8);
    expect(run('loopback', full('DEL', { ...own, NETNS_OVERRIDE: 'True', IFNAME: 'lo' }), conf()).json.code).toBeUndefined();
    execFileSync('ip', ['link', 'set', 'lo', 'up']);
  });
});

describe('delegation', () => {
  test('ptp and host-local, ours, as executables: life of an attachment', () =>
    inNetns((netns) => {
      const added = run('ptp', full('ADD'), conf());
      expect(added.json.ips?.[0]?.address).toBe('10.9.0.2/24');
      expect(execFileSync('ip', ['netns', 'exec', 'skel', 'ip', '-o', '-4', 'addr', 'show', 'eth0'], { encoding: 'utf8' })).toContain('10.9.0.2');
      expect(run('ptp', full('CHECK'), conf({ prevResult: added.json })).stdout).toBe('');
      expect(run('ptp', full('DEL', { NETNS: netns }), conf({ prevResult: added.json }))).toMatchObject({ status: 0, stdout: '' });
      expect(run('ptp', full('DEL'), conf())).toMatchObject({ status: 0, stdout: '' });
    }));

  test('P16: what CNI_PATH finds first is run, with the whole configuration and the command; P19: interfaces are dropped', () =>
    inNetns(() => {
      const other = mkdtempSync(join(tmpdir(), 'rkt-ipam-'));
      try {
        writeFileSync(
          join(other, 'host-local'),
          `#!/bin/sh
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME" >> ${other}/log
cat > ${other}/stdin
echo warning >&2
[ "$CNI_COMMAND" = ADD ] && echo '{"cniVersion":"1.0.0","interfaces":[{"name":"x"}],"ips":[{"address":"10.9.7.7/24","interface":0}]}'
exit 0
`,
          { mode: 0o755 },
        );
        const stdin = conf({ big: 1 }).replace('"big":1', '"big":9007199254740993123');
        const added = run('ptp', full('ADD', { PATH: `${other}:${dir}` }), stdin);
        expect(added.json.ips).toEqual([expect.objectContaining({ address: '10.9.7.7/24', interface: 1 })]);
        expect(added.stderr).toContain('warning');
        expect(execFileSync('cat', [join(other, 'stdin')], { encoding: 'utf8' })).toBe(stdin);
        run('ptp', full('DEL', { PATH: other }), stdin);
        expect(execFileSync('cat', [join(other, 'log')], { encoding: 'utf8' })).toBe('ADD c1 eth0\nDEL c1 eth0\n');
      } finally {
        rmSync(other, { recursive: true });
      }
    }));

  test('P18: an IPAM that fails is asked to take it back; its own error comes out', () =>
    inNetns(() => {
      const other = mkdtempSync(join(tmpdir(), 'rkt-ipam-'));
      try {
        writeFileSync(
          join(other, 'broken'),
          `#!/bin/sh\necho "$CNI_COMMAND" >> ${other}/log\n[ "$CNI_COMMAND" = DEL ] || { echo '{"code":103,"msg":"no addresses today"}'; exit 1; }\n`,
          { mode: 0o755 },
        );
        const { json, status } = run('asks', full('ADD', { PATH: other }), conf({ ipam: { type: 'broken' } }));
        expect([status, json.code, json.msg]).toEqual([1, 103, 'no addresses today']);
        expect(run('asks', full('CHECK', { PATH: other }), conf({ ipam: { type: 'broken' } })).json.code).toBe(103);
        expect(readFileSync(join(other, 'log'), 'utf8')).toBe('ADD\nDEL\nCHECK\n');
      } finally {
        rmSync(other, { recursive: true });
      }
    }));

  test('a type that is not on CNI_PATH is named; a crash and garbage are told apart', () =>
    inNetns(() => {
      const other = mkdtempSync(join(tmpdir(), 'rkt-ipam-'));
      try {
        for (const [name, script] of [
          ['crash', 'kill -9 $$'],
          ['garbage', 'echo hello'],
        ])
          writeFileSync(join(other, name ?? ''), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
        const message = (type: string): string => run('ptp', full('ADD', { PATH: other }), conf({ ipam: { type } })).json.msg ?? '';
        expect(message('nosuch')).toContain('failed to find plugin "nosuch"');
        expect(message('crash')).toContain('plugin crash did not finish: signal');
        expect(message('garbage')).toContain('plugin garbage printed no JSON');
      } finally {
        rmSync(other, { recursive: true });
      }
    }));

  test('ours answers in one process when CNI_PATH leads to it by a link: it need not even be executable', () =>
    inNetns(() => {
      const links = mkdtempSync(join(tmpdir(), 'rkt-links-'));
      try {
        for (const type of ['ptp', 'host-local']) symlinkSync(join(dir, type), join(links, type));
        chmodSync(join(dir, 'host-local'), 0o644);
        const added = ask(join(links, 'ptp'), full('ADD', { PATH: links }), conf());
        expect([added.status, added.json.ips?.length]).toEqual([0, 1]);
        expect(run('ptp', full('DEL', { PATH: links }), conf()).status).toBe(0);
      } finally {
        chmodSync(join(dir, 'host-local'), 0o755);
        rmSync(links, { recursive: true });
      }
    }));
});
