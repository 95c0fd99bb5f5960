import { failure, type JsonObject, parseReply } from '@centreond/protocol';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { WAIT_LIMIT_MS } from '../../../core/dist/router/ladder.js';
import { Answer, wrongMoveCount } from '../../../core/dist/router/request.js';
import { Steps } from './steps.ts';
import { action, manifest, settle, TestPeer, World } from './world.ts';

const ACTIONS = [
  action('PING', { reply: 'ack' }),
  action('LOOK', { reply: 'ack' }),
  action('DO', { input: { type: 'object', properties: { n: { type: 'integer' } } } }),
  action('HERE', { runs: 'here' }),
  action('ADMINS', { access: ['admin'], input: { type: 'object', properties: { n: { type: 'integer' } } } }),
];

let world: World;
let steps: Steps;
let alice: TestPeer;
let movesBefore: number;
beforeEach(async () => {
  vi.useFakeTimers();
  movesBefore = wrongMoveCount();
  world = new World();
  steps = new Steps();
  alice = new TestPeer('alice');
  world.registry.add(manifest({ type: 'steps', actions: ACTIONS }), steps);
  await world.start();
});
afterEach(() => {
  vi.useRealTimers();
  expect(wrongMoveCount()).toBe(movesBefore);
});

const raw = (peer: TestPeer, text: string | Buffer) => world.ladder.receive(peer, Buffer.from(text));
/** The last answer: its code or error, its token, and its sentence. */
function last(peer: TestPeer) {
  const { token, data } = parseReply(peer.heard.at(-1) ?? '');
  const { code, data: told } = JSON.parse(data) as { code: number; data: JsonObject };
  return { token, error: code === 0 ? 'none' : String(told.error), message: String(told.message), data: told };
}

describe('a message', () => {
  test('of maxMessage bytes is read, and one byte more is TOO_LARGE under its token', () => {
    const text = (bytes: number) => {
      const start = '[LOOK] [big:1] [] {"a":"';
      return `${start}${'x'.repeat(bytes - start.length - 2)}"}`;
    };
    raw(alice, text(1e6));
    expect(last(alice)).toMatchObject({ token: 'big:1', error: 'none' });
    raw(alice, text(1e6 + 1));
    expect(last(alice)).toMatchObject({ token: 'big:1', error: 'TOO_LARGE' });
    expect(last(alice).message).toContain('has 1000001 bytes and the limit is 1000000');
    raw(alice, 'x'.repeat(1e6 + 1));
    expect(last(alice)).toMatchObject({ token: '', error: 'TOO_LARGE' });
    expect(steps.asked).toHaveLength(1);
  });

  test('that is malformed or no UTF-8 is refused under its token, if that can be read', () => {
    raw(alice, '[DO] [t:1] [paris');
    expect(last(alice)).toMatchObject({ error: 'MALFORMED_FRAME' });
    raw(alice, '[DO] [t:2] [] {"a":');
    expect(last(alice)).toMatchObject({ token: 't:2', error: 'MALFORMED_FRAME' });
    raw(alice, Buffer.concat([Buffer.from('[DO] [t:3] [] {"a":"'), Buffer.of(0xff), Buffer.from('"}')]));
    expect(last(alice).error).toBe('MALFORMED_FRAME');
    expect(world.disk.requests.size).toBe(0);
  });

  test('is counted once it is read, and each refusal is counted', () => {
    const { received, refused } = world.telemetry;
    raw(alice, '[LOOK] [] []');
    raw(alice, '[NONE] [] []');
    raw(alice, 'nonsense');
    expect([world.telemetry.received - received, world.telemetry.refused - refused]).toEqual([2, 2]);
  });

  test('may hold 50,000 keys and elements, a page of a link any number', () => {
    const rows = (count: number) => ({ rows: Array.from({ length: count }, () => 1) });
    world.send(alice, 'LOOK', 'a', rows(49_000));
    expect(last(alice).error).toBe('none');
    world.send(alice, 'LOOK', 'b', rows(50_001));
    expect(last(alice)).toMatchObject({ token: 'b', error: 'INVALID_DATA' });
    expect(last(alice).message).toContain('LOOK does not take this DATA');
    world.elsewhere.mayKnow = () => false;
    for (const role of ['node', 'router', 'plugin'] as const) {
      const peer = new TestPeer('lyon', role);
      world.send(peer, 'SETLOGS', 'c', rows(50_001));
      expect(last(peer).error).toBe('UNKNOWN_ACTION');
      world.send(peer, 'LOOK', 'd', rows(50_001));
      expect(last(peer).error).toBe('INVALID_DATA');
    }
  });

  test('that fails inside is INTERNAL, with a reference that the log has', () => {
    steps.answer = () => {
      throw new TypeError('a bug');
    };
    world.send(alice, 'LOOK', 't');
    expect(last(alice)).toMatchObject({ token: 't', error: 'INTERNAL' });
    const reference = /under (\S+);/.exec(last(alice).message)?.[1] ?? 'none';
    const line = world.log.lines.find((one) => one.includes(reference));
    expect(line).toMatch(/^error: internal error \S+: a bug/);
    expect(line).toContain('"token":"t"');
  });
});

describe('an action', () => {
  test('that nobody declares is UNKNOWN_ACTION with the nearest, here and where no node may know it', () => {
    world.elsewhere.mayKnow = () => false;
    for (const target of ['', 'central', 'paris']) {
      world.send(alice, 'LOOKS', 't', {}, target);
      expect(last(alice)).toMatchObject({ error: 'UNKNOWN_ACTION' });
      expect(last(alice).message).toContain('did you mean LOOK?');
    }
    world.elsewhere.mayKnow = () => true;
    world.send(alice, 'LOOKS', 't', {}, 'central');
    expect(last(alice).error).toBe('UNKNOWN_ACTION');
  });

  test('that only another node knows goes there, for clients and not for nodes', async () => {
    world.send(alice, 'THEIRS', 't', { a: 1 }, 'paris');
    await settle();
    expect(last(alice)).toMatchObject({ token: 't', error: 'none' });
    expect([...world.elsewhere.has].map(({ token, target }) => [token, target])).toEqual([['t', 'paris']]);
    const node = new TestPeer('lyon', 'node');
    world.send(node, 'THEIRS', 'u', {}, 'paris');
    expect(last(node).error).toBe('FORBIDDEN');
  });

  test('is refused by its role before its DATA is looked at, and by its DATA before anything is recorded', async () => {
    world.send(alice, 'ADMINS', 't', { n: 'x' });
    expect(last(alice).error).toBe('FORBIDDEN');
    world.send(alice, 'DO', 't', { n: 'x' });
    expect(last(alice)).toMatchObject({ token: 't', error: 'INVALID_DATA' });
    expect(last(alice).message).toContain('DO does not take this DATA');
    await settle();
    expect([steps.admitted, world.disk.requests.size]).toEqual([[], 0]);
  });

  test('on another node is not checked by the schema of this one', async () => {
    world.send(alice, 'DO', 't', { n: 'x' }, 'paris');
    await settle();
    expect(last(alice).error).toBe('none');
    expect(steps.submitted).toEqual([]);
  });

  test('of a target list is authorised for the node that it goes to, this router by its id', () => {
    const listed = Object.assign(new TestPeer('guest'), {
      grant: { identity: 'guest', fingerprint: '', roles: [], targets: ['central'] },
    });
    world.send(listed, 'LOOK', 't');
    expect(last(listed).error).toBe('none');
    world.send(listed, 'DO', 't', {}, 'paris');
    expect(last(listed).error).toBe('FORBIDDEN');
    expect(last(listed).message).toContain('on paris');
  });

  test('that runs here takes the node that it works on as its target, if that is known', async () => {
    world.send(alice, 'HERE', 'a', {}, 'paris');
    world.send(alice, 'HERE', 'b', {}, 'central');
    world.send(alice, 'HERE', 'c', {}, '');
    await settle();
    expect(steps.submitted.map(({ token, target }) => [token, target])).toEqual([
      ['a', 'paris'],
      ['b', ''],
      ['c', ''],
    ]);
    world.send(alice, 'HERE', 'd', {}, 'nowhere');
    expect(last(alice)).toMatchObject({ token: 'd', error: 'UNKNOWN_TARGET' });
    expect(last(alice).message).toContain('No node nowhere is known to the router central');
  });
});

describe('a wrong envelope', () => {
  test('is INVALID_DATA, unless the target cannot be reached: that is told first', () => {
    world.send(alice, 'DO', 't', { $: 1 }, 'paris');
    expect(last(alice).error).toBe('INVALID_DATA');
    const unreachable = failure('NODE_UNREACHABLE', { target: 'paris' });
    Object.assign(world.elsewhere, { targetFault: () => unreachable });
    world.send(alice, 'DO', 't', { $: 1 }, 'paris');
    expect(last(alice).error).toBe('NODE_UNREACHABLE');
    for (const target of ['', 'central']) {
      world.send(alice, 'DO', 't', { $: 1 }, target);
      expect(last(alice).error).toBe('INVALID_DATA');
    }
  });

  test('is one that says from whom it is, of any role but router', async () => {
    for (const role of ['client', 'admin', 'plugin'] as const) {
      const peer = new TestPeer('eve', role);
      world.send(peer, 'DO', 't', { $: { from: 'bob' } });
      expect(last(peer).error).toBe('INVALID_DATA');
    }
    const router = new TestPeer('north', 'router');
    world.send(router, 'DO', 't', { $: { from: 'bob' } });
    await settle();
    expect(steps.submitted.map(({ owner }) => owner)).toEqual(['north/bob']);
  });
});

describe('an answer in the ACK', () => {
  test('bears the token, is a PONG for PING alone, and what comes after it comes after it', () => {
    const order: unknown[] = [];
    steps.answer = () => new Answer('{"x":2}', () => order.push([...alice.heard]));
    world.send(alice, 'LOOK', 't:1', { a: 1 });
    world.send(alice, 'PING', 't:2');
    expect(alice.heard).toEqual(['[ACK] [t:1] {"code":0,"data":{"x":2}}', '[PONG] [t:2] [] {"code":0,"data":{"x":2}}']);
    expect(order).toEqual([alice.heard.slice(0, 1), alice.heard]);
    expect(steps.asked[0]).toMatchObject({ action: 'LOOK', data: { a: 1 }, asked: { token: 't:1', target: '' } });
    expect(world.disk.requests.size).toBe(0);
  });

  test('may come later, as may its refusal', async () => {
    steps.answer = async () => new Answer('{"x":3}');
    world.send(alice, 'LOOK', 'a');
    expect(alice.heard).toEqual([]);
    await settle();
    expect(last(alice)).toMatchObject({ token: 'a', error: 'none', data: { x: 3 } });
    steps.answer = async () => {
      throw failure('STORE_FAILED', { reason: 'the disk is full' });
    };
    world.send(alice, 'LOOK', 'b');
    await settle();
    expect(last(alice)).toMatchObject({ token: 'b', error: 'STORE_FAILED' });
  });

  test('of a plugin in a process is given by that process within the time of its action', async () => {
    const admin = new TestPeer('root', 'admin');
    world.send(admin, 'ASK', 't', { a: 1 });
    await settle();
    for (const { given, instance } of world.running) instance.say(given, 2);
    await settle();
    expect(last(admin)).toMatchObject({ token: 't', error: 'none' });
    world.send(alice, 'ASK', 'u');
    await settle();
    await vi.advanceTimersByTimeAsync(45_000);
    expect(last(alice)).toMatchObject({ token: 'u', error: 'TIMEOUT' });
  });
});

describe('a request', () => {
  test('without a token gets one, which its ACK bears', async () => {
    raw(alice, '[DO] [] [] {}');
    await settle();
    const [made] = steps.submitted;
    expect(made?.token).toMatch(/^[0-9a-f-]{36}$/);
    expect(last(alice)).toMatchObject({ token: made?.token, error: 'none' });
    raw(alice, '[DO] [] [] {}');
    await settle();
    expect(steps.submitted[1]?.token).not.toBe(made?.token);
  });

  test('is recorded with its owner, action, target, time and envelope, and its first row says owner and target', async () => {
    vi.setSystemTime(1_790_000_000_999);
    raw(alice, '[DO] [t] [paris] {"n":1,"$":{"hold":true}}');
    await settle();
    expect(world.disk.requests.get('t')).toMatchObject({
      token: 't',
      owner: 'alice',
      action: 'DO',
      target: 'paris',
      data: '{"n":1}',
      envelope: '{"hold":true}',
      etime: 1_790_000_000,
    });
    expect(world.disk.rows[0]).toMatchObject({ token: 't', code: 0, data: '{"owner":"alice","target":"paris"}' });
    expect(alice.heard).toEqual(['[ACK] [t] {"code":0,"data":{}}']);
  });

  test('is wanted for a day, or until its deadline; one of an administrator is urgent', async () => {
    const admin = new TestPeer('root', 'admin');
    const now = Date.now();
    const deadline = Math.floor(now / 1000) + 60;
    world.send(alice, 'DO', 'a');
    world.send(admin, 'DO', 'b', { $: { deadline } });
    await settle();
    expect(WAIT_LIMIT_MS).toBe(86_400_000);
    expect(steps.submitted.map(({ wantedUntil, urgent }) => [wantedUntil, urgent])).toEqual([
      [now + 86_400_000, false],
      [deadline * 1000, true],
    ]);
  });

  test('that its plugin does not admit is refused with its words, at once or later, and leaves no trace', async () => {
    const notReady = failure('NOT_READY', { type: 'steps', reason: 'it is quarantined' } as never);
    for (const admission of [() => notReady, async () => notReady]) {
      steps.admission = admission;
      world.send(alice, 'DO', 't');
      await settle();
    }
    expect(alice.acks('t')).toEqual(['NOT_READY', 'NOT_READY']);
    steps.admission = async () => {
      throw failure('STORE_FAILED', { reason: 'the disk is full' });
    };
    world.send(alice, 'DO', 't');
    await settle();
    expect(alice.acks('t').at(-1)).toBe('STORE_FAILED');
    expect([world.disk.requests.size, steps.submitted]).toEqual([0, []]);
    expect(world.requests.used().count).toBe(0);
  });

  test('that repeats an accepted one is a duplicate even where its plugin admits nothing now', async () => {
    world.send(alice, 'DO', 't', { n: 1 });
    await settle();
    for (const open of steps.submitted) {
      open.started(Date.now(), Date.now() + 1000);
      world.requests.end(open, 2, '{}');
    }
    await settle();
    steps.admission = () => failure('NOT_READY', { type: 'steps', reason: 'it is quarantined' } as never);
    world.send(alice, 'DO', 't', { n: 1 });
    await settle();
    world.send(alice, 'DO', 't', { n: 2 });
    await settle();
    world.send(new TestPeer('bob'), 'DO', 't', { n: 1 });
    expect(alice.acks('t')).toEqual(['accepted', 'duplicate', 'TOKEN_REUSED']);
    expect(steps.submitted).toHaveLength(1);
  });

  test('that is refused as BUSY is not looked for in the store', async () => {
    const find = vi.spyOn(world.disk, 'find');
    steps.admission = () => failure('BUSY', { what: 'the queue', limit: 1 });
    world.send(alice, 'DO', 't');
    await settle();
    expect([alice.acks('t'), find.mock.calls.length]).toEqual([['BUSY'], 0]);
    steps.admission = () => failure('NOT_READY', { type: 'steps', reason: 'x' } as never);
    raw(alice, '[DO] [] [] {}');
    await settle();
    expect(find).not.toHaveBeenCalled();
    find.mockRejectedValueOnce(failure('STORE_FAILED', { reason: 'the disk is gone' }));
    world.send(alice, 'DO', 'u');
    await settle();
    expect(alice.acks('u')).toEqual(['STORE_FAILED']);
  });

  test('whose repeat came while it was being admitted runs once, and the other is withdrawn', async () => {
    let admit: (value: undefined) => void = () => {};
    steps.admission = () => new Promise((resolve) => (admit = resolve));
    world.send(alice, 'DO', 't');
    const first = admit;
    world.send(alice, 'DO', 't');
    const second = admit;
    first(undefined);
    await settle();
    second(undefined);
    await settle();
    expect(alice.acks('t')).toEqual(['accepted', 'duplicate']);
    expect(steps.submitted).toHaveLength(1);
    expect(steps.withdrawn).toEqual([steps.admitted[1]]);
    expect(world.requests.get('t')).toBe(steps.submitted[0]);
  });

  test('that is repeated while it is recorded has both answered from the disk, accepted and duplicate', async () => {
    const release = world.disk.hold();
    const router = new TestPeer('root', 'admin');
    world.send(alice, 'DO', 't');
    world.send(router, 'DO', 't');
    await settle();
    expect([alice.heard, router.heard]).toEqual([[], []]);
    release();
    await settle();
    expect([alice.acks('t'), router.acks('t')]).toEqual([['accepted'], ['duplicate']]);
    expect(steps.submitted).toHaveLength(1);
  });

  test('that the disk refuses is refused to all who asked for it', async () => {
    const release = world.disk.hold();
    const admin = new TestPeer('root', 'admin');
    world.disk.isFull = true;
    world.send(alice, 'DO', 't');
    world.send(admin, 'DO', 't');
    release();
    await settle();
    expect([alice.acks('t'), admin.acks('t')]).toEqual([['STORE_FAILED'], ['STORE_FAILED']]);
    expect(steps.submitted).toEqual([]);
    expect(world.requests.used().count).toBe(0);
  });
});

describe('a router that stops', () => {
  test('accepts no request, and still answers repeats and questions', async () => {
    world.send(alice, 'DO', 't');
    await settle();
    world.ladder.stop();
    world.send(alice, 'DO', 'u');
    expect(last(alice)).toMatchObject({ token: 'u', error: 'STOPPING' });
    expect(last(alice).message).toContain('central');
    world.send(alice, 'DO', 't');
    expect(alice.acks('t')).toEqual(['accepted', 'duplicate']);
    world.send(alice, 'LOOK', 'v');
    expect(last(alice)).toMatchObject({ token: 'v', error: 'none' });
  });

  test('leaves a request of another node, which it was recording, for its next run', async () => {
    const release = world.disk.hold();
    world.send(alice, 'DO', 'away', {}, 'paris');
    world.ladder.stop();
    release();
    await settle();
    expect(alice.acks('away')).toEqual(['accepted']);
    expect(world.elsewhere.has.size).toBe(0);
    expect(world.requests.get('away')).toBeUndefined();
    expect(world.disk.codesOf('away')).toEqual([0]);
  });
});
