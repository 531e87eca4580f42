/**
 * Namespaces and wires for packet tests on a throw-away host: pods p1, p2 on br0, q1 on br1, and `far` beyond the host.
 * `far` has routes to the pods, so that a source address that was not masqueraded arrives as it is.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';

const ip = (...args: string[]): void => void execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });

export const pods = {
  p1: { bridge: 'br0', v4: '10.88.0.2/24', v6: 'fd88::2/64', gateway4: '10.88.0.1', gateway6: 'fd88::1' },
  p2: { bridge: 'br0', v4: '10.88.0.3/24', v6: 'fd88::3/64', gateway4: '10.88.0.1', gateway6: 'fd88::1' },
  q1: { bridge: 'br1', v4: '10.89.0.2/24', v6: 'fd89::2/64', gateway4: '10.89.0.1', gateway6: 'fd89::1' },
} as const;
export type Place = keyof typeof pods | 'far' | 'host';
export const host4 = '192.0.2.1';
export const host6 = '2001:db8::1';
export const far4 = '192.0.2.2';
export const far6 = '2001:db8::2';

export interface World {
  /** the address the server at `to`:`port` saw, 'none' when nothing came back within `timeoutS` */
  ask(from: Place, to: string, port: number, protocol?: 'tcp' | 'udp', timeoutS?: number): string;
  serve(at: Place, port: number): Promise<void>;
  close(): Promise<void>;
}

const within = (place: Place, command: string[]): string[] => (place === 'host' ? command : ['ip', 'netns', 'exec', place, ...command]);

export function makeWorld(): World {
  const servers: ChildProcess[] = [];
  // A device whose link-local address is still under duplicate detection sends no neighbour solicitation at all.
  const noDad = 'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad; echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad';
  execFileSync('sh', ['-c', noDad]);
  for (const name of [...Object.keys(pods), 'far']) {
    ip('netns', 'add', name);
    execFileSync('ip', ['netns', 'exec', name, 'sh', '-c', noDad]);
  }
  for (const [bridge, v4, v6] of [
    ['br0', '10.88.0.1/24', 'fd88::1/64'],
    ['br1', '10.89.0.1/24', 'fd89::1/64'],
  ] as const) {
    ip('link', 'add', bridge, 'type', 'bridge');
    ip('link', 'set', bridge, 'up');
    ip('addr', 'add', v4, 'dev', bridge);
    ip('-6', 'addr', 'add', v6, 'dev', bridge, 'nodad');
  }
  const wire = (name: string, at: string, bridge: string | undefined, addresses: readonly string[]): void => {
    ip('link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', at);
    if (bridge !== undefined) {
      ip('link', 'set', name, 'master', bridge);
      ip('link', 'set', name, 'type', 'bridge_slave', 'hairpin', 'on');
    }
    ip('link', 'set', name, 'up');
    ip('-n', at, 'link', 'set', 'lo', 'up');
    ip('-n', at, 'link', 'set', 'eth0', 'up');
    for (const address of addresses) ip('-n', at, 'addr', 'add', address, 'dev', 'eth0', ...(address.includes(':') ? ['nodad'] : []));
  };
  for (const [name, pod] of Object.entries(pods)) {
    wire(`v${name}`, name, pod.bridge, [pod.v4, pod.v6]);
    ip('-n', name, 'route', 'add', 'default', 'via', pod.gateway4);
    ip('-n', name, '-6', 'route', 'add', 'default', 'via', pod.gateway6);
  }
  wire('vfar', 'far', undefined, [`${far4}/24`, `${far6}/64`]);
  ip('addr', 'add', `${host4}/24`, 'dev', 'vfar');
  ip('-6', 'addr', 'add', `${host6}/64`, 'dev', 'vfar', 'nodad');
  for (const subnet of ['10.88.0.0/24', '10.89.0.0/24']) ip('-n', 'far', 'route', 'add', subnet, 'via', host4);
  for (const subnet of ['fd88::/64', 'fd89::/64']) ip('-n', 'far', '-6', 'route', 'add', subnet, 'via', host6);
  execFileSync('sh', ['-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding']);

  return {
    ask(from, to, port, protocol = 'tcp', timeoutS = 1) {
      const script =
        protocol === 'tcp' ? `exec 3<>/dev/tcp/${to}/${port} && head -n1 <&3` : `exec 3<>/dev/udp/${to}/${port} && echo hello >&3 && head -n1 <&3`;
      const [command = '', ...args] = within(from, ['timeout', String(timeoutS), 'bash', '-c', script]);
      try {
        return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim() || 'none';
      } catch {
        return 'none';
      }
    },
    async serve(at, port) {
      const [command = '', ...args] = within(at, [process.execPath, resolve(import.meta.dirname, 'echo-server.mjs'), String(port)]);
      const server = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      servers.push(server);
      await once(server.stdout, 'data');
    },
    async close() {
      await Promise.all(
        servers.map((server) => {
          const gone = once(server, 'exit');
          server.kill('SIGKILL');
          return gone;
        }),
      );
      for (const link of [...Object.keys(pods), 'far'].map((name) => `v${name}`)) ip('link', 'del', link);
      for (const name of [...Object.keys(pods), 'far']) ip('netns', 'del', name);
      for (const link of ['br0', 'br1']) ip('link', 'del', link);
    },
  };
}
