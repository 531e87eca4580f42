import { expect, test } from 'vitest';
import { ConfReader } from '../../../cni-plugins/skel/conf.ts';

const conf = new ConfReader({
  Text: 'a',
  FLAG: true,
  number: 5,
  big: 70000,
  list: [1],
  names: ['a'],
  sub: { Inner: 'x' },
  subs: [{ a: 1 }, { a: 'y' }],
  nothing: null,
  ip: '10.0.0.1',
  noIp: '',
  cidr: '10.0.0.7/8',
  mtu: 1,
  MTU: 2,
});

test('keys in any case, exact spelling first; null and absence are undefined', () => {
  expect([
    conf.text('text'),
    conf.flag('flag'),
    conf.integer('Number', 0, 9),
    conf.text('nothing'),
    conf.text('missing'),
    conf.integer('mtu', 0, 9),
    conf.integer('Mtu', 0, 9),
  ]).toEqual(['a', true, 5, undefined, undefined, 1, 2]);
  expect(conf.object('SUB')?.text('inner')).toBe('x');
  expect([conf.ip('ip')?.text, conf.ip('noIp'), conf.cidr('cidr')?.ip.text, conf.texts('names'), conf.list('list')]).toEqual([
    '10.0.0.1',
    undefined,
    '10.0.0.7',
    ['a'],
    [1],
  ]);
});
test('inherited names are not keys', () => expect(conf.value('toString')).toBeUndefined());
test.each([
  ['text must be true or false, not "a"', () => conf.flag('text')],
  ['flag must be a string, not true', () => conf.text('flag')],
  ['big must be a whole number from 0 to 65535, not 70000', () => conf.integer('big', 0, 65535)],
  ['text must be a whole number from 0 to 1, not "a"', () => conf.integer('text', 0, 1)],
  ['sub must be a list, not {"Inner":"x"}', () => conf.list('sub')],
  ['list must be a list of strings, not [1]', () => conf.texts('list')],
  ['list[0] must be an object, not 1', () => conf.objects('list')],
  ['subs[1].a must be a whole number from 0 to 9, not "y"', () => conf.objects('subs')?.map((sub) => sub.integer('a', 0, 9))],
  ['sub.inner must be true or false, not "x"', () => conf.object('sub')?.flag('inner')],
  ['text must be an IP address, not "a"', () => conf.ip('text')],
  ['ip must be an address with prefix length, such as 10.1.0.0/16, not "10.0.0.1"', () => conf.cidr('ip')],
])('code 7: %s', (message, read) => {
  expect(read).toThrow(expect.objectContaining({ cniCode: 7, message }));
});
