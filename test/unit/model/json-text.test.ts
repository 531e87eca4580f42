import { describe, expect, test } from 'vitest';
import { JsonSyntaxError, lineColumn, pathText, readSpans, spanAt } from '../../../src/model/json-text.ts';

const errorAt = (text: string): string => {
  try {
    readSpans(text);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    const { line, column } = lineColumn(text, error.offset);
    return `${line}:${column} ${error.message}`;
  }
  return 'valid';
};

describe('JSON with places', () => {
  test.each([
    ['{\n  "a": 1,\n}', '3:1 a comma before "}" is not allowed'],
    ['{"a": 1 "b": 2}', '1:9 expected "," or "}", found "\\""'],
    ['{"a" 1}', '1:6 expected ":" after a key, found "1"'],
    ["{'a': 1}", '1:2 expected a key in double quotes, found "\'"'],
    ['[1,]', '1:4 a comma before "]" is not allowed'],
    ['{"a": tru}', '1:7 expected a value, found "t"'],
    ['{"a": 01}', '1:7 expected a value, found "0"'],
    ['{"a": "x', '1:7 this string has no end'],
    ['{"a": "x\ny"}', '1:9 a string must end on its line and hold no control characters'],
    ['{"a": "\\x"}', '1:8 unknown escape in a string'],
    ['{"a": 1', '1:8 expected "," or "}", found the end of the file'],
    ['{} {}', '1:4 nothing may follow the value, found "{"'],
    ['// x\n{}', '1:1 comments are not allowed in JSON'],
    ['', '1:1 expected a value, found the end of the file'],
    [`${'['.repeat(2000)}`, '1:502 nested deeper than 500 levels'],
  ])('%j', (text, expected) => {
    expect(errorAt(text)).toBe(expected);
    expect(() => JSON.parse(text) as unknown).toThrow();
  });

  test.each(['{}', ' [] ', '"\\u00e9\\n"', '-0.5e+10', '{"a":{"b":[1,true,null,"x"]},"a":2}', '"\u2028"'])('%j is valid for both readers', (text) => {
    expect(errorAt(text)).toBe('valid');
    expect(() => JSON.parse(text) as unknown).not.toThrow();
  });

  test('finds values, the last of a repeated key, and the nearest ancestor of what is missing', () => {
    const text = '{"a": 1, "b": [10, {"c": 22}], "a": 3}';
    const root = readSpans(text);
    const at = (...path: (string | number)[]) => {
      const { start, end } = spanAt(root, path);
      return text.slice(start, end);
    };
    expect(at('a')).toBe('3');
    expect(at('b', 1, 'c')).toBe('22');
    expect(at('b', 1, 'nope', 'x')).toBe('{"c": 22}');
    expect(at()).toBe(text);
  });

  test('a broken text still tells the strings it held before the fault', () => {
    const heard: string[] = [];
    expect(() => readSpans('{"name": "x", "plugins": [{"name": "inner"}], oops', (key, value) => heard.push(`${key}=${value}`))).toThrow();
    expect(heard).toEqual(['name=x']);
  });

  test('paths', () => {
    expect(pathText(['plugins', 1, 'ipam', 'type'])).toBe('plugins[1].ipam.type');
    expect(pathText(['a b', 0])).toBe('["a b"][0]');
  });
});
