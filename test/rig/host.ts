/** The throw-away host as vitest hooks. */
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { leaveOwnCgroups } from './cgroup.ts';
import { enterHost, leftSince, residue } from './namespaces.ts';

export { enterHost, leftSince, residue };

/** Runs every test of this file on a throw-away host and fails those that leave something behind. */
export function useHost(options: { tolerate?: (line: string) => boolean } = {}): void {
  let before: string[] = [];
  beforeAll(enterHost);
  afterAll(leaveOwnCgroups);
  beforeEach(() => {
    before = residue();
  });
  afterEach(() => {
    expect(leftSince(before, 2_000, options.tolerate), 'residue').toEqual([]);
  });
}
