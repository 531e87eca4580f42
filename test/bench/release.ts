/** How soon after the exit status a pod's address, ports and rules are free, and what that costs. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { alternate, median } from './measure.ts';

const address = '172.16.29.77';
const lease = `/var/lib/cni/networks/bridge/${address}`;

export interface ReleaseTimes {
  /** address, ports and rules, after the exit status */
  readonly freeMs: number;
  /** the network namespace is let go of as well */
  readonly goneMs: number;
  /** CPU of the release alone */
  readonly cpuMs: number;
}

/** `run`: rkt up to and with the word `run`. */
export function measureRelease(run: readonly string[], rounds: number, env: NodeJS.ProcessEnv): ReleaseTimes {
  const pod = [...run, `--net=bridge:IP=${address}`, '--port=8080:80', 'busybox', '--exec=/bin/true'];
  const free: number[] = [];
  const gone: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const { status } = spawnSync(pod[0] ?? '', pod.slice(1), { env, stdio: 'ignore' });
    const exit = performance.now();
    if (status !== 0) throw new Error(`${pod.join(' ')} ended with ${status}`);
    // Rules go before the lease.
    while (existsSync(lease)) continue;
    free.push(performance.now() - exit);
    while (readdirSync('/run/netns').length > 0) continue;
    gone.push(performance.now() - exit);
    if (/elements = /.test(execFileSync('nft', ['list', 'table', 'inet', 'rkt'], { encoding: 'utf8' })))
      throw new Error('elements outlive the lease');
  }
  // Done before the exit it counts as part of the run.
  const net = ['--net=bridge', 'busybox', '--exec=/bin/true'];
  const taken = alternate(
    [
      { name: 'with', command: ['env', 'INVOCATION_ID=bench', ...run, ...net] },
      { name: 'without', command: [...run, '--net-release=gc', ...net] },
    ],
    rounds * 2,
    env,
  );
  return {
    freeMs: median(free),
    goneMs: median(gone),
    cpuMs: (taken.get('with')?.cpuMs ?? Number.NaN) - (taken.get('without')?.cpuMs ?? Number.NaN),
  };
}
