/** Which control group hierarchies there are to be used. */
import { expect, test } from 'vitest';
import { cgroupMounts } from '../../../src/host/cgroup.ts';
import { MNT_DETACH, mount, umount } from '../../../src/host/linux.ts';
import { useHost } from '../../rig/host.ts';

useHost();

test('a hierarchy is found once, and not when another mount hides it', () => {
  const paths = (): string[] => cgroupMounts().map(({ path }) => path);
  const before = paths();
  expect(before).not.toEqual([]);
  expect(new Set(before).size).toBe(before.length);
  const [hidden = ''] = before.toReversed();
  mount('cover', hidden, 'tmpfs', 0, null);
  try {
    expect(paths()).toEqual(before.filter((path) => path !== hidden));
  } finally {
    umount(hidden, MNT_DETACH);
  }
  expect(paths()).toEqual(before);
});
