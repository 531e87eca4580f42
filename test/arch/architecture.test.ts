/** DESIGN 2 as a test: who may import whom, what is pure, who spawns. Each rule is also shown a violation it must catch. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findCycle, moduleOf, readModules, roomOf, root, type Module } from './modules.ts';

const below = ['src/effects', 'src/state', 'src/host', 'src/model'];
/** Rooms each room may import values from, besides itself. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  'src/model': [],
  'src/host': ['src/model'],
  'src/state': ['src/host', 'src/model'],
  'src/effects': ['src/state', 'src/host', 'src/model'],
  'src/stage0': below,
  'src/net': below,
  'src/stage1': below,
  'src/gc': below,
  'src/policy': ['src/model'],
  'src/lab': [...below, 'src/policy'],
  'src/pipeline.ts': [...below, 'src/stage0', 'src/net', 'src/stage1', 'src/gc', 'src/compose'],
  'src/pods.ts': [...below, 'src/stage0', 'src/stage1', 'src/compose'],
  'src/workbench.ts': [...below, 'src/stage0', 'src/net', 'src/stage1', 'src/gc', 'src/policy', 'src/compose'],
  'src/images.ts': [...below, 'src/compose'],
  'src/trust.ts': [...below, 'src/stage0', 'src/compose'],
  'src/compose': [...below, 'src/stage0', 'src/net', 'src/stage1', 'src/gc', 'src/policy', 'src/lab', 'cni-plugins/*'],
  'src/cli': ['src/pipeline.ts', 'src/pods.ts', 'src/workbench.ts', 'src/images.ts', 'src/trust.ts', 'src/lab', 'src/model'],
  'cni-plugins/skel': ['src/model', 'src/host'],
};
/** A plugin sees model, host and skel; its main.ts, the root of its executable, also the IPAM it answers for itself. */
const allowedFor = (module: Module): readonly string[] => {
  const room = roomOf(module.path);
  if (room === 'src/build') return ['*'];
  if (room.startsWith('cni-plugins/') && room !== 'cni-plugins/skel') {
    return [
      'src/model',
      'src/host',
      'cni-plugins/skel',
      ...(module.path.endsWith('/main.ts') ? ['cni-plugins/host-local', 'cni-plugins/static', 'cni-plugins/dhcp'] : []),
    ];
  }
  return mayImport[room] ?? [];
};
const allows = (allowed: readonly string[], room: string): boolean =>
  allowed.includes('*') || allowed.includes(room) || (allowed.includes('cni-plugins/*') && room.startsWith('cni-plugins/'));

function forbiddenImports(modules: readonly Module[]): string[] {
  return modules.flatMap((module) =>
    module.imports
      .filter(({ target, typeOnly }) => {
        if (!target.startsWith('src/') && !target.startsWith('cni-plugins/')) return false;
        const room = roomOf(target);
        // Types cross rooms freely, except that model knows nothing of what stands on it.
        if (room === roomOf(module.path) || (typeOnly && roomOf(module.path) !== 'src/model')) return false;
        return !allows(allowedFor(module), room);
      })
      .map(({ target }) => `${module.path} -> ${target}`),
  );
}

const pureRooms = [
  'src/model/',
  'src/net/plan/',
  'src/net/args',
  'src/net/firewall/',
  'src/net/create/define',
  'src/net/create/subnets',
  'src/net/diagram/',
  'src/gc/mark.ts',
  'src/policy/',
  'src/stage0/prepare/manifest.ts',
  'src/stage0/prepare/appc-app.ts',
  'src/stage0/aci/config.ts',
  'src/stage0/discovery/template.ts',
  'src/stage0/discovery/meta.ts',
  'src/stage1/flavors/oci/bundle',
];
const isPure = (path: string): boolean => pureRooms.some((prefix) => path.startsWith(prefix));
const impureText = /\bprocess\.|\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bperformance\./;

function impurities(modules: readonly Module[]): string[] {
  return modules
    .filter(({ path }) => isPure(path))
    .flatMap(({ path, imports, text }) => [
      ...imports
        .filter(
          ({ target, typeOnly }) => !typeOnly && (target.startsWith('node:') || /^src\/(host|state|effects)\//.test(target) || target === 'execa'),
        )
        .map(({ target }) => `${path} imports ${target}`),
      ...(impureText.test(text) ? [`${path} uses ${impureText.exec(text)?.[0] ?? ''}`] : []),
    ]);
}

const spawners = (modules: readonly Module[]): string[] =>
  modules
    .filter(
      ({ path, imports }) =>
        !path.startsWith('src/host/') &&
        !path.startsWith('src/build/') &&
        imports.some(({ target, typeOnly }) => !typeOnly && (target === 'node:child_process' || target === 'execa')),
    )
    .map(({ path }) => path);

/** Room → rooms it imports, types apart: what a reviewer sees change. */
function folderGraph(modules: readonly Module[]): string {
  const edges = new Set(
    modules.flatMap(({ path, imports }) =>
      imports
        .filter(({ target, typeOnly }) => !typeOnly && /^(src|cni-plugins)\//.test(target) && roomOf(target) !== roomOf(path))
        .map(({ target }) => `${roomOf(path)} -> ${roomOf(target)}`),
    ),
  );
  return `${[...edges].sort().join('\n')}\n`;
}

const modules = readModules();

describe('the tree', () => {
  test('every TypeScript file was read', () => {
    const onDisk = execFileSync('find', ['src', 'cni-plugins', '-name', '*.ts'], { cwd: root, encoding: 'utf8' }).trim().split('\n');
    expect(modules.map(({ path }) => path)).toEqual(onDisk.sort());
    expect(modules.length).toBeGreaterThan(80);
    expect(modules.flatMap(({ imports }) => imports).length).toBeGreaterThan(300);
  });
  test('every relative import resolves', () => {
    const missing = modules.flatMap(({ path, imports }) =>
      imports
        .filter(({ target }) => /^(src|cni-plugins)\//.test(target) && !existsSync(join(root, target)))
        .map(({ target }) => `${path} -> ${target}`),
    );
    expect(missing).toEqual([]);
  });
  test('dependencies point downwards', () => expect(forbiddenImports(modules)).toEqual([]));
  test('planners and the model are pure', () => expect(impurities(modules)).toEqual([]));
  test('only host/ spawns', () => expect(spawners(modules)).toEqual([]));
  test('there is no cycle', () => expect(findCycle(modules)).toBeUndefined());
  test('pipeline.ts stays a table of contents', () => {
    expect(readFileSync(join(root, 'src/pipeline.ts'), 'utf8').split('\n').length).toBeLessThan(150);
  });
  test('no attic', () => {
    expect(modules.filter(({ path }) => /(^|\/)(utils?|lib|common|helpers?)(\/|\.ts$)/.test(path)).map(({ path }) => path)).toEqual([]);
  });
  test('the folder graph is the reviewed one', () => {
    const golden = join(import.meta.dirname, 'graph.txt');
    if (process.env['UPDATE_GOLDEN'] !== undefined) writeFileSync(golden, folderGraph(modules));
    expect(folderGraph(modules)).toBe(readFileSync(golden, 'utf8'));
  });
});

describe('each rule catches its violation', () => {
  test.each([
    ['src/net/plan/x.ts', "import { netns } from '../../host/netns.ts';", impurities],
    ['src/net/plan/x.ts', 'export const t = Date.now();', impurities],
    ['src/gc/mark.ts', "import { readFileSync } from 'node:fs';", impurities],
    ['src/policy/compile/x.ts', "import { readFileSync } from 'node:fs';", impurities],
    ['src/policy/x.ts', "import { measure } from '../lab/measure.ts';", forbiddenImports],
    ['src/gc/x.ts', "import { fetchImage } from '../stage0/fetch/fetch.ts';", forbiddenImports],
    ['src/effects/x.ts', "export * from '../net/cni/list.ts';", forbiddenImports],
    ['src/model/x.ts', "import type { Lock } from '../host/flock.ts';", forbiddenImports],
    ['cni-plugins/bridge/plugin.ts', "import { x } from '../../src/state/pod/layout.ts';", forbiddenImports],
    ['cni-plugins/bridge/plugin.ts', "import { x } from '../ptp/plugin.ts';", forbiddenImports],
    ['src/cli/x.ts', "import { x } from '../stage0/fetch/fetch.ts';", forbiddenImports],
    ['src/cli/x.ts', "const x = await import('../host/linux.ts');", forbiddenImports],
    ['src/net/cni/x.ts', "import { spawnSync } from 'node:child_process';", spawners],
    ['src/stage0/x.ts', "import { execa } from 'execa';", spawners],
  ])('%s: %s', (path, text, rule) => {
    expect(rule([moduleOf(path, text)])).toHaveLength(1);
  });
  test('a type-only import of a planner passes', () => {
    const module = moduleOf(
      'src/net/plan/x.ts',
      "import type { Lock } from '../../host/flock.ts';\nimport { type Journal } from '../../effects/journal.ts';",
    );
    expect([...forbiddenImports([module]), ...impurities([module])]).toEqual([]);
  });
  test('a cycle', () => {
    const cycle = [moduleOf('src/net/a.ts', "import { b } from './b.ts';"), moduleOf('src/net/b.ts', "import { a } from './a.ts';")];
    expect(findCycle(cycle)).toEqual(['src/net/a.ts', 'src/net/b.ts', 'src/net/a.ts']);
  });
});
