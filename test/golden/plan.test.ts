/**
 * Golden plans: `<case>/in` (request.json, facts.json, admin/net.d, system/net.d; the networks that come with rkt are the
 * real net.d) → `<case>/out` (plan.txt and plan.json, or error.txt). UPDATE_GOLDEN=1 writes them; read the diff before you commit it.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseNetArgs } from '../../src/net/args.ts';
import { confDirectories, loadConf } from '../../src/net/conf/load.ts';
import type { LoadedConf } from '../../src/net/conf/types.ts';
import type { NetFacts } from '../../src/net/facts/types.ts';
import { planNetworks } from '../../src/net/plan/plan.ts';
import { planJson, renderPlan } from '../../src/net/plan/render.ts';
import { parsePortArgs, resolvePorts, type AppPorts } from '../../src/net/ports.ts';
import type { RuntimeError } from '../../src/model/errors.ts';

const shipped = resolve(import.meta.dirname, '../../net.d');
const builtinTypes = ['bridge', 'firewall', 'host-local', 'loopback', 'portmap', 'ptp'];
interface Request {
  net: string[];
  ports?: string[];
  apps?: AppPorts[];
  netExec?: boolean;
}

function run(directory: string): Record<string, string> {
  const input = join(directory, 'in');
  const read = (name: string): unknown => JSON.parse(readFileSync(join(input, name), 'utf8'));
  const request = read('request.json') as Request;
  try {
    const loaded = loadConf(confDirectories({ localConfig: join(input, 'admin'), systemConfig: join(input, 'system') }, shipped));
    // Paths as on a real machine, before anything is wrapped to 80 columns.
    const text = JSON.stringify(loaded)
      .replaceAll(join(input, 'admin'), '/etc/rkt')
      .replaceAll(join(input, 'system'), '/usr/lib/rkt')
      .replaceAll(shipped, '/usr/lib/rkt/dist/net.d');
    const plan = planNetworks({
      request: parseNetArgs(request.net),
      configs: JSON.parse(text) as LoadedConf,
      facts: read('facts.json') as NetFacts,
      ports: resolvePorts(parsePortArgs(request.ports ?? []), request.apps ?? []),
      builtinTypes,
      forceExec: request.netExec ?? false,
    });
    return { 'plan.txt': renderPlan(plan), 'plan.json': planJson(plan) };
  } catch (error) {
    const { code, message, details, hint } = error as RuntimeError;
    if (typeof code !== 'string') throw error;
    return {
      'error.txt': `${[`${message} [${code}]`, ...details.map((detail) => `  ${detail}`), ...(hint === undefined ? [] : [`hint: ${hint}`])].join('\n')}\n`,
    };
  }
}

const cases = readdirSync(import.meta.dirname, { withFileTypes: true }).filter(
  (entry) => entry.isDirectory() && existsSync(join(import.meta.dirname, entry.name, 'in/request.json')),
);

describe.each(cases.map(({ name }) => name))('%s', (name) => {
  const directory = join(import.meta.dirname, name);
  const out = join(directory, 'out');
  const made = run(directory);

  test('is as recorded', () => {
    if (process.env['UPDATE_GOLDEN'] === '1') {
      rmSync(out, { recursive: true, force: true });
      mkdirSync(out);
      for (const [file, text] of Object.entries(made)) writeFileSync(join(out, file), text);
    }
    expect(readdirSync(out).sort()).toEqual(Object.keys(made).sort());
    for (const [file, text] of Object.entries(made)) expect(text, file).toBe(readFileSync(join(out, file), 'utf8'));
  });

  test('is the same bytes when it is made again', () => {
    expect(run(directory)).toEqual(made);
  });

  test('fits 80 columns, longer words excepted', () => {
    for (const line of (made['plan.txt'] ?? '').split('\n')) if (line.length > 80) expect(line.trim(), 'breakable').not.toMatch(/ /);
  });
});

test('there are cases', () => {
  expect(cases.length).toBeGreaterThan(5);
});
