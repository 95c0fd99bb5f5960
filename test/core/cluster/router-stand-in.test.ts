import { CentreondError, failure } from '@centreond/protocol';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { RouterStandIn } from '../../../core/dist/cluster/router-stand-in.js';
import { Unanswered } from '../../../core/dist/fleet/pending.js';
import type { Carried } from '../../../core/dist/fleet/routes.js';
import { OpenRequest } from '../../../core/dist/router/request.js';
import { action, TestPeer } from '../router/world.ts';
import { FakeBus, Lines, refusalOf } from './stage.ts';

const AGAIN_MS = 1000;
const PATIENCE_MS = 30_000;
const DAY_MS = 24 * 3600 * 1000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const unanswered = () => new Unanswered('NOT_ACKNOWLEDGED', 'no answer came');
const settled = () => vi.advanceTimersByTimeAsync(0);

function stage() {
  const runsOn: { now: string | undefined } = { now: 'b' };
  const bus = new FakeBus();
  const log = new Lines();
  const taken: (Carried & { router: string })[] = [];
  const failed: string[] = [];
  const stage = {
    bus,
    log,
    taken,
    failed,
    runsOn,
    holder: 'a' as string | undefined,
    answer: async (): Promise<string> => '{}',
  };
  const standIn = new RouterStandIn({
    ...{ id: 'a', type: 'cron', bus, clock: { now: Date.now }, log: log as never, runsOn: () => runsOn.now },
    membership: { holderOf: async () => stage.holder },
    keep: async () => stage.holder === 'a',
    requests: {
      fail: (open, error) => {
        if (open.ended()) failed.push(`${open.token} ${error.code}`);
      },
    },
    carrierOf: (router) =>
      ({
        carry: (request: Carried) => {
          taken.push({ ...request, router });
          return stage.answer();
        },
      }) as never,
  });
  const request = (token: string, envelope = {}) => {
    const registered = { manifest: action('ONCE'), type: 'cron', executor: standIn, fault: () => undefined };
    const open = new OpenRequest({
      ...{ token, owner: 'alice', action: registered, target: '', data: '{"x":1}' },
      ...{ envelope: { text: '', ...envelope }, wantedUntil: Date.now() + DAY_MS, acceptedAt: Date.now() },
    });
    open.recorded();
    return open;
  };
  const submit = (token: string, envelope = {}) => {
    const open = request(token, envelope);
    standIn.submit(open);
    return open;
  };
  /** To whom each was handed over, in turn. */
  const handed = () => taken.map(({ token, router }) => `${token} ${router}`);
  return Object.assign(stage, { standIn, submit, handed });
}

describe('a request of a plugin that another router runs', () => {
  test('is handed over to that one at once, for its owner', async () => {
    const all = stage();
    const open = all.submit('t', { hops: ['leaf'], deadline: 5 });
    await settled();
    const envelope = { from: 'alice', hops: ['leaf', 'a'], deadline: Math.floor(open.wantedUntil / 1000) };
    expect(all.taken).toEqual([
      { router: 'b', action: 'ONCE', token: 't', target: 'b', owner: 'alice', data: '{"x":1}', envelope },
    ]);
    expect(open.state).toBe('running');
    await vi.advanceTimersByTimeAsync(DAY_MS);
    expect([all.taken.length, all.failed]).toEqual([1, []]);
  });

  test('has no deadline there where it has none here', async () => {
    const all = stage();
    all.submit('t');
    expect(all.taken[0]?.envelope).toEqual({ from: 'alice', hops: ['a'] });
  });

  test('waits while no router is known to run it, and goes to the first that is', async () => {
    const all = stage();
    all.runsOn.now = undefined;
    const open = all.submit('t');
    await vi.advanceTimersByTimeAsync(15_000);
    expect([all.taken, open.state]).toEqual([[], 'waiting']);
    all.runsOn.now = 'c';
    await vi.advanceTimersByTimeAsync(AGAIN_MS);
    expect(all.handed()).toEqual(['t c']);
  });

  test('fails once it has waited for 30 s', async () => {
    const all = stage();
    all.runsOn.now = undefined;
    all.submit('t');
    await vi.advanceTimersByTimeAsync(PATIENCE_MS);
    expect(all.failed).toEqual([]);
    await vi.advanceTimersByTimeAsync(AGAIN_MS);
    expect([all.failed, vi.getTimerCount()]).toEqual([['t NODE_UNREACHABLE'], 0]);
  });

  test.each([
    ['no answer came', unanswered],
    ['it is not reached', () => failure('NODE_UNREACHABLE', { target: 'b' })],
    ['it is busy', () => failure('BUSY', { what: 'b', limit: 1 })],
    ['its database is away', () => failure('INTERNAL', { reference: 'x' })],
  ])('is handed over again where %s, to who runs it then', async (_, error) => {
    const all = stage();
    all.answer = async () => {
      throw error();
    };
    const open = all.submit('t');
    await settled();
    // Nobody knows yet whether it runs there.
    expect(open.state).toBe('running');
    await vi.advanceTimersByTimeAsync(AGAIN_MS);
    all.runsOn.now = 'c';
    all.answer = async () => '{}';
    await vi.advanceTimersByTimeAsync(AGAIN_MS);
    expect([all.handed(), open.state, all.failed]).toEqual([['t b', 't b', 't c'], 'running', []]);
  });

  test('ends where it is refused for good', async () => {
    const all = stage();
    all.answer = async () => {
      throw failure('FORBIDDEN', { identity: 'alice', what: 'ONCE', remedy: '' });
    };
    all.submit('t');
    await vi.advanceTimersByTimeAsync(10 * AGAIN_MS);
    expect([all.failed, all.taken.length]).toEqual([['t FORBIDDEN'], 1]);
  });

  test('that ended while it was handed over is left as it is', async () => {
    const all = stage();
    const { promise, reject } = Promise.withResolvers<string>();
    all.answer = () => promise;
    const open = all.submit('t');
    open.ended();
    reject(unanswered());
    await vi.advanceTimersByTimeAsync(10 * AGAIN_MS);
    expect([open.state, all.taken.length, all.failed]).toEqual(['ended', 1, []]);
  });

  test('that is withdrawn, or ended while it waited, is not handed over', async () => {
    const all = stage();
    all.runsOn.now = undefined;
    const withdrawn = all.submit('withdrawn');
    all.submit('ended').ended();
    all.standIn.withdraw(withdrawn);
    all.runsOn.now = 'b';
    await vi.advanceTimersByTimeAsync(10 * AGAIN_MS);
    expect([all.taken, vi.getTimerCount()]).toEqual([[], 0]);
  });

  test('is stopped by the router that has it; one that was not handed over needs nothing', async () => {
    const all = stage();
    const handed = all.submit('handed');
    await settled();
    all.runsOn.now = undefined;
    const waiting = all.submit('waiting');
    const abort = (open: OpenRequest) => {
      open.aborted(failure('CANCELLED', { token: open.token, by: 'alice' }), Date.now());
      all.standIn.abort(open);
    };
    abort(waiting);
    all.holder = 'b';
    all.bus.answers = async () => {
      throw unanswered();
    };
    abort(handed);
    await settled();
    expect(all.bus.asked).toEqual([{ to: 'b', what: 'cancel', said: { token: 'handed', by: 'alice' } }]);
    expect(all.log.of('warn')).toEqual([expect.stringContaining('b was not told to stop handed: no answer came')]);
    expect(all.failed).toEqual([]);
    all.standIn.stop();
  });
});

describe('when it is the turn of this router', () => {
  test('what was not handed over is given back, once, and nothing more is handed over', async () => {
    const all = stage();
    const handed = all.submit('handed');
    await settled();
    all.runsOn.now = undefined;
    const waiting = all.submit('waiting');
    expect([all.standIn.takeBack(), all.standIn.takeBack()]).toEqual([[waiting], []]);
    all.runsOn.now = 'b';
    await vi.advanceTimersByTimeAsync(10 * AGAIN_MS);
    expect([all.handed(), handed.state, waiting.state]).toEqual([['handed b'], 'running', 'waiting']);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('what was given back is no longer its own: it stops nothing of that, and ends nothing', async () => {
    const all = stage();
    all.runsOn.now = undefined;
    const open = all.submit('t');
    all.standIn.takeBack();
    open.started(Date.now(), open.wantedUntil);
    open.aborted(failure('CANCELLED', { token: 't', by: 'alice' }), Date.now());
    all.holder = 'b';
    all.standIn.abort(open);
    await vi.advanceTimersByTimeAsync(PATIENCE_MS + 10 * AGAIN_MS);
    expect([all.bus.asked, all.failed, open.state]).toEqual([[], [], 'running']);
  });
});

describe('a question of such a plugin', () => {
  const ask = (all: ReturnType<typeof stage>, change = {}) =>
    all.standIn.ask(action('ASK', { reply: 'ack', ...change }), { x: 1 }, new TestPeer('alice'), {
      ...{ token: 't', target: '', envelope: { text: '' } },
    });

  test('is answered by the router that runs it', async () => {
    const all = stage();
    all.answer = async () => '{"answer":42}';
    expect((await ask(all, { effects: 'read' })).data).toBe('{"answer":42}');
    expect((await ask(all, { effects: 'destructive' })).data).toBe('{"answer":42}');
    // What only reads may be asked twice at once.
    expect(all.handed()).toEqual([' b', 't b']);
    expect(all.taken[0]).toMatchObject({ action: 'ASK', target: 'b', owner: 'alice', data: '{"x":1}' });
  });

  test('is refused as that one refuses it, and at once where none is known', async () => {
    const all = stage();
    all.answer = async () => {
      throw new CentreondError('FORBIDDEN', 'not you');
    };
    expect(await refusalOf(ask(all))).toBe('FORBIDDEN');
    all.runsOn.now = undefined;
    await expect(ask(all)).rejects.toThrow('does not run the plugin cron now, and no other router of its cluster does');
    expect(await refusalOf(ask(all))).toBe('NODE_UNREACHABLE');
  });
});

test('KILL says where the plugin runs', async () => {
  const all = stage();
  await expect(all.standIn.kill()).rejects.toThrow('it runs on the router b: send KILL there');
  all.runsOn.now = undefined;
  await expect(all.standIn.kill()).rejects.toThrow('it runs on no router now');
  expect([all.standIn.ids(), all.standIn.hearers(), all.standIn.admit()]).toEqual([[], [], undefined]);
});
