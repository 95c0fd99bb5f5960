import { parseJson } from '@centreond/protocol';
import fc from 'fast-check';
import { expect, test } from 'vitest';

const MISREAD = '{"ba":650,"\\\\":{"ba":null,"\\t":true}}';

test('a key with an escape is read as it was written, whatever other objects there are', () => {
  for (let i = 0; i < 3; i++) expect(Object.keys((parseJson(MISREAD) as never)['\\'])).toEqual(['ba', '\t']);
});

test('JSON text is read as it was written', () => {
  const letter = fc.constantFrom('a', 'b', '\\', '"', '\t', '\n', '\u0001', 'é', ' ', ':', '{', ']', '__proto__', '𝄞');
  const key = fc.string({ unit: letter, maxLength: 4 });
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      key,
      fc.double({ noDefaultInfinity: true, noNaN: true }),
      fc.boolean(),
      fc.constant(null),
      tie('list'),
      tie('object'),
    ),
    list: fc.array(tie('value'), { maxLength: 4 }),
    object: fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: true }),
  }));
  fc.assert(
    fc.property(value, fc.constantFrom(undefined, 1, '\t\n'), (one, indent) => {
      const text = JSON.stringify(one, undefined, indent);
      expect(JSON.stringify(parseJson(text), undefined, indent)).toBe(text);
    }),
    { numRuns: 3000 },
  );
});

test('of a key that is there twice the last value counts, in the place of the first', () => {
  expect(JSON.stringify(parseJson('{"a\\n":1,"b":2,"a\\u000a":3}'))).toBe('{"a\\n":3,"b":2}');
});

test('what JSON.parse refuses is refused', () => {
  for (const text of ['', '{', '{"a\\n":1,}', '{"a\\n" 1}', '["\\x"]', '{"\\n":01}', '{"\\n":1} x'])
    expect(() => parseJson(text)).toThrow(SyntaxError);
});

test('fifty thousand keys with escapes, and megabytes of escapes, take their time once', () => {
  const keys = `{${Array.from({ length: 50_000 }, (_, i) => `"\\n${i}":${i}`).join(',')}}`;
  expect(Object.keys(parseJson(keys) as object).length).toBe(50_000);
  const escapes = `{"a":"${'\\"'.repeat(2_000_000)}","b":[${'"\\n",'.repeat(100_000)}1]}`;
  const once = timeOf(() => JSON.parse(escapes));
  expect(timeOf(() => parseJson(escapes))).toBeLessThan(20 * once + 200);
});

function timeOf(run: () => unknown): number {
  const began = performance.now();
  run();
  return performance.now() - began;
}
