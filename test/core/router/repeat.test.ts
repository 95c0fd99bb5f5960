import { describe, expect, test } from 'vitest';
import { repeatFault, sameTarget } from '../../../core/dist/router/repeat.js';
import type { RequestRecord } from '../../../core/dist/store/token-store.js';

const KNOWN: RequestRecord = {
  token: 't:1',
  owner: 'alice',
  action: 'DO',
  target: 'paris',
  data: '{"a":[1,2],"b":null}',
  envelope: '',
  etime: 1,
};
const fault = (change: Partial<RequestRecord>, forAll = false, known: Partial<RequestRecord> = {}) =>
  repeatFault('central', forAll, change.owner ?? 'alice', { ...KNOWN, ...change }, { ...KNOWN, ...known });

describe('a request under a token that is known', () => {
  test('repeats it if action, target and DATA are the same', () => {
    expect(fault({})).toBeUndefined();
    expect(fault({ envelope: '{"hold":true}', etime: 2 })).toBeUndefined();
    expect(fault({ data: '{ "b": null, "a": [1, 2.0] }' })).toBeUndefined();
  });

  test.each<[string, Partial<RequestRecord>]>([
    ['action', { action: 'LOOK' }],
    ['target', { target: 'lyon' }],
    ['target, this router', { target: '' }],
    ['target, this router by its name', { target: 'central' }],
    ['action and target', { action: 'LOOK', target: 'lyon' }],
  ])('of another %s is TOKEN_REUSED, with the token and the action that it had', (_, change) => {
    const refused = fault(change);
    expect(refused?.code).toBe('TOKEN_REUSED');
    expect(refused?.message).toContain('t:1');
    expect(refused?.message).toContain('DO');
  });

  test.each([
    ['1', '2'],
    ['1', '"1"'],
    ['{}', '[]'],
    ['[]', '{}'],
    ['[1]', '{"0":1}'],
    ['{"0":1}', '[1]'],
    ['null', '{}'],
    ['{}', 'null'],
    ['{}', '1'],
    ['1', '{}'],
    ['0', 'null'],
    ['{"x":1}', '{"y":1}'],
    ['{"x":1}', '{"x":1,"y":1}'],
    ['{"x":1,"y":1}', '{"x":1}'],
    ['{"x":1,"y":1}', '{"x":1,"y":2}'],
    ['{"toString":1}', '{"x":1}'],
    ['[1,2]', '[2,1]'],
    ['true', 'false'],
  ])('whose DATA has %s where the first had %s is TOKEN_REUSED', (asked, known) => {
    expect(fault({ data: `{"v":${asked}}` }, false, { data: `{"v":${known}}` })?.code).toBe('TOKEN_REUSED');
    expect(fault({ data: `{"v":${asked}}` }, false, { data: `{"v": ${asked}}` })).toBeUndefined();
  });

  test('of another identity is FORBIDDEN, unless that may act for all', () => {
    const refused = fault({ owner: 'eve' });
    expect(refused?.code).toBe('FORBIDDEN');
    expect(refused?.message).toContain('eve');
    expect(refused?.message).toContain('use the token t:1');
    expect(fault({ owner: 'root' }, true)).toBeUndefined();
    expect(fault({ owner: 'root', action: 'LOOK' }, true)?.code).toBe('TOKEN_REUSED');
  });
});

test('the empty target and the id of this router are one target', () => {
  for (const [a, b] of [
    ['', ''],
    ['', 'central'],
    ['central', ''],
    ['central', 'central'],
    ['paris', 'paris'],
  ] as const) {
    expect(sameTarget(a, b, 'central')).toBe(true);
  }
  for (const [a, b] of [
    ['paris', ''],
    ['', 'paris'],
    ['paris', 'central'],
    ['paris', 'lyon'],
  ] as const) {
    expect(sameTarget(a, b, 'central')).toBe(false);
  }
});
