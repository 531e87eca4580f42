/** The import graph of src/ and cni-plugins/, read from the text: our files only use static and literal dynamic imports. */
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

export const root = resolve(import.meta.dirname, '../..');

export interface Import {
  /** `src/net/plan/plan.ts`, or `node:fs`, or a package name */
  readonly target: string;
  readonly typeOnly: boolean;
}
export interface Module {
  readonly path: string;
  readonly imports: readonly Import[];
  readonly text: string;
}

const statement = /^(?:import|export)\s+(type\s+)?(?:[^'";]*?\s+from\s+)?['"]([^'"]+)['"]/gm;
const dynamic = /\bimport\(['"]([^'"]+)['"]\)/g;

export function readModules(): Module[] {
  const paths = ['src', 'cni-plugins'].flatMap((top) =>
    readdirSync(join(root, top), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => join(top, path)),
  );
  return paths.sort().map((path) => moduleOf(path, readFileSync(join(root, path), 'utf8')));
}

/** Parses one module; exported so that the test can show that the reader sees what it must see. */
export function moduleOf(path: string, text: string): Module {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const resolveTarget = (target: string): string => (target.startsWith('.') ? relative(root, resolve(root, dirname(path), target)) : target);
  const imports = [
    ...[...code.matchAll(statement)].map(([whole, type, target]) => ({
      target: resolveTarget(target ?? ''),
      typeOnly: type !== undefined || allSpecifiersAreTypes(whole),
    })),
    ...[...code.matchAll(dynamic)].map(([, target]) => ({ target: resolveTarget(target ?? ''), typeOnly: false })),
  ];
  return { path, imports, text: code };
}

/** `import { type A, type B } from …` loads nothing we would miss. */
function allSpecifiersAreTypes(text: string): boolean {
  const inner = /\{([^}]*)\}/.exec(text)?.[1];
  if (inner === undefined || !/^(?:import|export)\s*\{/.test(text)) return false;
  const names = inner
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  return names.length > 0 && names.every((name) => name.startsWith('type '));
}

/** The room a module lives in: `src/net/plan`, `src/cli`, `cni-plugins/bridge`, `src/pipeline.ts`. */
export function roomOf(path: string): string {
  const parts = path.split('/');
  return parts.length <= 2 ? path : `${parts[0] ?? ''}/${parts[1] ?? ''}`;
}

/** One cycle of value imports, as a path, if there is any. */
export function findCycle(modules: readonly Module[]): string[] | undefined {
  const byPath = new Map(modules.map((module) => [module.path, module]));
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): string[] | undefined => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (done.has(path)) return undefined;
    for (const { target, typeOnly } of byPath.get(path)?.imports ?? []) {
      const found = typeOnly || !byPath.has(target) ? undefined : visit(target, [...trail, path]);
      if (found !== undefined) return found;
    }
    done.add(path);
    return undefined;
  };
  for (const { path } of modules) {
    const found = visit(path, []);
    if (found !== undefined) return found;
  }
  return undefined;
}
