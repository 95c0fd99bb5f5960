import { failure, type JsonObject, parseReply } from '@centreond/protocol';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type OpenRequest, wrongMoveCount } from '../../../core/dist/router/request.js';
import type { Bounds } from '../../../core/dist/shares.js';
import { Steps } from './steps.ts';
import { action, manifest, settle, TestPeer, World } from './world.ts';

const ACTIONS = [action('LOOK', { reply: 'ack' }), action('DO'), action('TWICE', { idempotent: true })];
const READ_LENGTH = 16 * 1024;

/** A plugin that takes idempotent requests while they are being recorded. */
class EarlySteps extends Steps {
  readonly early = true;
}

/** A plugin in a process, which has its questions submitted like requests. */
class PlainSteps extends Steps {
  override ask = undefined as never;
}

let alice: TestPeer;
let movesBefore: number;
beforeEach(() => {
  vi.useFakeTimers();
  movesBefore = wrongMoveCount();
  alice = new TestPeer('alice');
});
afterEach(() => {
  vi.useRealTimers();
  expect(wrongMoveCount()).toBe(movesBefore);
});

function worldWith<T extends Steps>(steps: T, open?: Bounds): { world: World; steps: T } {
  const world = new World(undefined, open ? { open } : {});
  world.registry.add(manifest({ type: 'steps', actions: ACTIONS }), steps);
  return { world, steps };
}

function last(peer: TestPeer): { token: string; error: string; message: string } {
  const { token, data } = parseReply(peer.heard.at(-1) ?? '');
  const { code, data: told } = JSON.parse(data) as { code: number; data: JsonObject };
  return { token, error: code === 0 ? 'none' : String(told.error), message: String(told.message) };
}

/** A message with a DATA that brings it to `bytes`. */
function messageOf(start: string, bytes: number): Buffer {
  return Buffer.from(`${start} {"a":"${'x'.repeat(bytes - start.length - 9)}"}`);
}

describe('beyond the share of its owner', () => {
  const ONE: Bounds = { count: 100, bytes: 1e6, perIdentity: { count: 1, bytes: 1e6 } };

  test('a message of 16 KiB is read before it is refused, and of a longer one only the head', async () => {
    const { world } = worldWith(new Steps(), ONE);
    world.send(alice, 'DO', 'first');
    await settle();
    const broken = (bytes: number) => Buffer.concat([messageOf('[DO] [t] []', bytes - 1), Buffer.from('}')]);
    world.ladder.receive(alice, Buffer.from('[DO] [t] [] {'));
    expect(last(alice)).toMatchObject({ token: 't', error: 'MALFORMED_FRAME' });
    world.ladder.receive(alice, broken(READ_LENGTH));
    expect(last(alice)).toMatchObject({ token: 't', error: 'MALFORMED_FRAME' });
    world.ladder.receive(alice, broken(READ_LENGTH + 1));
    expect(last(alice)).toMatchObject({ token: 't', error: 'BUSY' });
  });

  test('a large message is answered where no share is needed: a question, an action that nobody has', async () => {
    const { world } = worldWith(new Steps(), ONE);
    world.elsewhere.mayKnow = () => false;
    world.send(alice, 'DO', 'first');
    await settle();
    world.ladder.receive(alice, messageOf('[LOOK] [q] []', 20_000));
    expect(last(alice)).toMatchObject({ token: 'q', error: 'none' });
    world.ladder.receive(alice, messageOf('[NONE] [q] []', 20_000));
    expect(last(alice)).toMatchObject({ token: 'q', error: 'UNKNOWN_ACTION' });
  });

  test('a router still forwards large requests of others', async () => {
    const { world } = worldWith(new Steps(), ONE);
    const router = new TestPeer('north', 'router');
    world.send(router, 'DO', 'own');
    await settle();
    world.send(router, 'DO', 'of-bob', { a: 'x'.repeat(20_000), $: { from: 'bob' } });
    await settle();
    expect(router.acks('of-bob')).toEqual(['accepted']);
  });

  test('no request is refused by its head whose DATA has room, counted in characters', async () => {
    const { world } = worldWith(new Steps(), { count: 100, bytes: 1e6, perIdentity: { count: 10, bytes: 20_000 } });
    const data = (text: string) => `{"a":"${text}"}`;
    const bob = new TestPeer('bob');
    for (const peer of [alice, bob]) world.send(peer, 'DO', peer.identity);
    world.ladder.receive(alice, Buffer.from(`[DO] [ascii] [] ${data('x'.repeat(20_000 - 10))}`));
    world.ladder.receive(bob, Buffer.from(`[DO] [wide] [] ${data('€'.repeat(20_000 - 10))}`));
    await settle();
    expect([alice.acks('ascii'), bob.acks('wide')]).toEqual([['accepted'], ['accepted']]);
  });
});

describe('a message', () => {
  test('that a handler of its verb takes does not go up the ladder', () => {
    const { world } = worldWith(new Steps());
    const taken: string[] = [];
    world.verbs.on('HEARD', undefined, (_, message) => taken.push(String(message)) > 0);
    world.ladder.receive(alice, Buffer.from('[HEARD] [t] [] {}'));
    expect([taken, alice.heard]).toEqual([['[HEARD] [t] [] {}'], []]);
  });

  test('that is too large is refused under the token of its beginning and no other', () => {
    const { world } = worldWith(new Steps());
    world.ladder.receive(alice, Buffer.from(`x[DO] [t] [] ${'x'.repeat(1e6)}`));
    expect(last(alice)).toMatchObject({ token: '', error: 'TOO_LARGE' });
  });
});

test('a question to a process waits for as long as its action says; one of an administrator is urgent', async () => {
  const { world, steps } = worldWith(new PlainSteps());
  const now = Date.now();
  world.send(alice, 'LOOK', 'a');
  world.send(new TestPeer('root', 'admin'), 'LOOK', 'b');
  await settle();
  expect(steps.submitted.map(({ wantedUntil, urgent }) => [wantedUntil - now, urgent])).toEqual([
    [30_000, false],
    [30_000, true],
  ]);
});

test('a token of a plugin is refused to others with who asked and what for', () => {
  const { world } = worldWith(new Steps());
  world.send(alice, 'DO', 'steps:1');
  expect(last(alice)).toMatchObject({ token: 'steps:1', error: 'FORBIDDEN' });
  expect(last(alice).message).toContain('alice');
  expect(last(alice).message).toContain('use the token steps:1');
});

test('a request that is refused tells the FOLLOW that came with it', () => {
  const { world } = worldWith(new Steps());
  world.send(alice, 'DO', 't', { $: 1 });
  const follower = world.followers.attach(alice, 't', 0);
  expect([world.followers.isOfRefused(follower), world.followers.isOfRefused(follower)]).toEqual([true, false]);
});

test('a request that its plugin does not admit is refused although its token has rows of PUTLOG', async () => {
  const { world, steps } = worldWith(new Steps());
  const row = { token: 't', owner: 'alice', action: 'DO', target: '', data: '{}', envelope: '', etime: 1, ctime: 1 };
  world.disk.requests.set('t', { ...row, state: 'log' });
  steps.admission = () => failure('NOT_READY', { type: 'steps', reason: 'it is quarantined' } as never);
  world.send(alice, 'DO', 't');
  await settle();
  expect(alice.acks('t')).toEqual(['NOT_READY']);
});

describe('a request that is being recorded', () => {
  test('runs early if its action is idempotent and its plugin takes it so, once', async () => {
    const { world, steps } = worldWith(new EarlySteps());
    world.send(alice, 'DO', 'late');
    expect(steps.submitted).toEqual([]);
    world.send(alice, 'TWICE', 'early');
    expect(steps.submitted.map(({ token }) => token)).toEqual(['early']);
    await settle();
    expect(steps.submitted.map(({ token }) => token)).toEqual(['early', 'late']);
    const plain = worldWith(new Steps());
    plain.world.send(alice, 'TWICE', 'other');
    expect(plain.steps.submitted).toEqual([]);
  });

  test('is written with its end if it runs early and requests of its action are quick', async () => {
    const { world } = worldWith(new EarlySteps());
    const accept = vi.spyOn(world.disk, 'accept');
    const endsSoon = () => (accept.mock.calls as unknown[][]).map((call) => call[2]);
    world.send(alice, 'TWICE', 'a');
    world.telemetry.took('TWICE', 1);
    world.telemetry.took('DO', 1);
    world.send(alice, 'TWICE', 'b');
    world.send(alice, 'DO', 'c');
    await settle();
    expect(endsSoon()).toEqual([false, true, false]);
  });

  test('and is cancelled meanwhile ends so once it is on disk, and does not run', async () => {
    const { world, steps } = worldWith(new Steps());
    const release = world.disk.hold();
    world.send(alice, 'DO', 't');
    const open = world.requests.get('t') as OpenRequest;
    world.requests.abort(open, failure('CANCELLED', { token: 't', by: 'alice' }));
    release();
    await settle();
    expect(alice.acks('t')).toEqual(['accepted']);
    expect([steps.submitted, steps.withdrawn]).toEqual([[], [open]]);
    expect(world.disk.codesOf('t')).toEqual([0, 1]);
  });

  test('and that the disk loses is aborted with STORE_FAILED and its cause', async () => {
    const { world, steps } = worldWith(new EarlySteps());
    vi.spyOn(world.disk, 'accept').mockRejectedValueOnce(new Error('EIO'));
    steps.submit = (open) => open.started(Date.now(), Date.now() + 1000);
    world.send(alice, 'TWICE', 't');
    await settle();
    expect(steps.aborted).toMatchObject([{ code: 'STORE_FAILED', message: expect.stringContaining('EIO') }]);
    expect(alice.acks('t')).toEqual(['INTERNAL']);
  });

  test('and repeats an earlier one is dropped, aborted with its token, and its followers get the earlier rows', async () => {
    const { world, steps } = worldWith(new EarlySteps());
    world.send(alice, 'TWICE', 't:7');
    await settle();
    const [first] = steps.submitted;
    first?.started(Date.now(), Date.now() + 1000);
    await world.requests.end(first as OpenRequest, 2, '{}');
    await settle();
    first?.released();
    alice.heard.length = 0;
    let second: OpenRequest | undefined;
    steps.submit = (open) => {
      second = open;
      open.started(Date.now(), Date.now() + 1000);
    };
    const release = world.disk.hold();
    world.send(alice, 'TWICE', 't:7');
    world.followers.goLive(world.followers.attach(alice, 't:7', 0), [], 'alice');
    release();
    await settle();
    expect(alice.acks('t:7')).toEqual(['duplicate']);
    expect(alice.heard.filter((line) => line.startsWith('[LOG] [t:7]'))).toHaveLength(2);
    expect(second?.isDropped).toBe(true);
    expect(steps.aborted).toMatchObject([{ code: 'CANCELLED', message: expect.stringContaining('t:7') }]);
  });
});

describe('an accepted request', () => {
  test('is counted, and its first row is kept for followers', async () => {
    const { world, steps } = worldWith(new Steps());
    world.send(alice, 'DO', 't');
    await settle();
    expect(world.telemetry.accepted).toBe(1);
    expect(steps.submitted[0]?.rows?.map(({ code }) => code)).toEqual([0]);
  });

  test('under whose token PUTLOG wrote before has its followers read all from the store', async () => {
    const { world, steps } = worldWith(new Steps());
    const { disk } = world;
    disk.rows.push({ id: 0.5, token: 't', type: '', node: 'central', code: 10, etime: 1, ctime: 1, data: '{}' });
    const accept = disk.accept.bind(disk);
    vi.spyOn(disk, 'accept').mockImplementation(async (...asked) => ({ ...(await accept(...asked)), earlier: true }));
    world.send(alice, 'DO', 't');
    world.followers.goLive(world.followers.attach(alice, 't', 0), [], 'alice');
    await settle();
    expect(steps.submitted[0]?.rows).toBeUndefined();
    const codes = alice.heard.filter((line) => line.startsWith('[LOG]')).map((line) => /"code":(\d+)/.exec(line)?.[1]);
    expect(codes).toEqual(['10', '0']);
  });

  test('that ends while an instance still has an earlier one of its token never runs', async () => {
    const { world, steps } = worldWith(new EarlySteps());
    steps.submit = (open) => {
      steps.submitted.push(open);
      open.started(Date.now(), Date.now() + 100_000);
    };
    world.disk.isFull = true;
    world.send(alice, 'TWICE', 't');
    await settle();
    world.disk.isFull = false;
    world.send(alice, 'TWICE', 't');
    await settle();
    expect(alice.acks('t')).toEqual(['STORE_FAILED', 'accepted']);
    const again = world.requests.get('t') as OpenRequest;
    world.requests.abort(again, failure('CANCELLED', { token: 't', by: 'alice' }));
    steps.submitted[0]?.released();
    await settle();
    expect(steps.submitted).toHaveLength(1);
    expect(world.disk.codesOf('t')).toEqual([0, 1]);
  });
});
