import { describe, expect, test } from 'vitest';
import { forwarded, keptEnvelope, ownerOf, readEnvelope } from '../../../core/dist/router/envelope.js';
import { TestPeer } from './world.ts';

const read = (value: unknown, fromRouter = true) => readEnvelope(value, fromRouter, 'DO');
const faultOf = (value: unknown, fromRouter = true): { code?: unknown; message: string } => {
  try {
    read(value, fromRouter);
  } catch (error) {
    return error as Error;
  }
  return { message: 'none' };
};

describe('an envelope', () => {
  test('is empty where there is none', () => {
    expect(read(undefined)).toStrictEqual({ text: '' });
    expect(read(undefined, false)).toStrictEqual({ text: '' });
    expect(keptEnvelope('')).toStrictEqual({ text: '' });
  });

  test('has what was said and nothing else, and its text', () => {
    const all = { hold: false, deadline: 0, traceparent: '', from: 'bob', hops: [] };
    expect(read(all)).toStrictEqual({ ...all, text: JSON.stringify(all) });
    expect(read({})).toStrictEqual({ text: '{}' });
    for (const one of [{ hold: true }, { deadline: 7 }, { traceparent: 'x' }, { from: 'bob' }, { hops: ['a'] }]) {
      expect(read(one)).toStrictEqual({ ...one, text: JSON.stringify(one) });
      expect(keptEnvelope(JSON.stringify(one))).toStrictEqual(read(one));
    }
  });

  test.each([
    [null, 'must be an object'],
    [1, 'must be an object'],
    ['x', 'must be an object'],
    [[], 'must be an object'],
    [{ other: 1 }, "unknown key 'other'"],
    [{ hold: true, other: undefined, deadline: 1 }, "unknown key 'other'"],
    [{ hold: 1 }, 'hold must be'],
    [{ hold: null }, 'hold must be'],
    [{ deadline: '1' }, 'deadline must be'],
    [{ deadline: 1.5 }, 'deadline must be'],
    [{ deadline: -1 }, 'deadline must be'],
    [{ traceparent: 1 }, 'traceparent must be'],
    [{ traceparent: 'x'.repeat(129) }, 'traceparent must be'],
    [{ from: 1 }, 'from must be'],
    [{ from: '' }, 'from must be'],
    [{ from: 'a b' }, 'from must be'],
    [{ from: 'x@bob' }, 'from must be'],
    [{ from: 'bob/@x' }, 'from must be'],
    [{ from: '@@bob' }, 'from must be'],
    [{ from: 'xROUTER/bob' }, 'from must be'],
    [{ hops: 'a' }, 'hops must be'],
    [{ hops: { every: 1 } }, 'hops must be'],
    [{ hops: ['a', 1] }, 'hops must be'],
    [{ hops: Array.from({ length: 9 }, () => 'a') }, 'hops must be'],
  ])('%j is INVALID_DATA of its action: %s', (value, reason) => {
    expect(faultOf(value)).toMatchObject({ code: 'INVALID_DATA' });
    expect(faultOf(value).message).toContain('DO');
    expect(faultOf(value).message).toContain(reason);
  });

  test('that was kept and is wrong is a fault of the request', () => {
    expect(() => keptEnvelope('{"other":1}')).toThrow(/the request.*unknown key 'other'/);
  });

  test('may reach its limits', () => {
    for (const value of [
      { traceparent: 'x'.repeat(128) },
      { hops: Array.from({ length: 8 }, () => 'a') },
      { from: '@cron' },
      { from: 'ROUTER/bob' },
    ]) {
      expect(faultOf(value).message).toBe('none');
    }
  });

  test.each([{ from: 'bob' }, { hops: [] }, { from: 'bob', hops: [] }])(
    'of a router is refused to others: %j',
    (value) => {
      expect(faultOf(value, true).message).toBe('none');
      expect(faultOf(value, false).message).toContain('are for routers');
    },
  );
});

test('a request belongs to its peer, and to whom a router names', () => {
  const router = new TestPeer('north', 'router');
  expect(ownerOf(router, read({ from: 'bob' }))).toBe('north/bob');
  expect(ownerOf(router, read({}))).toBe('north');
  expect(ownerOf(new TestPeer('alice'), read({ from: 'bob' }))).toBe('alice');
});

test('what goes on to another router says from whom, over which routers and until when, and no more than was said', () => {
  const until = 1_790_000_000_999;
  expect(forwarded('central', 'alice', read({}), undefined)).toStrictEqual({ from: 'alice', hops: ['central'] });
  expect(forwarded('central', 'bob', read({ hold: false, hops: ['a'] }), until)).toStrictEqual({
    from: 'bob',
    hops: ['a', 'central'],
    deadline: 1_790_000_000,
  });
  expect(forwarded('central', '@cron', read({ hold: true, traceparent: '' }), 999)).toStrictEqual({
    from: '@cron',
    hops: ['central'],
    hold: true,
    traceparent: '',
    deadline: 0,
  });
});
