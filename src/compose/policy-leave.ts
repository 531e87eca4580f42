/** dist/policy/leave: run by a supervisor when its pod has ended ({@link leavePolicies}); `{ dataDir, id }` on standard input. */
import { readFileSync } from 'node:fs';
import { leavePolicies } from './policy.ts';

const { dataDir, id } = JSON.parse(readFileSync(0, 'utf8')) as { dataDir: string; id: string };
leavePolicies(dataDir, id);
