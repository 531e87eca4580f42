/** podman's CNI backend on the throw-away host: storage, locks, networks and control groups of its own. Synchronous but for {@link Podman.launch}. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MNT_DETACH, MS, mount, umount } from '../../src/host/linux.ts';

export interface PodmanOutcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}
/** One configuration list. */
export interface PodmanNetwork {
  readonly name: string;
  readonly bridge: string;
  /** 10.N.0.0/24 */
  readonly subnet: number;
  /** what firewall and portmap are asked for; none: not a word about it */
  readonly backend?: string;
}

/** What podman itself would write for a network, with tuning after it. */
export function conflist({ name, bridge, subnet, backend }: PodmanNetwork): string {
  const ranges = [[{ subnet: `10.${subnet}.0.0/24`, gateway: `10.${subnet}.0.1` }]];
  const asked = backend === undefined ? {} : { backend };
  return JSON.stringify({
    cniVersion: '1.0.0',
    name,
    plugins: [
      {
        type: 'bridge',
        bridge,
        isGateway: true,
        ipMasq: true,
        hairpinMode: true,
        capabilities: { ips: true, mac: true },
        ipam: { type: 'host-local', routes: [{ dst: '0.0.0.0/0' }], ranges },
      },
      { type: 'portmap', capabilities: { portMappings: true }, ...asked },
      { type: 'firewall', ...asked },
      { type: 'tuning', sysctl: { 'net.ipv4.conf.IFNAME.arp_filter': '1' } },
    ],
  });
}

/** A container's command that serves `text` on port 80. */
export const serving = (text: string): string[] => ['/bin/sh', '-c', `mkdir -p /www; echo ${text} > /www/index.html; exec httpd -f -p 80 -h /www`];

const unified = '/sys/fs/cgroup/unified';

export class Podman {
  readonly dir = mkdtempSync('/tmp/rkt-podman-');
  readonly #cgroup = `rkt-podman-${process.pid}-${this.dir.slice(-6)}`;
  readonly #env: NodeJS.ProcessEnv;
  #image = '';

  /** The host must have been entered. @param pluginDir - where podman finds the plugins */
  constructor(pluginDir: string, env: NodeJS.ProcessEnv = process.env) {
    for (const dir of [this.networkDir, this.wrappers]) mkdirSync(dir);
    const toml = {
      network: { network_backend: 'cni', cni_plugin_dirs: [this.wrappers, pluginDir], network_config_dir: this.networkDir },
      engine: { cgroup_manager: 'cgroupfs', events_logger: 'none', tmp_dir: join(this.dir, 'tmp') },
      // podman's own are higher than what root may give in many containers and machines.
      containers: { default_ulimits: ['nofile=1024:1024', 'nproc=1024:1024'] },
    };
    const section = ([name, values]: [string, object]): string =>
      `[${name}]\n${Object.entries(values)
        .map(([key, value]) => `${key}=${JSON.stringify(value)}\n`)
        .join('')}`;
    writeFileSync(join(this.dir, 'containers.conf'), Object.entries(toml).map(section).join(''));
    this.#env = { ...env, CONTAINERS_CONF: join(this.dir, 'containers.conf') };
  }

  get networkDir(): string {
    return join(this.dir, 'net');
  }
  /** A directory whose plugins go first. */
  get wrappers(): string {
    return join(this.dir, 'wrappers');
  }
  addNetwork(network: PodmanNetwork): void {
    writeFileSync(join(this.networkDir, `${network.name}.conflist`), conflist(network));
  }

  /** Gets ready to run the image at `oci`. @returns why podman cannot run containers on this machine; undefined when it can */
  prepare(oci: string): string | undefined {
    // Locks in shared memory are not to be the machine's, and crun refuses hybrid cgroup hosts. The mount namespace is the test's.
    mount('podman', '/dev/shm', 'tmpfs', MS.NOSUID | MS.NODEV, 'mode=1777');
    if (existsSync(`${unified}/cgroup.procs`)) {
      umount(unified, MNT_DETACH);
      mount('podman', unified, 'tmpfs', MS.NOSUID | MS.NODEV, 'mode=755');
    }
    const found = spawnSync('podman', ['--version'], { encoding: 'utf8' });
    if (found.status !== 0) return 'podman is not installed';
    const pulled = this.run('pull', '-q', `oci:${oci}`);
    if (pulled.status !== 0) return `${found.stdout.trim()} has no CNI backend, or no storage: ${pulled.stderr.trim()}`;
    this.#image = pulled.stdout.trim();
    const backend = this.run('info', '--format={{.Host.NetworkBackend}}').stdout.trim();
    if (backend !== 'cni') return `${found.stdout.trim()} has no CNI backend, only ${backend}`;
    const tried = this.run('run', '--rm', '--network=none', `--cgroup-parent=/${this.#cgroup}`, this.#image, '/bin/true');
    return tried.status === 0 ? undefined : `${found.stdout.trim()} cannot run a container here: ${tried.stderr.trim()}`;
  }

  #arguments(args: readonly string[]): string[] {
    return [`--root=${join(this.dir, 'root')}`, `--runroot=${join(this.dir, 'runroot')}`, ...args];
  }
  /** podman with `args`, to its end. */
  run(...args: string[]): PodmanOutcome {
    const { status, stdout, stderr } = spawnSync('podman', this.#arguments(args), { encoding: 'utf8', timeout: 60_000, env: this.#env, input: '' });
    return { status, stdout, stderr };
  }
  /** The same, beside others. */
  launch(...args: string[]): Promise<PodmanOutcome> {
    const child = spawn('podman', this.#arguments(args), { stdio: ['ignore', 'pipe', 'pipe'], env: this.#env });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    return new Promise((done) => void child.on('close', (status) => done({ status, stdout, stderr })));
  }
  /** Arguments that start a container in the background. */
  starting(name: string, flags: readonly string[], command: readonly string[]): string[] {
    return ['run', '-d', `--name=${name}`, `--cgroup-parent=/${this.#cgroup}`, ...flags, this.#image, ...command];
  }

  /** Mounts of its storage that are there: its containers' file systems. */
  mounts(): string[] {
    const all = readFileSync('/proc/thread-self/mountinfo', 'utf8').split('\n');
    return all.map((line) => line.split(' ')[4] ?? '').filter((path) => path.startsWith(this.dir));
  }
  /** Control groups of containers, not that of conmon, which podman keeps. */
  cgroups(): string[] {
    return this.#cgroupParents().flatMap((parent) =>
      readdirSync(parent, { withFileTypes: true })
        .filter((entry) => entry.isDirectory() && entry.name !== 'conmon')
        .map(({ name }) => join(parent, name)),
    );
  }
  #cgroupParents(): string[] {
    const base = '/sys/fs/cgroup';
    const hierarchies = [base, ...readdirSync(base).map((name) => join(base, name))].filter((path) => path !== unified);
    return hierarchies.map((path) => join(path, this.#cgroup)).filter((path) => existsSync(path));
  }

  /** Containers, storage, control groups. What podman keeps mounted while it is not running goes, too. */
  close(): void {
    if (this.#image !== '') this.run('rm', '-a', '-f', '-t=0');
    for (const path of this.mounts().toReversed()) umount(path, MNT_DETACH);
    for (const parent of this.#cgroupParents()) for (const path of [join(parent, 'conmon'), parent]) if (existsSync(path)) rmdirSync(path);
    umount('/dev/shm', MNT_DETACH);
    rmSync(this.dir, { recursive: true });
  }
}
