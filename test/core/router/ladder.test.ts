import { failure, parseReply } from '@centreond/protocol';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { HistoryActions } from '../../../core/dist/router/history-actions.js';
import { type Answer, wrongMoveCount } from '../../../core/dist/router/request.js';
import { manifest, settle, TestPeer, World } from './world.ts';

let world: World;
let alice: TestPeer;
let movesBefore: number;
beforeEach(async () => {
  vi.useFakeTimers();
  movesBefore = wrongMoveCount();
  world = new World();
  alice = new TestPeer('alice');
  await world.start();
});
afterEach(() => {
  vi.useRealTimers();
  expect(wrongMoveCount()).toBe(movesBefore);
});

const refusal = (peer: TestPeer) => {
  const { data } = JSON.parse(parseReply(peer.heard.at(-1) ?? '').data) as { data: { error: string; message: string } };
  return data;
};

describe('the ladder', () => {
  test('checks form, action, role, target and data, in this order, and a refused request leaves no trace', async () => {
    const nobody = new TestPeer('eve', 'router');
    world.ladder.receive(alice, Buffer.from('[once] [t] [] {}'));
    expect(refusal(alice).error).toBe('MALFORMED_FRAME');
    world.ladder.receive(alice, Buffer.from('[NONE] [t] [] {"$":1}'));
    expect(refusal(alice).error).toBe('UNKNOWN_ACTION');
    world.send(new TestPeer('n', 'node'), 'ONCE', 't');
    world.send(alice, 'ONCE', 't2', { $: { from: 'bob' } });
    expect(refusal(alice).error).toBe('INVALID_DATA');
    await settle();
    expect([...world.disk.requests.keys()]).toEqual(['t']);
    expect(nobody.heard).toEqual([]);
  });

  test.each([['client'], ['admin']] as const)(
    'counts the keys of a message of a link, too, if it comes from the role %s',
    (role) => {
      const peer = new TestPeer('eve', role);
      for (const name of ['SETLOGS', 'REGISTERNODE', 'ANNOUNCE']) {
        world.send(peer, name, 't', { rows: Array.from({ length: 50_000 }, () => 1) });
        expect(refusal(peer)).toMatchObject({
          error: 'INVALID_DATA',
          message: expect.stringContaining('more than 50000 keys and elements'),
        });
      }
    },
  );

  test('does not count the keys of a message of a link from a node', () => {
    const node = new TestPeer('lyon', 'node');
    world.send(node, 'SETLOGS', 't', { rows: Array.from({ length: 50_000 }, () => 1) });
    expect(refusal(node).error).toBe('UNKNOWN_ACTION');
  });

  test('acknowledges only what is on disk, and hands it over only then', async () => {
    world.send(alice, 'ONCE', 't');
    expect([alice.heard, world.given]).toEqual([[], []]);
    await settle();
    expect([alice.acks('t'), world.given]).toEqual([['accepted'], ['t']]);
  });

  test('answers a repeat with duplicate, other content with TOKEN_REUSED, and another identity with FORBIDDEN', async () => {
    const bob = new TestPeer('bob');
    world.send(alice, 'ONCE', 't', { a: 1, b: 2 });
    world.send(alice, 'ONCE', 't', { b: 2, a: 1 });
    await settle();
    world.send(alice, 'ONCE', 't', { a: 1 });
    world.send(bob, 'ONCE', 't', { a: 1, b: 2 });
    expect(alice.acks('t')).toEqual(['accepted', 'duplicate', 'TOKEN_REUSED']);
    expect(bob.acks('t')).toEqual(['FORBIDDEN']);
    expect(world.given).toEqual(['t']);
  });

  test('refuses with STORE_FAILED what the disk does not take, and accepts the same request once it does', async () => {
    world.disk.isFull = true;
    world.send(alice, 'ONCE', 't');
    await settle();
    world.disk.isFull = false;
    world.send(alice, 'ONCE', 't');
    await settle();
    expect(alice.acks('t')).toEqual(['STORE_FAILED', 'accepted']);
    expect(world.given).toEqual(['t']);
  });

  test('a token that begins with the type of a plugin is first used by that plugin, or by a router for it', async () => {
    const plugin = new TestPeer('@work', 'plugin');
    const router = new TestPeer('north', 'router');
    const admin = new TestPeer('@local', 'admin');
    for (const peer of [alice, admin]) {
      world.send(peer, 'ONCE', 'work:job:1');
      expect(peer.acks('work:job:1')).toEqual(['FORBIDDEN']);
    }
    world.send(alice, 'ONCE', 'works:job');
    world.send(plugin, 'ONCE', 'work:job:1');
    world.send(router, 'ONCE', 'work:job:2', { $: { from: '@work' } });
    world.send(router, 'ONCE', 'work:job:3', { $: { from: 'bob' } });
    await settle();
    expect(alice.acks('works:job')).toEqual(['accepted']);
    expect(plugin.acks('work:job:1')).toEqual(['accepted']);
    expect(router.acks('work:job:2')).toEqual(['accepted']);
    expect(router.acks('work:job:3')).toEqual(['FORBIDDEN']);
  });

  test('a drain lets go of a request that the disk refused, and ends one that was being recorded without running it', async () => {
    world.disk.isFull = true;
    world.send(alice, 'ONCE', 'refused');
    const drained = world.requests.drain(60_000, 1000);
    await settle();
    world.disk.isFull = false;
    await drained;
    const release = world.disk.hold();
    world.send(alice, 'ONCE', 'late');
    const second = world.requests.drain(100, 1000);
    await vi.advanceTimersByTimeAsync(200);
    release();
    await vi.advanceTimersByTimeAsync(2000);
    await second;
    expect(world.given).toEqual([]);
    expect(world.disk.endsOf('late')).toMatchObject([{ code: 1, data: expect.stringContaining('INTERRUPTED') }]);
  });
});

test('DATA is kept as it arrived, without its envelope', async () => {
  await world.start();
  world.ladder.receive(alice, Buffer.from('[ONCE] [a] [] {"b": 1e2,  "a":2}'));
  world.ladder.receive(alice, Buffer.from('[ONCE] [b] [] {"b": 1e2,  "$":{"hold":true}}'));
  world.ladder.receive(alice, Buffer.from('[ONCE] [c] [] '));
  world.ladder.receive(alice, Buffer.from('[ONCE] [d] []  \n{ \t}\n'));
  world.ladder.receive(alice, Buffer.from('[ONCE] [e] [] \r\n {"a":1}\n'));
  world.ladder.receive(alice, Buffer.from(`[ONCE] [f] [] {${' '.repeat(1000)}}`));
  await settle();
  expect(['a', 'b', 'c', 'd', 'e', 'f'].map((token) => world.disk.requests.get(token)?.data)).toEqual([
    '{"b": 1e2,  "a":2}',
    '{"b":100}',
    '{}',
    '{}',
    '{"a":1}',
    '{}',
  ]);
  world.send(alice, 'ONCE', 'a', { a: 2, b: 100 });
  expect(alice.acks('a')).toEqual(['accepted', 'duplicate']);
});

describe('shares', () => {
  test('one identity that has its share open is refused with BUSY, whose and how many; others go on', async () => {
    const open = { count: 10, bytes: 1e6, perIdentity: { count: 3, bytes: 1e6 } };
    world = new World(undefined, { open });
    await world.start();
    for (let i = 0; i < 5; i++) world.send(alice, 'ONCE', `a${i}`);
    expect(refusal(alice)).toMatchObject({
      error: 'BUSY',
      message: expect.stringMatching(/open requests of alice.*\(3\)/),
    });
    const bob = new TestPeer('bob');
    world.send(bob, 'ONCE', 'b');
    await settle();
    expect(bob.acks('b')).toEqual(['accepted']);
    for (const { given, instance } of world.running) instance.say(given, 2);
    await settle();
    world.send(alice, 'ONCE', 'again');
    await settle();
    expect(alice.acks('again')).toEqual(['accepted']);
  });

  test('bytes are bounded, in all and for each identity', async () => {
    const open = { count: 1000, bytes: 2500, perIdentity: { count: 1000, bytes: 1500 } };
    world = new World(undefined, { open });
    await world.start();
    const data = { x: 'x'.repeat(1000) };
    world.send(alice, 'ONCE', 'a1', data);
    world.send(alice, 'ONCE', 'a2', data);
    expect(refusal(alice).message).toMatch(/memory for open requests of alice.*1500/);
    world.send(new TestPeer('bob'), 'ONCE', 'b1', data);
    const carol = new TestPeer('carol');
    world.send(carol, 'ONCE', 'c1', data);
    expect(refusal(carol).message).toMatch(/open requests in all.*2500/);
  });

  test('a large request beyond a share is refused by its head, and a repeat is answered all the same', async () => {
    const open = { count: 1000, bytes: 60_000, perIdentity: { count: 1000, bytes: 30_000 } };
    world = new World(undefined, { open });
    await world.start();
    const note = 'x'.repeat(20_000);
    world.send(alice, 'ONCE', 'a1', { note });
    await settle();
    // Had it been read, it would be no JSON.
    world.ladder.receive(alice, Buffer.from(`[ONCE] [a2] [] {"note":"${note}`));
    expect(alice.acks('a2')).toEqual(['BUSY']);
    world.send(alice, 'ONCE', 'a1', { note });
    expect(alice.acks('a1')).toEqual(['accepted', 'duplicate']);
    const root = new TestPeer('root', 'router');
    world.send(root, 'ONCE', 'r1', { note, $: { from: 'alice' } });
    await settle();
    expect(root.acks('r1')).toEqual(['accepted']);
  });

  test('before a plugin the owners take turns, administrators first', async () => {
    const bob = new TestPeer('bob');
    const root = new TestPeer('root', 'admin');
    for (let i = 0; i < 20; i++) world.send(alice, 'ONCE', `a${i}`);
    await settle();
    for (let i = 0; i < 3; i++) world.send(bob, 'ONCE', `b${i}`);
    world.send(root, 'ONCE', 'r');
    await settle();
    for (let i = 0; i < 8; i++) {
      const [one] = world.running;
      if (one) one.instance.say(one.given, 2);
    }
    expect(world.given.slice(0, 2)).toEqual(['a0', 'a1']);
    expect(world.given.slice(2, 9)).toEqual(['r', 'a2', 'b0', 'a3', 'b1', 'a4', 'b2']);
  });
});

describe('what a process says', () => {
  test.each<[string, number, unknown, RegExp]>([
    ['no JSON', 10, 'not json', /data is not JSON/],
    ['a code that is no number', Number.NaN, {}, /code NaN/],
    ['a negative code', -1, {}, /code -1/],
    ["one of the core's codes", 3, {}, /code 3/],
    ['a code that it did not declare', 777, {}, /code 777/],
    ['too much', 10, { x: 'x'.repeat(1e6) }, /bytes/],
    ['an error without a message', 1, { error: 'X' }, /without error and message/],
    ['a value that nests too deep', 10, `${'['.repeat(40)}${']'.repeat(40)}`, /nests too deep/],
  ])(
    'is checked where it enters: %s ends the process with that cause, and is not stored',
    async (_, code, data, cause) => {
      world.send(alice, 'ONCE', 't');
      await settle();
      const [one] = world.running;
      one?.instance.say(one.given, 10, { step: 1 });
      one?.instance.say(one.given, code, data);
      await settle();
      expect(one?.instance.condemnedFor).toMatch(cause);
      const rows = world.disk.rows.filter(({ token }) => token === 't');
      expect(rows.map((row) => row.code)).toEqual([0, 10, 1]);
      expect(JSON.parse(rows[2]?.data ?? '')).toMatchObject({
        error: 'PLUGIN_CRASHED',
        message: expect.stringMatching(cause),
      });
    },
  );

  test('an answer in the ACK is checked, too', async () => {
    world.send(alice, 'ASK', 'q');
    await settle();
    const [one] = world.running;
    one?.instance.say(one.given, 2, '{garbage');
    expect(alice.acks('q')).toEqual([]);
    await settle();
    expect(alice.acks('q')).toEqual(['PLUGIN_CRASHED']);
  });
});

describe('a request', () => {
  test('whose process dies while a reload drains runs on the new version', async () => {
    world.send(alice, 'AGAIN', 't');
    await settle();
    const [old] = world.instances;
    const replaced = world.replace(world.version(manifest()), () => {});
    await settle();
    old?.exit('exit code 1');
    await settle();
    expect(world.given).toEqual(['t', 't']);
    expect(world.running[0]?.instance).not.toBe(old);
    await vi.advanceTimersByTimeAsync(5000);
    await replaced;
  });

  test('of a reload that cannot be registered stays with the old version', async () => {
    world.send(alice, 'ONCE', 't');
    await settle();
    const replaced = world.replace(world.version(manifest()), () => {
      throw new Error('its schema does not compile');
    });
    replaced.catch(() => {});
    await vi.advanceTimersByTimeAsync(5000);
    await expect(replaced).rejects.toMatchObject({
      code: 'INVALID_PLUGIN',
      message: expect.stringContaining('compile'),
    });
    const [one] = world.running;
    one?.instance.say(one.given, 2);
    await settle();
    world.send(alice, 'ONCE', 'u');
    await settle();
    expect(world.given).toEqual(['t', 'u']);
  });

  test('that expires before it ever ran says so', async () => {
    for (let i = 0; i < 3; i++)
      world.send(alice, 'ONCE', `t${i}`, { $: { deadline: Math.floor(Date.now() / 1000) + 5 } });
    await vi.advanceTimersByTimeAsync(20_000);
    const said = (token: string) =>
      String((JSON.parse(world.disk.endsOf(token)[0]?.data ?? '{}') as { message?: string }).message);
    expect(said('t0')).toMatch(/did not end within/);
    expect(said('t2')).toMatch(/never started/);
  });

  test('that is answered in the ACK ends TIMEOUT at its time, and takes up its room until its process answers', async () => {
    for (const token of ['q1', 'q2', 'q3']) world.send(alice, 'ASK', token);
    await vi.advanceTimersByTimeAsync(31_000);
    expect(alice.heard.filter((message) => message.includes('TIMEOUT'))).toHaveLength(3);
    expect(world.running).toHaveLength(2);
    for (const { given, instance } of world.running) instance.say(given, 2);
    expect(alice.acks('q1')).toEqual(['TIMEOUT']);
  });

  test('of an earlier run is settled: idempotent ones run again, those of other nodes go on, others end OUTCOME_UNKNOWN', async () => {
    world.send(alice, 'ONCE', 'once');
    world.send(alice, 'AGAIN', 'again');
    world.send(alice, 'ONCE', 'away', {}, 'paris');
    await settle();
    world.kill();
    const next = new World(world.disk);
    await next.start();
    await next.recover();
    await settle();
    expect(world.disk.endsOf('once')[0]?.data).toContain('OUTCOME_UNKNOWN');
    expect(next.given).toEqual(['again']);
    expect([...next.elsewhere.has].map(({ token }) => token)).toEqual(['away']);
  });
});

describe('an early request', () => {
  test('of an idempotent action runs while it is being recorded, and is acknowledged only once it is on disk', async () => {
    const release = world.disk.hold();
    world.send(alice, 'AGAIN', 't');
    await settle();
    expect([alice.heard, world.given]).toEqual([[], ['t']]);
    release();
    await settle();
    expect([alice.acks('t'), world.given]).toEqual([['accepted'], ['t']]);
  });

  test('has its rows stored behind its first one, and told only after the ACK', async () => {
    const told: string[] = [];
    const release = world.disk.hold();
    world.send(alice, 'AGAIN', 't');
    await settle();
    const follower = world.followers.attach(alice, 't', 0);
    world.followers.goLive(follower, [], 'alice');
    const [run] = world.running;
    if (!run) throw new Error('it does not run');
    run.instance.say(run.given, 10);
    run.instance.say(run.given, 2);
    await settle();
    expect(alice.heard).toEqual([]);
    release();
    await settle();
    told.push(...alice.heard.map((line) => /"code":(\d+)/.exec(line)?.[1] ?? ''));
    expect(alice.heard[0]).toMatch(/^\[ACK\]/);
    expect(told).toEqual(['0', '0', '10', '2']);
    expect(world.disk.codesOf('t')).toEqual([0, 10, 2]);
    expect(world.requests.used()).toEqual({ count: 0, bytes: 0 });
    expect(world.telemetry.of('AGAIN')).toEqual({ finished: 1, failed: 0 });
  });

  test('that turns out to be a repeat is aborted, stores nothing, and is answered with duplicate', async () => {
    world.send(alice, 'AGAIN', 't');
    await settle();
    for (const { given, instance } of world.running) instance.say(given, 2);
    await settle();
    const before = [...world.disk.rows];
    world.send(alice, 'AGAIN', 't');
    const [run] = world.running;
    if (!run) throw new Error('it does not run');
    run.instance.say(run.given, 10);
    await settle();
    expect(alice.acks('t')).toEqual(['accepted', 'duplicate']);
    expect(run.instance.aborted).toEqual(['t']);
    run.instance.say(run.given, 10);
    run.instance.say(run.given, 2);
    await settle();
    expect(world.disk.rows).toEqual(before);
    expect(world.telemetry.of('AGAIN')).toEqual({ finished: 1, failed: 0 });
    expect(world.telemetry.droppedRows).toBe(0);
  });

  test('that repeats with other content, or from another identity, is withdrawn with the refusal of any other', async () => {
    world.send(alice, 'AGAIN', 't');
    await settle();
    for (const { given, instance } of world.running) instance.say(given, 2);
    await settle();
    const bob = new TestPeer('bob');
    world.send(bob, 'AGAIN', 't');
    await settle();
    expect(bob.acks('t')).toEqual(['FORBIDDEN']);
    for (const { given, instance } of world.running) instance.say(given, 2);
    world.send(alice, 'AGAIN', 't', { other: true });
    await settle();
    expect(alice.acks('t')).toEqual(['accepted', 'TOKEN_REUSED']);
    expect(world.disk.codesOf('t')).toEqual([0, 2]);
  });

  test('that the disk refuses is aborted and refused, and nothing it said is stored', async () => {
    world.disk.isFull = true;
    world.send(alice, 'AGAIN', 't');
    const [run] = world.running;
    if (!run) throw new Error('it does not run');
    run.instance.say(run.given, 10);
    await settle();
    expect(alice.acks('t')).toEqual(['STORE_FAILED']);
    expect(run.instance.aborted).toEqual(['t']);
    world.disk.isFull = false;
    await vi.advanceTimersByTimeAsync(5000);
    run.instance.say(run.given, 2);
    await settle();
    expect(world.disk.rows).toEqual([]);
    expect(world.log.lines).toEqual([expect.stringContaining('is ready')]);
  });

  test('that was withdrawn is over before a later request of its token runs', async () => {
    world.disk.isFull = true;
    world.send(alice, 'AGAIN', 't');
    await settle();
    world.disk.isFull = false;
    world.send(alice, 'AGAIN', 't');
    await settle();
    expect(alice.acks('t')).toEqual(['STORE_FAILED', 'accepted']);
    expect(world.given).toEqual(['t']);
    const [withdrawn] = world.running;
    withdrawn?.instance.say(withdrawn.given, 2);
    await settle();
    expect(world.given).toEqual(['t', 't']);
    expect(world.disk.codesOf('t')).toEqual([0]);
    const [run] = world.running;
    run?.instance.say(run.given, 2);
    await settle();
    expect(world.disk.codesOf('t')).toEqual([0, 2]);
  });

  test('is none where the store refused the last request', async () => {
    world.disk.isFull = true;
    world.send(alice, 'AGAIN', 't1');
    await settle();
    world.send(alice, 'AGAIN', 't2');
    await settle();
    expect(world.given).toEqual(['t1']);
    world.disk.isFull = false;
    world.send(alice, 'AGAIN', 't3');
    expect(world.given).toEqual(['t1']);
    await settle();
    for (const { given, instance } of world.running) instance.say(given, 2);
    world.send(alice, 'AGAIN', 't4');
    expect(world.given).toEqual(['t1', 't3', 't4']);
  });

  test('of which a kill -9 comes before the commit leaves nothing', async () => {
    world.disk.hold();
    world.send(alice, 'AGAIN', 't');
    await settle();
    for (const { given, instance } of world.running) instance.say(given, 2);
    world.kill();
    await settle();
    expect([alice.heard, world.disk.rows, world.disk.requests.size]).toEqual([[], [], 0]);
  });

  test('may be cancelled, and ends so once it is on disk', async () => {
    const release = world.disk.hold();
    world.send(alice, 'AGAIN', 't');
    const open = world.requests.get('t');
    if (!open) throw new Error('it is not open');
    world.requests.abort(open, failure('CANCELLED', { token: 't', by: 'alice' }));
    expect(world.running[0]?.instance.aborted).toEqual(['t']);
    for (const { given, instance } of world.running) instance.say(given, 1);
    release();
    await settle();
    expect(alice.acks('t')).toEqual(['accepted']);
    expect(world.disk.codesOf('t')).toEqual([0, 1]);
  });

  test('is answered to who follows it at once, without a question to the store', async () => {
    const store = { find: vi.fn(), query: vi.fn() };
    const { followers, requests, registry } = world;
    const options = { id: 'central', maxMessage: 1e6, store, followers, requests, registry, clock: Date };
    const history = new HistoryActions({ ...options, synchronise: async () => {} } as never);
    world.send(alice, 'AGAIN', 't');
    const answer = history.follow({ token: 't' }, { caller: alice } as never) as Promise<Answer>;
    for (const { given, instance } of world.running) instance.say(given, 2);
    const told = answer.then(({ after }) => {
      alice.send('[ACK] [f] {}');
      after?.();
    });
    await settle();
    await told;
    expect(alice.heard.map((line) => line.slice(0, 9))).toEqual(['[ACK] [t]', '[ACK] [f]', '[LOG] [t]', '[LOG] [t]']);
    expect([store.find.mock.calls, store.query.mock.calls]).toEqual([[], []]);
    expect(followers.counters.followed).toBe(0);
  });

  test('that was withdrawn writes no row by PUTLOG, nor does one that is being recorded before it is', async () => {
    const { followers, requests, registry } = world;
    const put = vi.fn(async () => ({ known: false, owner: 'alice', row: { token: 't', data: '{}' } }));
    const options = { id: 'central', maxMessage: 1e6, store: { put }, followers, requests, registry, clock: Date };
    const history = new HistoryActions({ ...options, synchronise: async () => {} } as never);
    const caller = new TestPeer('@work', 'plugin');
    const say = (token: string) => history.putlog({ token, code: 10, data: {} }, { caller, token: '' } as never);
    const release = world.disk.hold();
    world.send(alice, 'AGAIN', 't');
    const said = say('t');
    await settle();
    expect(put).not.toHaveBeenCalled();
    release();
    await said;
    expect(put).toHaveBeenCalledOnce();
    world.disk.isFull = true;
    world.send(alice, 'AGAIN', 't2');
    await expect(say('t2')).rejects.toMatchObject({ code: 'STORE_FAILED' });
    await expect(say('t2')).rejects.toMatchObject({ code: 'STORE_FAILED' });
    expect(put).toHaveBeenCalledOnce();
  });
});
