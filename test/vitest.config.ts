import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';

const root = resolve(import.meta.dirname, '..');
/** Root tests enter namespaces of their own, on the main thread of a process of their own: forks, one file each. */
const project = (name: string, include: string[], timeoutMs: number) => ({
  extends: true as const,
  test: { name, include, testTimeout: timeoutMs, hookTimeout: timeoutMs, pool: 'forks' as const },
});

export default defineConfig({
  root,
  define: { __DIST__: JSON.stringify(resolve(root, 'dist')) },
  test: {
    reporters: ['default', resolve(import.meta.dirname, 'rig/tally.ts')],
    projects: [
      project('unit', ['test/unit/**/*.test.ts'], 5_000),
      project('golden', ['test/golden/**/*.test.ts'], 10_000),
      project('arch', ['test/arch/**/*.test.ts'], 60_000),
      project('netns', ['test/netns/**/*.test.ts'], 30_000),
      project('conformance', ['test/conformance/**/*.test.ts'], 60_000),
      project('e2e', ['test/e2e/**/*.test.ts'], 120_000),
      project('fault', ['test/fault/**/*.test.ts'], 300_000),
    ],
  },
});
