/** A network with a real DHCP server on it: busybox's udhcpd on the bridge. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sleepMs } from '../../../src/host/clock.ts';
import { ip } from '../plugins/world.ts';

export interface DhcpServer {
  /** everything it has said */
  log(): string;
  /** Waits until it has said `text`. */
  heard(text: string | RegExp, timeoutMs?: number): boolean;
  /** its lease file, as of the last {@link DhcpServer.writeLeases} */
  readonly leases: string;
  writeLeases(): void;
  stop(): void;
}

/** udhcpd on the bridge `bridge`, which has 10.44.0.1/24. `lines`: of its configuration file, besides the range. */
export function startServer(bridge: string, lines: readonly string[], range: readonly [string, string] = ['10.44.0.10', '10.44.0.99']): DhcpServer {
  const dir = mkdtempSync(join(tmpdir(), 'rkt-dhcp-'));
  const [conf, leases, log] = ['conf', 'leases', 'log'].map((name) => join(dir, name)) as [string, string, string];
  writeFileSync(leases, '');
  writeFileSync(log, '');
  writeFileSync(
    conf,
    [`interface ${bridge}`, `start ${range[0]}`, `end ${range[1]}`, `lease_file ${leases}`, `pidfile ${dir}/pid`, 'min_lease 10', ...lines, ''].join(
      '\n',
    ),
  );
  // An answer at once instead of an ARP probe of two seconds.
  const child: ChildProcess = spawn('sh', ['-c', `exec busybox udhcpd -f -a 1 ${conf} >${log} 2>&1`], { stdio: 'ignore' });
  const server: DhcpServer = {
    log: () => readFileSync(log, 'utf8'),
    heard(text, timeoutMs = 2_000) {
      const deadline = performance.now() + timeoutMs;
      for (;;) {
        if (typeof text === 'string' ? server.log().includes(text) : text.test(server.log())) return true;
        if (performance.now() > deadline) return false;
        sleepMs(10);
      }
    },
    leases,
    writeLeases() {
      const before = server.log().split('SIGUSR1').length;
      process.kill(child.pid ?? 0, 'SIGUSR1');
      waitFor(() => server.log().split('SIGUSR1').length > before);
      sleepMs(20);
    },
    stop() {
      const { pid } = child;
      if (pid !== undefined && existsSync(`/proc/${pid}`)) process.kill(pid, 'SIGKILL');
      waitFor(() => !isRunning(pid ?? 0));
      rmSync(dir, { recursive: true, force: true });
    },
  };
  server.heard('started');
  return server;
}

const isRunning = (pid: number): boolean => {
  try {
    return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false; // gone
  }
};

export function waitFor(condition: () => boolean, timeoutMs = 3_000): boolean {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) return false;
    sleepMs(10);
  }
  return true;
}

export function makeBridge(name: string): void {
  ip('link', 'add', name, 'type', 'bridge');
  ip('link', 'set', name, 'up');
  ip('addr', 'add', '10.44.0.1/24', 'dev', name);
}
export const removeBridge = (name: string): string => ip('link', 'del', name);

const mountsOf = (pid: string): string => readlinkSync(`/proc/${pid}/ns/mnt`);

/** Clients of this host, which is this mount namespace: pid and arguments. */
export function clients(): { pid: number; args: string[] }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const args = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
        return args[0] === 'udhcpc' &&
          args.some((arg) => arg.startsWith('/run/cni/dhcp/')) &&
          mountsOf(name) === mountsOf('thread-self') &&
          isRunning(Number(name))
          ? [{ pid: Number(name), args }]
          : [];
      } catch {
        return []; // ended meanwhile
      }
    });
}

/** What the server has given: address → 'expired' or the time that is left, as it writes it when asked. */
export function givenBy(server: DhcpServer): Record<string, string> {
  server.writeLeases();
  const table = execFileSync('busybox', ['dumpleases', '-f', server.leases], { encoding: 'utf8' }).trim().split('\n').slice(1);
  return Object.fromEntries(table.map((line): [string, string] => [line.split(/\s+/)[1] ?? '', line.trim().split(/\s+/).at(-1) ?? '']));
}
