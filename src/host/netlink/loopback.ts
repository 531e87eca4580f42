/** lo of the namespace this thread is in. */
import { linkByName, setUp } from './rtnetlink.ts';
import { RouteSocket } from './socket.ts';

/** Sets it up; the kernel then gives it 127.0.0.1/8 and ::1. */
export function bringUpLoopback(): void {
  using socket = new RouteSocket();
  const lo = linkByName(socket, 'lo');
  if (lo !== undefined && !lo.up) socket.request([setUp(lo.index, 'lo')]);
}
