/** `npm test`: the static checks, then every test, as root. The last line is the tally. */
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');
const node = process.execPath;
const step = (args: readonly string[]): void => {
  const asRoot = process.getuid?.() === 0 ? [] : ['sudo', '-E'];
  const [command = node, ...rest] = [...asRoot, node, ...args];
  const { status } = spawnSync(command, rest, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
};

step([join(root, 'src/build/check.ts'), '--static']);
step([join(root, 'node_modules/vitest/vitest.mjs'), 'run', '-c', 'test/vitest.config.ts', ...process.argv.slice(2)]);
