/** A DHCP server on a bridge of the throw-away host, and the daemon that the reference's client needs. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { monotonicMs, sleepMs } from '../../host/clock.ts';
import { runDetached } from '../../host/linux.ts';
import { findExecutable } from '../../host/run-program.ts';
import { ip, processes, programPath } from './observe.ts';
import { benchDir, lanName, type Session } from './session.ts';

const startMs = 2_000;

/** @returns why there is none */
export function serveDhcp(session: Session): string | undefined {
  const server = findExecutable('dnsmasq', programPath);
  if (server === undefined) return 'this machine lacks a DHCP server (dnsmasq)';
  for (const command of [
    `link add ${lanName} address 02:00:0a:58:00:01 type bridge`,
    `addr add 10.88.0.1/16 dev ${lanName}`,
    `link set ${lanName} up`,
  ])
    ip(command);
  const pidFile = join(benchDir, 'dnsmasq.pid');
  const options = [
    '--conf-file=/dev/null',
    `--pid-file=${pidFile}`,
    '--keep-in-foreground',
    '--user=root',
    '--port=0',
    `--interface=${lanName}`,
    '--bind-interfaces',
    '--dhcp-range=10.88.0.50,10.88.0.250,255.255.0.0,1h',
    '--dhcp-option=option:router,10.88.0.1',
    `--dhcp-leasefile=${join(benchDir, 'dnsmasq.leases')}`,
    `--log-facility=${join(benchDir, 'dnsmasq.log')}`,
    '--dhcp-authoritative',
    '--no-ping',
  ];
  runDetached(server, [server, ...options], session.environment({}));
  const deadline = monotonicMs() + startMs;
  while (!existsSync(pidFile)) {
    if (monotonicMs() > deadline) return 'the DHCP server (dnsmasq) does not start';
    sleepMs(20);
  }
  daemon(session);
  return undefined;
}

/** `dhcp daemon`, where the plugin knows such a thing: one that does not says what it is, and ends. */
function daemon(session: Session): void {
  const before = new Set(processes());
  runDetached(session.plugin, [session.plugin, 'daemon'], session.environment({}));
  const deadline = monotonicMs() + startMs;
  sleepMs(50);
  while (!existsSync('/run/cni/dhcp.sock') && monotonicMs() < deadline) {
    if (processes().every((pid) => before.has(pid))) return;
    sleepMs(20);
  }
}
