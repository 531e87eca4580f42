/**
 * `npm start`: the main job on the embedded image, as a transcript. Plans a network, serves a page from a
 * pod on it, fetches the page from the host, stops the pod, collects the garbage, and shows that nothing is left.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const rkt = resolve(import.meta.dirname, '../../dist/rkt');
if (process.getuid?.() !== 0) {
  execFileSync('sudo', [process.execPath, import.meta.filename], { stdio: 'inherit' });
  process.exit(0);
}
const dataDir = mkdtempSync(join(tmpdir(), 'rkt-demo-'));
const options = [`--dir=${dataDir}`];
const uuidFile = join(dataDir, 'uuid');

const show = (args: readonly string[], end = ''): void =>
  console.log(`\n$ rkt ${args.map((arg) => (/^[\w./:=,-]+$/.test(arg) ? arg : `'${arg}'`)).join(' ')}${end}`);
function rktRun(...args: string[]): string {
  show(args);
  const output = execFileSync(rkt, [...options, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  process.stdout.write(output);
  return output;
}

/** Links, leases, namespaces and tables of this machine that could be a pod's. */
function inventory(): string[] {
  const listed = (path: string, what: string): string[] => (existsSync(path) ? readdirSync(path).map((name) => `${what} ${name}`) : []);
  return [
    ...listed('/sys/class/net', 'link'),
    ...listed('/run/netns', 'network namespace'),
    ...listed('/var/lib/cni/networks/bridge', 'lease').filter((line) => /\d\.\d/.test(line) && !line.includes('last_reserved')),
    ...readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .filter((line) => line.includes('rkt'))
      .map((line) => `mount ${line}`),
  ];
}

const fetchPage = (url: string): Promise<string> =>
  new Promise((done, fail) => {
    get(url, { timeout: 2_000 }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => done(text));
    }).on('error', fail);
  });

const pause = (ms: number): Promise<void> => new Promise((done) => void setTimeout(done, ms));

async function waitFor<T>(what: string, probe: () => T | undefined | Promise<T | undefined>): Promise<T> {
  let last: unknown;
  for (let tries = 0; tries < 100; tries++) {
    try {
      const found = await probe();
      if (found !== undefined) return found;
    } catch (error) {
      last = error;
    }
    await pause(100);
  }
  throw new Error(`${what} did not happen in 10 s`, { cause: last });
}

async function demo(): Promise<void> {
  const before = inventory();
  rktRun('net', 'plan', '--net=bridge');

  const serve = [
    'run',
    '--net=bridge',
    `--uuid-file-save=${uuidFile}`,
    'busybox',
    '--name=web',
    '--exec=/bin/sh',
    '--',
    '-c',
    'mkdir -p /www && echo "hello from a pod" > /www/index.html && exec httpd -f -p 80 -h /www',
  ];
  show(serve, ' &');
  const pod = spawn(rkt, [...options, ...serve], { stdio: 'inherit' });
  const ended = new Promise<number | null>((done) => void pod.on('exit', (status) => done(status)));
  const address = await waitFor('the pod', () => {
    const pods = JSON.parse(execFileSync(rkt, [...options, 'list', '--format=json'], { encoding: 'utf8' })) as
      | { networks?: { ip: string }[]; pid?: number }[]
      | null;
    return pods?.[0]?.pid === undefined ? undefined : pods[0].networks?.[0]?.ip;
  });
  const page = await waitFor('the web server', () => fetchPage(`http://${address}/`));
  console.log(`\n$ curl http://${address}/\n${page.trimEnd()}`);
  if (page.trim() !== 'hello from a pod') throw new Error(`unexpected page: ${page}`);

  rktRun('list');
  rktRun('stop', `--uuid-file=${uuidFile}`);
  await ended;
  rktRun('gc', '--grace-period=0');
  rktRun('list');

  const left = await waitFor('the kernel letting go of the links', () => {
    const found = inventory().filter((line) => !before.includes(line));
    return found.length === 0 ? found : undefined;
  });
  console.log(`\nlinks, namespaces, leases, mounts left: ${left.length}`);
}

try {
  await demo();
} catch (error) {
  // The pod may still run. Without the journal in dataDir nobody could undo it.
  spawnSync(rkt, [...options, 'stop', '--force', `--uuid-file=${uuidFile}`], { stdio: 'ignore' });
  execFileSync(rkt, [...options, 'gc', '--grace-period=0'], { stdio: 'ignore' });
  throw error;
} finally {
  rmSync(dataDir, { recursive: true, force: true });
}
