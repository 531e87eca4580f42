/** A kernel that refuses: what comes before the refused request in a batch was done. */
import { vi } from 'vitest';
import { Errno } from '../../../src/host/linux.ts';
import { RouteSocket } from '../../../src/host/netlink/socket.ts';

/** Runs `act` with the first request whose description contains `step` failing (ENOMEM), and only that one. */
export function withFailing(step: string, act: () => void): void {
  // oxlint-disable-next-line typescript/unbound-method -- bound again below
  const original = RouteSocket.prototype.request;
  let failed = false;
  const spy = vi.spyOn(RouteSocket.prototype, 'request').mockImplementation(function (this: RouteSocket, requests) {
    const at = failed ? -1 : requests.findIndex(({ what }) => what.includes(step));
    original.call(this, at < 0 ? requests : requests.slice(0, at));
    failed ||= at >= 0;
    if (at >= 0) throw new Errno('netlink', 12, step);
  });
  try {
    act();
  } finally {
    spy.mockRestore();
  }
}
