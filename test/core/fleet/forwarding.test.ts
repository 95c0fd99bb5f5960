import { type CentreondError, failure } from '@centreond/protocol';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Forwarding } from '../../../core/dist/fleet/forwarding.js';
import { Inquiries } from '../../../core/dist/fleet/inquiries.js';
import { Pending } from '../../../core/dist/fleet/pending.js';
import { type Carried, type Carrier, Routes } from '../../../core/dist/fleet/routes.js';
import type { Envelope } from '../../../core/dist/router/envelope.js';
import { OpenRequest } from '../../../core/dist/router/request.js';
import { TestLog } from '../store/opened.ts';

const DAY = 24 * 3600 * 1000;

type Answer = { readonly code: number; readonly data: object };

class TestCarrier implements Carrier {
  readonly taken: (Carried & { answered(answer: Answer): Promise<void> })[] = [];
  readonly pending: Pending;
  congested = false;
  constructor(readonly name: string) {
    this.pending = new Pending(name, 1_000_000);
  }
  carry(request: Carried, limitMs: number): Promise<string> {
    const number = String(this.taken.length);
    const answered = (answer: Answer) => {
      this.pending.answer(number, JSON.stringify(answer));
      return settled();
    };
    return this.pending.ask(number, limitMs, () => this.taken.push({ ...request, answered }));
  }
  get tokens(): string[] {
    return this.taken.map(({ token }) => token);
  }
  last() {
    return this.taken.at(-1) as (typeof this.taken)[number];
  }
}

const ACK: Answer = { code: 0, data: {} };
const refused = (code: string): Answer => ({ code: 1, data: { error: code, message: `${code} it is` } });

/** What follows from an answer has happened. */
async function settled(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
}

class Scene {
  readonly log = new TestLog();
  readonly routes = new Routes({ id: 'central', log: this.log as never });
  readonly failed: string[] = [];
  denied: string[] = [];
  readonly forwarding = new Forwarding({
    id: 'central',
    routes: this.routes,
    inquiries: new Inquiries({ id: 'central', routes: this.routes, fromOf: (owner) => owner }),
    clock: Date,
    log: this.log as never,
    held: { count: 100_000, bytes: 100_081, perIdentity: { count: 10_000 } },
    requests: {
      fail: (open, error) => {
        open.ended();
        this.failed.push(`${open.token} ${error.code}`);
      },
    },
    fromOf: (owner) => owner,
    mayStill: (owner, action) =>
      this.denied.includes(owner) ? failure('FORBIDDEN', { identity: owner, what: action, remedy: '' }) : undefined,
  });
  readonly carrier = new TestCarrier('first');
  readonly other = new TestCarrier('second');

  up(carrier: Carrier = this.carrier, id = 'paris'): void {
    this.routes.announce(carrier, [{ id, state: 'up' }]);
  }
  async left(carrier: TestCarrier): Promise<void> {
    this.routes.left(carrier);
    carrier.pending.drop();
    await settled();
  }
  down(carrier: Carrier = this.carrier, id = 'paris'): void {
    this.routes.announce(carrier, [{ id, state: 'unreachable' }]);
  }

  /** Takes a request through admission; the refusal, or the accepted request. */
  take(token: string, more: Omit<Envelope, 'text'> = {}, owner = 'alice', data = '{}'): CentreondError | OpenRequest {
    const envelope: Envelope = { text: '', ...more };
    const action = this.forwarding.action('DONE', undefined);
    const wantedUntil = more.deadline === undefined ? Date.now() + DAY : more.deadline * 1000;
    const acceptedAt = Date.now();
    const open = new OpenRequest({ token, owner, action, target: 'paris', data, envelope, wantedUntil, acceptedAt });
    const refusal = this.forwarding.admit(open);
    if (refusal) return refusal;
    open.recorded();
    action.executor.submit(open);
    return open;
  }
}

let scene: Scene;
beforeEach(() => {
  vi.useFakeTimers();
  scene = new Scene();
});
afterEach(() => {
  scene.forwarding.stop();
  vi.useRealTimers();
});

describe('a request on its way', () => {
  test('is over for the forwarder once its node has it', async () => {
    scene.up();
    const open = scene.take('t') as OpenRequest;
    expect(scene.carrier.last()).toMatchObject({
      token: 't',
      target: 'paris',
      envelope: { from: 'alice', hops: ['central'] },
    });
    expect(open.state).toBe('running');
    await scene.carrier.last().answered(ACK);
    await scene.left(scene.carrier);
    scene.up(scene.other);
    await vi.advanceTimersByTimeAsync(DAY);
    expect([scene.other.tokens, scene.failed]).toEqual([[], []]);
  });

  test('goes again where its carrier died, was silent for a minute, or does not know, and only the last answer counts', async () => {
    scene.up();
    scene.take('t');
    const [first] = scene.carrier.taken;
    await scene.left(scene.carrier);
    scene.up(scene.other);
    expect(scene.other.tokens).toEqual(['t']);
    await first?.answered(refused('FORBIDDEN'));
    await vi.advanceTimersByTimeAsync(61_000);
    expect(scene.other.tokens).toEqual(['t', 't']);
    await scene.other.last().answered(refused('WAIT_OVER'));
    await vi.advanceTimersByTimeAsync(1000);
    expect(scene.other.tokens).toEqual(['t', 't', 't']);
    await scene.other.last().answered({ code: 0, data: { duplicate: true } });
    await vi.advanceTimersByTimeAsync(120_000);
    expect([scene.other.tokens.length, scene.failed]).toEqual([3, []]);
  });

  test('ends with what the node has against it, and is tried again, ever more slowly, where the node only cannot now', async () => {
    scene.up();
    scene.take('no');
    await scene.carrier.last().answered(refused('INVALID_DATA'));
    expect(scene.failed).toEqual(['no INVALID_DATA']);
    scene.take('later');
    for (const _ of [1, 2, 3, 4]) {
      await scene.carrier.last().answered(refused('BUSY'));
      await vi.advanceTimersByTimeAsync(5500);
    }
    expect(scene.carrier.tokens.filter((token) => token === 'later')).toHaveLength(5);
    expect(scene.failed).toEqual(['no INVALID_DATA']);
  });

  test('ends NODE_UNREACHABLE when there is no way for half a minute, unless its node may have it', async () => {
    scene.up();
    scene.take('handed');
    scene.take('refused');
    await scene.carrier.last().answered(refused('NODE_UNREACHABLE'));
    await scene.left(scene.carrier);
    await vi.advanceTimersByTimeAsync(29_000);
    expect(scene.failed).toEqual([]);
    await vi.advanceTimersByTimeAsync(2000);
    expect(scene.failed).toEqual(['refused NODE_UNREACHABLE']);
    await vi.advanceTimersByTimeAsync(3600_000);
    scene.up(scene.other);
    expect(scene.other.tokens).toEqual(['handed']);
  });

  test('waits while its node has as many as it may, in the order in which they came', async () => {
    scene.up();
    for (let i = 0; i < 300; i++) scene.take(`t${i}`);
    expect(scene.carrier.taken.length).toBe(256);
    for (const { answered } of scene.carrier.taken.slice(0, 10)) void answered(ACK);
    await settled();
    expect(scene.carrier.tokens.slice(256)).toEqual(Array.from({ length: 10 }, (_, i) => `t${256 + i}`));
    expect(scene.forwarding.counters).toEqual({ waiting: 34, held: 0, handed: 256 });
  });

  test('waits while its carrier has more than it takes', async () => {
    scene.up();
    scene.carrier.congested = true;
    scene.take('t');
    await vi.advanceTimersByTimeAsync(60_000);
    expect([scene.carrier.tokens, scene.failed]).toEqual([[], []]);
    scene.carrier.congested = false;
    await vi.advanceTimersByTimeAsync(250);
    expect(scene.carrier.tokens).toEqual(['t']);
  });

  test('is refused BUSY where too many wait for its node', () => {
    scene.up();
    for (let i = 0; i < 10_256; i++) scene.take(`t${i}`);
    expect(scene.take('one too many')).toMatchObject({ code: 'BUSY' });
  });

  test('that is aborted is stopped at its node under a token of its own', async () => {
    scene.up();
    const open = scene.take('t', { from: undefined } as never) as OpenRequest;
    await scene.carrier.last().answered(ACK);
    open.action.executor.abort(open, failure('CANCELLED', { token: 't', by: 'alice' }));
    const { action, token, data, envelope } = scene.carrier.last();
    expect({ action, data, envelope }).toEqual({
      action: 'CANCEL',
      data: '{"token":"t"}',
      envelope: { from: 'alice', hops: ['central'] },
    });
    expect(token).not.toBe('t');
  });
});

describe('a held request', () => {
  test('waits for its node, and for that alone: with a way it goes at once', async () => {
    scene.down();
    scene.take('held', { hold: true });
    await vi.advanceTimersByTimeAsync(DAY / 2);
    expect(scene.forwarding.counters).toEqual({ waiting: 1, held: 1, handed: 0 });
    expect([...scene.forwarding.heldByNode()]).toEqual([['paris', 1]]);
    scene.up();
    expect(scene.carrier.last()).toMatchObject({
      token: 'held',
      envelope: { hold: true, deadline: expect.any(Number) },
    });
    expect(scene.forwarding.counters).toEqual({ waiting: 0, held: 0, handed: 1 });
    expect([...scene.forwarding.heldByNode()]).toEqual([]);
    scene.take('at once', { hold: true });
    expect(scene.carrier.tokens).toEqual(['held', 'at once']);
  });

  test('is one of 10,000 at most for each identity, and its place is free again when it goes, or is cancelled', async () => {
    scene.down();
    let last: CentreondError | OpenRequest | undefined;
    for (let i = 0; i < 10_000; i++) last = scene.take(`t${i}`, { hold: true });
    expect(scene.take('more', { hold: true })).toMatchObject({
      code: 'BUSY',
      message: expect.stringContaining('10000'),
    });
    expect(scene.take('of bob', { hold: true }, 'bob')).toBeInstanceOf(OpenRequest);
    const open = last as OpenRequest;
    open.action.executor.withdraw(open);
    expect(scene.take('instead', { hold: true })).toBeInstanceOf(OpenRequest);
    expect(scene.forwarding.counters).toMatchObject({ held: 10_001 });
    scene.up();
    for (let i = 0; i < scene.carrier.taken.length; i++) await scene.carrier.taken[i]?.answered(ACK);
    expect(scene.forwarding.counters).toEqual({ waiting: 0, held: 0, handed: 0 });
  });

  test('is one of so many that fit into memory', () => {
    scene.down();
    const data = JSON.stringify({ x: 'x'.repeat(10_000) });
    for (let i = 0; i < 10; i++) scene.take(`t${i}`, { hold: true }, 'alice', data);
    expect(scene.take('more', { hold: true }, 'bob')).toMatchObject({ code: 'BUSY' });
  });

  test('is refused on leaving where its sender lost the right', () => {
    scene.down();
    scene.take('of alice', { hold: true });
    scene.take('of bob', { hold: true }, 'bob');
    scene.denied = ['alice'];
    scene.up();
    expect([scene.carrier.tokens, scene.failed]).toEqual([['of bob'], ['of alice FORBIDDEN']]);
    expect(scene.forwarding.counters).toMatchObject({ held: 0 });
  });

  test('of an earlier run goes again, since nobody knows whether its node has it', async () => {
    const envelope: Envelope = { text: '', hold: true };
    const open = new OpenRequest({
      token: 't',
      owner: 'alice',
      action: scene.forwarding.action('DONE', undefined),
      target: 'paris',
      data: '{}',
      envelope,
      wantedUntil: Date.now() + DAY,
      acceptedAt: Date.now(),
    });
    open.recorded();
    scene.forwarding.resume(open);
    await vi.advanceTimersByTimeAsync(3600_000);
    scene.up();
    expect(scene.carrier.tokens).toEqual(['t']);
  });
});
