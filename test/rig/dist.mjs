/** `node --import ./test/rig/dist.mjs …`: what the bundler and vitest define, for sources that Node runs directly. */
import { resolve } from 'node:path';

globalThis.__DIST__ = resolve(import.meta.dirname, '../../dist');
