/** The supervisor under AddressSanitizer and UndefinedBehaviorSanitizer: a finding ends it with a report on stderr. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { releaseElements, releaseFlows } from '../../../src/host/nftables/release.ts';
import { claim, removeTableIfUnused, removeUnusedChains } from '../../../src/host/nftables/table.ts';
import { parseCidr, type Cidr } from '../../../src/model/cidr.ts';
import { encodeRelease } from '../../../src/model/release.ts';
import { masqueradeElements } from '../../../src/model/ruleset.ts';
import { awaitRelease } from '../../../src/stage1/flavors/oci/release.ts';
import { useHost } from '../../rig/host.ts';
import { PodRig } from './pod-rig.ts';

useHost();
let rig: PodRig;
beforeAll(() => {
  rig = new PodRig(['-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all']);
});
afterEach(() => rig.cleanUp());
afterAll(() => rig.dispose());

test('start, signals, failure, grace time, exit', async () => {
  const pod = await rig
    .start({
      graceMs: 200,
      apps: [
        { run: 'trap "" TERM HUP USR1; echo deaf; while :; do sleep 0.02; done' },
        { run: 'trap "echo hup" HUP; trap "exit 3" TERM; echo up; while :; do sleep 0.02; done' },
      ],
    })
    .ready();
  await pod.printed('up');
  await pod.printed('deaf');
  pod.child.kill('SIGHUP');
  await pod.printed('hup');
  pod.child.kill('SIGUSR1');
  await pod.ended;
  expect(pod.stderr).toBe('');
  expect((await pod.ended).code).toBe(138);
});
test('what is said when an app cannot be started', async () => {
  const ended = await rig.run({ apps: [{ name: 'a'.repeat(100), run: ['/none'] }, { run: ['/bin/true'] }] });
  expect(ended.code).toBe(254);
  expect(ended.stderr).not.toMatch(/Sanitizer|runtime error/);
});
test('a release: every operation', async () => {
  const address = parseCidr('10.9.9.9/24') as Cidr;
  const elements = masqueradeElements({ network: 'net', containerId: 'pod', ifName: 'eth0' }, [address]);
  claim(elements);
  const file = join(rig.root, 'file');
  writeFileSync(file, 'mine');
  const release = encodeRelease([
    ...releaseElements(elements),
    { op: 'unlink', lock: file, dated: rig.root, files: [{ path: file, content: 'mine' }] },
    { op: 'run', path: '/bin/cat', stdin: 'said\n', env: { A: 'b' }, timeoutMs: 5_000 },
    { op: 'run', path: '/none', stdin: '', env: {}, timeoutMs: 5_000 },
    { op: 'signal', signal: 1, pidFile: '/proc/sys/kernel/pid_max', argument: 'none' },
    { op: 'unmount', path: '/run/netns/none' },
    { op: 'rmdir', paths: [join(rig.root, 'none')] },
    ...releaseFlows([{ pod: address.ip, port: 53, host: undefined }]),
  ]);
  const pod = rig.start({ apps: [{ run: ['/bin/true'] }], release: release.toString('base64') });
  expect((await pod.ended).code).toBe(0);
  awaitRelease(pod.dir);
  removeUnusedChains();
  expect([removeTableIfUnused(), existsSync(file)]).toEqual([true, false]);
  expect(pod.read('release.log')).toMatch(/^said\nrkt: cannot run \/none: .*\nrkt: \/none failed\n$/);
});
