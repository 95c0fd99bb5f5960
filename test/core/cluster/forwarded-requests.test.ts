import { beforeEach, describe, expect, test } from 'vitest';
import { ForwardedRequests } from '../../../core/dist/cluster/forwarded-requests.js';
import { Watches } from '../../../core/dist/cluster/watches.js';
import { OpenRequest } from '../../../core/dist/router/request.js';
import { action, FakeElsewhere, settle } from '../router/world.ts';
import { FakeBus, Lines } from './stage.ts';

/** A request of this router: it runs at another one, or here. */
function request(token: string, isElsewhere = true): OpenRequest {
  const executor = isElsewhere ? new FakeElsewhere() : { ...new FakeElsewhere(), elsewhere: undefined };
  const registered = { manifest: action('ONCE'), type: '', executor: executor as never, fault: () => undefined };
  const open = new OpenRequest({
    ...{ token, owner: 'alice', action: registered, target: 'b', data: '{}', envelope: { text: '' } },
    ...{ wantedUntil: 1, acceptedAt: 0 },
  });
  open.recorded();
  return open;
}

function stage() {
  const log = new Lines();
  const watches = new Watches(new FakeBus());
  const open = new Map<string, OpenRequest>();
  const stage = {
    ...{ log, watches, open, reassessed: [] as string[], ended: [] as string[], storeEnded: [] as string[], finds: 0 },
    kept: (): number | undefined => undefined,
    find: async (token: string): Promise<object | undefined> => ({ token, owner: 'alice', state: 'open' }),
  };
  const forwarded = new ForwardedRequests({
    store: {
      find: (token: string) => {
        stage.finds++;
        return stage.find(token);
      },
    } as never,
    membership: { ended: (token: string) => void stage.storeEnded.push(token), keep: async () => stage.kept() },
    requests: {
      get: (token: string) => open.get(token),
      endedElsewhere: (one: OpenRequest) => {
        stage.ended.push(one.token);
        open.delete(one.token);
      },
    } as never,
    followers: { reassess: (token: string, owner: string) => void stage.reassessed.push(`${token} ${owner}`) } as never,
    watches,
    log: log as never,
  });
  const enter = (token: string, isElsewhere = true) => {
    const one = request(token, isElsewhere);
    open.set(token, one);
    return one;
  };
  const news = (token: string, id: number) => watches.told('b', 'news', JSON.stringify([[token, id]]));
  return Object.assign(stage, { forwarded, enter, news });
}

let all: ReturnType<typeof stage>;
beforeEach(() => {
  all = stage();
});

describe('a request that another router runs', () => {
  test('is followed there from before it is handed over, once', () => {
    const open = all.enter('t');
    expect(open.rows).toEqual([]);
    expect([all.forwarded.follow('t', 'ONCE'), all.forwarded.follow('t', 'ONCE')]).toEqual([true, true]);
    expect([all.watches.has('t'), open.rows]).toEqual([true, undefined]);
    all.watches.remove('t');
    expect(all.watches.has('t')).toBe(false);
  });

  test('is not followed where it is not open, or is one for another action, or runs here', () => {
    all.enter('here', false);
    all.enter('of another action');
    expect(all.forwarded.follow('of another action', 'AGAIN')).toBe(false);
    expect([
      all.forwarded.follow('here', 'ONCE'),
      all.forwarded.follow('unknown', 'ONCE'),
      all.forwarded.follow('', 'ONCE'),
    ]).toEqual([...[false, false, false]]);
    expect(all.watches.counters.watched).toBe(0);
  });

  test('has its rows told to those that follow it, and ends here once it has ended there', async () => {
    all.enter('t');
    all.forwarded.follow('t', 'ONCE');
    all.news('t', 1);
    await settle();
    expect([all.reassessed, all.ended]).toEqual([['t alice'], []]);
    all.find = async (token) => ({ token, owner: 'alice', state: 'ended' });
    all.news('t', 2);
    await settle();
    expect([all.reassessed, all.ended, all.watches.has('t')]).toEqual([['t alice', 't alice'], ['t'], false]);
    expect(all.storeEnded).toEqual(['t']);
  });

  test('is looked at once more where there was news while it was looked at, and not once for each', async () => {
    all.enter('t');
    all.forwarded.follow('t', 'ONCE');
    const { promise, resolve } = Promise.withResolvers<object>();
    all.find = () => promise;
    all.news('t', 1);
    all.find = async (token) => ({ token, owner: 'alice', state: 'ended' });
    for (const id of [2, 3, 4, 5]) all.news('t', id);
    resolve({ token: 't', owner: 'alice', state: 'open' });
    await settle();
    expect([all.finds, all.ended]).toEqual([2, ['t']]);
  });

  test('is followed anew where its token is another request now, and watched once', () => {
    all.enter('t');
    all.forwarded.follow('t', 'ONCE');
    const again = all.enter('t');
    expect([all.forwarded.follow('t', 'ONCE'), again.rows]).toEqual([true, undefined]);
    all.watches.remove('t');
    expect(all.watches.has('t')).toBe(false);
  });

  test('is looked at again though the database knew nothing of it at first', async () => {
    all.enter('t');
    all.forwarded.follow('t', 'ONCE');
    all.find = async () => undefined;
    all.news('t', 1);
    await settle();
    expect([all.reassessed, all.watches.has('t')]).toEqual([[], true]);
    all.find = async (token) => ({ token, owner: 'alice', state: 'ended' });
    all.news('t', 1);
    await settle();
    expect(all.ended).toEqual(['t']);
  });

  test('has news still where its rows could not be read: the next look at the database brings them', async () => {
    all.enter('t');
    all.forwarded.follow('t', 'ONCE');
    const find = all.find;
    all.find = async () => {
      throw new Error('the database is away');
    };
    all.news('t', 4);
    await settle();
    expect(all.log.lines).toEqual([
      expect.stringContaining('debug: the rows of t were not read: the database is away'),
    ]);
    expect([...all.watches.seen()]).toEqual([['t', 0]]);
    all.find = find;
    all.watches.found(new Map([['t', 4]]));
    await settle();
    expect([all.reassessed, [...all.watches.seen()]]).toEqual([['t alice'], [['t', 4]]]);
  });

  test('has what came while it was looked at as news still, where that was not read', async () => {
    all.enter('t');
    all.forwarded.follow('t', 'ONCE');
    const { promise, resolve } = Promise.withResolvers<object>();
    all.find = () => promise;
    all.news('t', 1);
    all.find = async () => {
      throw new Error('the database is away');
    };
    all.news('t', 3);
    all.news('t', 2);
    resolve({ token: 't', owner: 'alice', state: 'open' });
    await settle();
    expect([all.finds, [...all.watches.seen()]]).toEqual([2, [['t', 1]]]);
  });

  test('that ended here is let go of by the sweep, and so is one whose token is another request now', () => {
    for (const token of ['ended', 'again', 'open']) {
      all.enter(token);
      all.forwarded.follow(token, 'ONCE');
    }
    all.open.delete('ended');
    all.enter('again');
    all.forwarded.sweep();
    expect(['ended', 'again', 'open'].map((token) => all.watches.has(token))).toEqual([false, false, true]);
    all.forwarded.sweep();
    expect(all.watches.counters.watched).toBe(1);
  });

  test('stays watched for those that follow it, once it has ended', async () => {
    all.enter('t');
    all.forwarded.follow('t', 'ONCE');
    all.watches.add('t');
    all.find = async (token) => ({ token, owner: 'alice', state: 'ended' });
    all.news('t', 1);
    await settle();
    expect([all.ended, all.watches.has('t')]).toEqual([['t'], true]);
  });
});

test('a token that is followed here, and is no request of this router, has its rows told and ends nothing', async () => {
  all.watches.add('t');
  all.enter('here', false);
  all.watches.add('here');
  all.find = async (token) => ({ token, owner: 'bob', state: 'ended' });
  for (const token of ['t', 'here']) all.news(token, 1);
  await settle();
  expect([all.reassessed, all.ended]).toEqual([['t bob', 'here bob'], []]);
});

test('a request is kept where it is open here, and its number is known until it has ended', async () => {
  all.enter('t');
  expect([await all.forwarded.keep('t'), all.forwarded.keptOf('t')]).toEqual([false, undefined]);
  all.kept = () => 2;
  expect([await all.forwarded.keep('t'), all.forwarded.keptOf('t')]).toEqual([true, 2]);
  // An answer that comes late says less.
  all.kept = () => 1;
  expect([await all.forwarded.keep('t'), all.forwarded.keptOf('t')]).toEqual([true, 2]);
  all.kept = () => {
    throw new Error('the database is away');
  };
  await expect(all.forwarded.keep('t')).rejects.toThrow('the database is away');
  all.open.delete('t');
  all.kept = () => 3;
  expect([await all.forwarded.keep('t'), all.forwarded.keptOf('t')]).toEqual([false, undefined]);
});
