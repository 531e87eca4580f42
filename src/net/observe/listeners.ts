/** Who listens in the network namespace this thread is in, from /proc. @see proc_pid_net(5) */
import { readText } from '../../host/files.ts';
import { ipFromBytes } from '../../model/cidr.ts';
import type { Listener } from './types.ts';

const TCP_LISTEN = '0A';
/** A UDP socket without a peer. */
const UDP_UNCONNECTED = '07';

/** Parses one of /proc/net/{tcp,tcp6,udp,udp6}: addresses are hexadecimal words in host order (little-endian). */
export function parseListeners(text: string, protocol: Listener['protocol']): Listener[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local = '', , state = ''] = line.trim().split(/\s+/);
      const [hex = '', port = ''] = local.split(':');
      if (state !== (protocol === 'tcp' ? TCP_LISTEN : UDP_UNCONNECTED)) return [];
      const bytes = Buffer.from(hex, 'hex').swap32();
      const ip = ipFromBytes(bytes);
      return [{ protocol, address: ip.value === 0n ? '' : ip.text, port: Number.parseInt(port, 16) }];
    });
}

export const readListeners = (): Listener[] =>
  (['tcp', 'udp'] as const).flatMap((protocol) =>
    [protocol, `${protocol}6`].flatMap((file) => parseListeners(readText(`/proc/thread-self/net/${file}`) ?? '', protocol)),
  );
