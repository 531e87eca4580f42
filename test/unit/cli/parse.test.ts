import { describe, expect, test } from 'vitest';
import { appFlags } from '../../../src/cli/app-flags.ts';
import { defineCommand, type AnyCommand } from '../../../src/cli/command.ts';
import { netFlags } from '../../../src/cli/net-flags.ts';
import { parseInvocation } from '../../../src/cli/parse.ts';
import { findCommand } from '../../../src/cli/registry.ts';

const base = { summary: '', usage: '', examples: [], run: () => 0 };
const run = defineCommand({
  ...base,
  name: 'run',
  flags: { ...netFlags, hostname: { type: 'string', help: '' } },
  imageFlags: appFlags,
}) as unknown as AnyCommand;
const stop = defineCommand({
  ...base,
  name: 'stop',
  maxOperands: Infinity,
  flags: { force: { type: 'boolean', help: '' }, wait: { type: 'string', bare: 'true', help: '' } },
}) as unknown as AnyCommand;
const images = (...tokens: string[]) =>
  parseInvocation(run, tokens).images.map(({ reference, args, flags }) => [reference, args, flags.exec ?? null]);

describe('image grammar', () => {
  test.each([
    [['busybox'], [['busybox', [], null]]],
    [['busybox', '--exec', '/bin/sh', '--', '-c', 'ls -l'], [['busybox', ['-c', 'ls -l'], '/bin/sh']]],
    [
      ['a', '--', 'x', '---', 'b', '--exec=/y', '--', 'z'],
      [
        ['a', ['x'], null],
        ['b', ['z'], '/y'],
      ],
    ],
    [
      ['a', 'b', '--', '--net=x', '--', 'y'],
      [
        ['a', [], null],
        ['b', ['--net=x', '--', 'y'], null],
      ],
    ],
    [
      ['a', '--', '---', 'b'],
      [
        ['a', [], null],
        ['b', [], null],
      ],
    ],
    [
      ['a', '---', 'b'],
      [
        ['a', [], null],
        ['b', [], null],
      ],
    ],
    [['', 'a'], [['a', [], null]]],
  ])('%j', (tokens, expected) => {
    expect(images(...tokens)).toEqual(expected);
  });

  test('a flag without its value never eats the image', () => {
    const parsed = parseInvocation(run, ['--net', 'busybox']);
    expect(parsed.flags.net).toEqual(['default']);
    expect(parsed.images[0]?.reference).toBe('busybox');
  });

  test('repeated flags keep their order, values may begin with a dash behind =', () => {
    const parsed = parseInvocation(run, [
      '--net=a,b',
      '--net',
      '--net=c:IP=1.2.3.4',
      '--hostname=-x',
      'i',
      '--environment=A=1',
      '--environment',
      'B=2=3',
    ]);
    expect(parsed.flags.net).toEqual(['a,b', 'default', 'c:IP=1.2.3.4']);
    expect(parsed.flags.hostname).toBe('-x');
    expect(parsed.images[0]?.flags.environment).toEqual(['A=1', 'B=2=3']);
  });

  test('arguments before any image are refused', () => {
    expect(() => parseInvocation(run, ['--', 'x'])).toThrow(/must follow an image/);
  });

  test('unknown flags are all named, with the nearest known one', () => {
    expect(() => parseInvocation(run, ['--nett=a', '--hostnam=b', 'i'])).toThrow(
      expect.objectContaining({
        code: 'ERR_CLI_USAGE',
        details: ['unknown flag --nett (did you mean --net?)', 'unknown flag --hostnam (did you mean --hostname?)'],
      }),
    );
  });

  test("the command's and global flags may stand behind an image, too", () => {
    const parsed = parseInvocation(run, [
      '--net=a',
      'i',
      '--exec=/x',
      '--net=b',
      '--debug',
      '--dir',
      '/d',
      'j',
      '--net',
      'c',
      '--exec=/y',
      '--',
      '--net=z',
    ]);
    expect(parsed.flags).toMatchObject({ net: ['a', 'b', 'default'], debug: true, dir: '/d' });
    expect(parsed.global.dir).toBe('/d');
    expect(parsed.images.map(({ reference, flags, args }) => [reference, flags, args])).toEqual([
      ['i', expect.objectContaining({ exec: '/x' }), []],
      ['j', expect.not.objectContaining({ net: expect.anything() }), []],
      ['c', expect.objectContaining({ exec: '/y' }), ['--net=z']],
    ]);
  });
  test('an app flag before the image is an unknown flag there', () => {
    expect(() => parseInvocation(run, ['--exec=/bin/sh', 'i'])).toThrow(/unknown flag --exec/);
  });
});

describe('operands', () => {
  test('flags may stand between and behind operands', () => {
    const parsed = parseInvocation(stop, ['u1', '--force', 'u2', '--dir=/d']);
    expect(parsed.operands).toEqual(['u1', 'u2']);
    expect(parsed.flags.force).toBe(true);
    expect(parsed.global.dir).toBe('/d');
  });
  test('what follows -- is no flag', () => {
    expect(parseInvocation(stop, ['u1', '--', '--force', '-x'])).toMatchObject({ operands: ['u1', '--force', '-x'], flags: { force: false } });
  });
  test('more than the command takes are refused, all named', () => {
    expect(() => parseInvocation({ ...stop, maxOperands: 1 }, ['u1', 'u2', '--', 'u3'])).toThrow(/does not take "u2" "u3"/);
    const { maxOperands: _none, ...none } = stop;
    expect(() => parseInvocation(none, ['u1'])).toThrow(/does not take "u1"/);
  });
  test.each([[['u1', 'ls', '-d', '--force']], [['u1', '--', 'ls', '-d', '--force']]])('somebody else’s command line: %j', (tokens) => {
    expect(parseInvocation({ ...stop, flagsEndAtOperand: true }, tokens)).toMatchObject({
      operands: ['u1', 'ls', '-d', '--force'],
      flags: { force: false },
    });
  });
  test.each([[['-o', 'f', 'u1']], [['--output=f', 'u1']], [['u1', '-o=f']]])('a short name: %j', (tokens) => {
    const flags = { output: { type: 'string', short: 'o', help: '' } } as const;
    expect(parseInvocation({ ...stop, flags }, tokens)).toMatchObject({ operands: ['u1'], flags: { output: 'f' } });
  });
  test('bare values', () => {
    expect(parseInvocation(stop, ['--wait', 'u1'])).toMatchObject({ operands: ['u1'], flags: { wait: 'true' } });
  });
});

describe('command names', () => {
  test.each([
    [['li'], 'list', 1],
    [['run', 'x'], 'run', 1],
    [['net', 'pl', '--net=x'], 'net plan', 2],
    [['n', 'l'], 'net list', 2],
  ])('%j', (words, name, count) => {
    expect(findCommand(words)).toEqual({ name, words: count });
  });
  test('ambiguous and unknown ones say so', () => {
    expect(() => findCommand(['s'])).toThrow(/could be status or stop/);
    expect(() => findCommand(['rnu'])).toThrow(expect.objectContaining({ hint: 'did you mean "rkt run"?' }));
    expect(() => findCommand(['net'])).toThrow(/needs one of: list, plan/);
  });
});
