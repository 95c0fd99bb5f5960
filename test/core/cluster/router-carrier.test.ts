import { failure } from '@centreond/protocol';
import { expect, test } from 'vitest';
import { RouterCarrier } from '../../../core/dist/cluster/router-carrier.js';
import { Unanswered } from '../../../core/dist/fleet/pending.js';
import { FakeBus, refusalOf } from './stage.ts';

const REQUEST = {
  ...{ action: 'ONCE', token: 't', target: 'b', owner: 'alice', data: '{}' },
  envelope: { from: 'alice', hops: ['a'] },
} as never;

/** The way to the router b, which does not answer. */
function stage() {
  const bus = new FakeBus();
  bus.answers = async () => {
    throw new Unanswered('NOT_ACKNOWLEDGED', 'no answer came');
  };
  const stage = { bus, kept: 0, keep: async (): Promise<boolean> => ++stage.kept > 0 };
  const forwarded = {
    follow: () => true,
    keep: () => stage.keep(),
    keptOf: () => stage.kept || undefined,
  };
  const carrier = new RouterCarrier('b', bus as never, forwarded as never, { get: () => undefined });
  return Object.assign(stage, {
    carry: (change = {}) => carrier.carry({ ...(REQUEST as object), ...change } as never, 1000),
  });
}

test('a request that b does not answer for is kept, and then goes again by another number', async () => {
  const { bus, carry } = stage();
  expect(await refusalOf(carry())).toBe('NODE_UNREACHABLE');
  expect(bus.asked[0]?.said).not.toHaveProperty('kept');
  await refusalOf(carry());
  expect(bus.asked[1]?.said).toMatchObject({ token: 't', kept: 1 });
});

test.each([
  ['is not this router’s any more', async () => false],
  [
    'is in a database that is away',
    async () => {
      throw new Error('PostgreSQL is not there');
    },
  ],
])('it may run there where it %s: nobody says that it does not', async (_, keep) => {
  const all = stage();
  all.keep = keep;
  await expect(all.carry()).rejects.toBeInstanceOf(Unanswered);
});

test('nor of one for a node that b carries, nor where b refuses it', async () => {
  const all = stage();
  await expect(all.carry({ target: 'paris' })).rejects.toBeInstanceOf(Unanswered);
  all.bus.answers = async () => {
    throw failure('FORBIDDEN', { identity: 'alice', what: 'ONCE', remedy: '' });
  };
  expect(await refusalOf(all.carry())).toBe('FORBIDDEN');
  expect(all.kept).toBe(0);
});
