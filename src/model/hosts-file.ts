/** The text of /etc/hosts. Pure. @see rkt.md 2.6 */
import type { HostsEntry } from './plan.ts';

/** The host name belongs to the loopback line, not to the pod's address; entries come last. */
export const hostsText = (hostname: string, entries: readonly HostsEntry[]): string =>
  [
    `127.0.0.1\tlocalhost localhost.domain localhost4 localhost4.localdomain4 ${hostname}`,
    '::1\tlocalhost localhost.domain localhost6 localhost6.localdomain6',
    ...entries.map(({ ip, names }) => `${ip}\t${names.join(' ')}`),
    '',
  ].join('\n');
