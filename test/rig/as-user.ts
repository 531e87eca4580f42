/** A command as an ordinary user: uid and gid 65534, no groups, no capabilities. */
import { spawnSync } from 'node:child_process';

export function asUser(argv: readonly string[]): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  return spawnSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', ...argv], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    timeout: 110_000,
  });
}
