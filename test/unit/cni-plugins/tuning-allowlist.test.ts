import { describe, expect, test } from 'vitest';
import { patternOf } from '../../../cni-plugins/tuning/allowlist.ts';

describe('an expression of Go', () => {
  test.each([
    ['^net.ipv4.conf.IFNAME.accept_redirects$', 'net.ipv4.conf.IFNAME.accept_redirects', true],
    ['somaxconn', 'net.core.somaxconn', true],
    ['^net\\.ipv4\\.tcp\\_rmem$', 'net.ipv4.tcp_rmem', true],
    ['^net\\.ipv4\\.tcp\\_rmem$', 'net.ipv4.tcp-rmem', false],
    ['net\\/ipv4', 'net/ipv4', true],
    ['^[a-z\\-]+$', 'a-b', true],
    ['a\\\\.', 'a.', false],
    ['(?i)^NET', 'net.x', true],
    ['(?P<x>net)', 'net.x', true],
  ])('%s on %s: %s', (line, key, matches) => expect(patternOf(line).test(key)).toBe(matches));
  test.each(['[[:alpha:]]', 'net\\z', '(?s)net', '(', 'net\\pL'])('%s is refused, not taken for something else', (line) =>
    expect(() => patternOf(line)).toThrow(/is not understood/),
  );
});
