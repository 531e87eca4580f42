import { expect, test } from 'vitest';
import { injectConf, pluginTexts } from '../../../../src/model/cni/inject.ts';

const keepAll = (): boolean => false;

test('C11, L19: what is not ours keeps its bytes, big integers and spelling included', () => {
  const text = '{ "type": "x", "big": 9007199254740993123, "f": 1.0e+2 , "o":{ "a" : [1,  2] }, "u":"\\u00e9" }';
  const derived = injectConf(text, { name: 'n' }, keepAll);
  expect(derived).toBe('{"type":"x","big":9007199254740993123,"f":1.0e+2,"o":{ "a" : [1,  2] },"u":"\\u00e9","name":"n"}');
});
test('fields replace all members of that name, and stand last', () => {
  expect(injectConf('{"name":"a","x":1,"name":"b"}', { name: 'n', cniVersion: '1.0.0' }, keepAll)).toBe('{"x":1,"name":"n","cniVersion":"1.0.0"}');
});
test('Z5, R33: members are dropped by name', () => {
  expect(injectConf('{"capabilities":{"a":true},"x":1,"cni.dev/y":2}', {}, (key) => key === 'capabilities' || key.startsWith('cni.dev/'))).toBe(
    '{"x":1}',
  );
});
test('an escaped key is the key it means', () => expect(injectConf('{"n\\u0061me":"a"}', { name: 'n' }, keepAll)).toBe('{"name":"n"}'));
test('inherited names are not fields', () => expect(injectConf('{"toString":1,"__proto__":2}', {}, keepAll)).toBe('{"toString":1,"__proto__":2}'));
test('an empty object', () => expect(injectConf(' {} ', { a: [1] }, keepAll)).toBe('{"a":[1]}'));

test('plugins of a list, as they are written', () => {
  expect(pluginTexts('{"name":"n","plugins":[ {"type":"a", "n":1e400} ,{"type":"b"}]}')).toEqual(['{"type":"a", "n":1e400}', '{"type":"b"}']);
  expect(pluginTexts('{"name":"n"}')).toEqual([]);
  expect(pluginTexts('{"plugins":[]}')).toEqual([]);
});
