/** The supervisor under AddressSanitizer and UndefinedBehaviorSanitizer: a finding ends it with a report on stderr. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
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
