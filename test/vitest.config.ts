import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';

const root = resolve(import.meta.dirname, '..');
/** Pure tests run side by side. */
const project = (name: string, include: string[], timeoutMs: number) => ({
  extends: true as const,
  test: { name, include, testTimeout: timeoutMs, hookTimeout: timeoutMs, pool: 'forks' as const, sequence: { groupOrder: 0 } },
});
/** Root tests enter namespaces of their own, control groups included, on the main thread of a process of their own. */
const rootProject = (name: string, include: string[], timeoutMs: number) => ({
  extends: true as const,
  test: { name, include, testTimeout: timeoutMs, hookTimeout: timeoutMs, pool: 'forks' as const, maxWorkers: 2, sequence: { groupOrder: 1 } },
});

export default defineConfig({
  root,
  define: { __DIST__: JSON.stringify(resolve(root, 'dist')), __VERSION__: '"0.0.0"' },
  test: {
    reporters: ['default', resolve(import.meta.dirname, 'rig/tally.ts')],
    projects: [
      project('unit', ['test/unit/**/*.test.ts'], 5_000),
      project('golden', ['test/golden/**/*.test.ts'], 10_000),
      project('arch', ['test/arch/**/*.test.ts'], 60_000),
      rootProject('netns', ['test/netns/**/*.test.ts'], 30_000),
      rootProject('conformance', ['test/conformance/**/*.test.ts'], 60_000),
      rootProject('e2e', ['test/e2e/**/*.test.ts'], 120_000),
      rootProject('fault', ['test/fault/**/*.test.ts'], 300_000),
    ],
  },
});
