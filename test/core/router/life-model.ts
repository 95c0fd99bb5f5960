import fc from 'fast-check';
import { expect, vi } from 'vitest';
import { wrongMoveCount } from '../../../core/dist/router/request.js';
import type { ForeignRow } from '../../../core/dist/store/token-store.js';
import { MemoryStore } from './memory-store.ts';
import { manifest, settle, TestPeer, World } from './world.ts';

/** Time passes, and everything has its turn a few times meanwhile. */
async function pass(ms: number): Promise<void> {
  for (let i = 0; i < 20; i++) {
    vi.advanceTimersByTime(ms / 20);
    await settle();
  }
}

/** What each token came to, in words: the reference that the router is compared with. */
interface Fate {
  readonly name: string;
  readonly target: string;
  accepted: boolean;
  /** How often a process was given it. */
  given: number;
}

class Scene {
  readonly store = new MemoryStore();
  readonly fates = new Map<string, Fate>();
  readonly peers = [new TestPeer('alice'), new TestPeer('bob'), new TestPeer('root', 'admin')];
  world: World;
  #number = 0;
  #release: (() => void) | undefined;

  constructor() {
    this.world = this.#world();
  }

  #world(): World {
    return new World(this.store, undefined, ({ action, token, number }, instance) => {
      if (number !== '') return;
      const fate = this.fates.get(token);
      if (!fate) throw new Error(`${token} was never asked for`);
      fate.given++;
      const runs = this.world.running.filter(({ given }) => given.token === token);
      if (runs.length > 1) throw new Error(`${token} runs twice at once`);
      if (action === 'ONCE' && fate.given > 1) throw new Error(`${token} ran twice, and is not idempotent`);
      if (action === 'ONCE' && !this.store.requests.has(token)) throw new Error(`${token} runs and is not on disk`);
      if (instance.gone) throw new Error(`${token} was given to a process that is gone`);
    });
  }

  async begin(): Promise<void> {
    await this.world.start();
    await this.world.recover();
  }

  send(peer: number, name: string, target: string): void {
    const token = `t${this.#number++}`;
    this.fates.set(token, { name, target, accepted: false, given: 0 });
    this.world.send(this.peers[peer % 3] as TestPeer, name, token, {}, target);
  }

  repeat(pick: number, peer: number): void {
    const [token, fate] = [...this.fates][pick % Math.max(1, this.fates.size)] ?? [];
    if (token && fate) this.world.send(this.peers[peer % 3] as TestPeer, fate.name, token, {}, fate.target);
  }

  /** The disk takes its time, or does what it was asked for meanwhile. */
  hold(isHeld: boolean): void {
    if (isHeld) this.#release ??= this.store.hold();
    else {
      this.#release?.();
      this.#release = undefined;
    }
  }

  /** kill -9 and a start: what was not written is gone, and so are the processes. */
  async restart(): Promise<void> {
    this.world.kill();
    vi.clearAllTimers();
    // On a full disk the start fails, and the next one is on a disk that has room.
    this.store.isFull = false;
    this.hold(false);
    this.world = this.#world();
    await this.begin();
  }

  async drain(): Promise<void> {
    this.world.ladder.stop();
    const drained = this.world.requests.drain(1000, 1000);
    await pass(20_000);
    await drained;
    await this.restart();
  }

  /** Requests that are open, and how. */
  stuck(): string[] {
    const open = [...this.fates].flatMap(([token, { name }]) => {
      const request = this.world.requests.get(token);
      return request
        ? [
            `${token} ${name} ${request.state} aborted:${request.abortedFor?.code} elsewhere:${this.world.elsewhere.has.has(request)}`,
          ]
        : [];
    });
    return open;
  }

  adopt(pick: number, code: number): void {
    const away = [...this.world.elsewhere.has].filter(({ state }) => state !== 'ended');
    const open = away[pick % Math.max(1, away.length)];
    if (!open) return;
    const { token } = open;
    const origin = { node: 'paris', epoch: 'e', originId: this.#number++ };
    const row: ForeignRow = { ...origin, token, type: 'ONCE', code, etime: 1, data: '{"error":"X","message":"x"}' };
    const page = { node: 'paris', epoch: 'e', rows: [row], aside: [], from: 0, last: 1 };
    this.world.requests.adopt(page, () => true).catch(() => {});
  }
}

type Step = (scene: Scene) => unknown;
const index = fc.nat(1000);
const one = (scene: Scene, pick: number) => {
  const { running } = scene.world;
  return running[pick % Math.max(1, running.length)];
};
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.tuple(index, fc.constantFrom('ONCE', 'AGAIN', 'ASK')).map(
      ([peer, name]): Step =>
        (s) =>
          s.send(peer, name, ''),
    ),
  },
  {
    weight: 2,
    arbitrary: index.map(
      (peer): Step =>
        (s) =>
          s.send(peer, 'ONCE', 'paris'),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(index, index).map(
      ([pick, peer]): Step =>
        (s) =>
          s.repeat(pick, peer),
    ),
  },
  {
    weight: 6,
    arbitrary: fc.tuple(index, fc.constantFrom(1, 2, 10)).map(
      ([pick, code]): Step =>
        (s) => {
          const found = one(s, pick);
          if (found) found.instance.say(found.given, found.given.number !== '' && code === 10 ? 2 : code);
        },
    ),
  },
  {
    weight: 1,
    arbitrary: index.map(
      (pick): Step =>
        (s) => {
          const found = one(s, pick);
          if (found) found.instance.say(found.given, 777);
        },
    ),
  },
  {
    weight: 2,
    arbitrary: index.map(
      (pick): Step =>
        (s) =>
          s.world.instances[pick % s.world.instances.length]?.exit('exit code 1'),
    ),
  },
  { weight: 1, arbitrary: fc.constant<Step>((s) => void s.world.host.kill('', () => {}).catch(() => {})) },
  {
    weight: 1,
    arbitrary: fc.constant<Step>((s) => void s.world.replace(s.world.version(manifest()), () => {}).catch(() => {})),
  },
  {
    weight: 2,
    arbitrary: index.map(
      (pick): Step =>
        (s) => {
          const tokens = [...s.fates.keys()];
          const open = s.world.requests.get(tokens[pick % Math.max(1, tokens.length)] ?? '');
          if (open)
            s.world.requests.abort(open, {
              code: 'CANCELLED',
              message: '',
              toData: () => ({ error: 'CANCELLED', message: '' }),
            } as never);
        },
    ),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(index, fc.constantFrom(1, 2, 10)).map(
      ([pick, code]): Step =>
        (s) =>
          s.adopt(pick, code),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.boolean().map(
      (full): Step =>
        (s) => {
          s.store.isFull = full;
        },
    ),
  },
  {
    weight: 3,
    arbitrary: fc.boolean().map(
      (isHeld): Step =>
        (s) =>
          s.hold(isHeld),
    ),
  },
  { weight: 4, arbitrary: fc.constant<Step>(settle) },
  {
    weight: 3,
    arbitrary: fc.constantFrom(10, 500, 7000, 40_000).map(
      (ms): Step =>
        () =>
          vi.advanceTimersByTimeAsync(ms),
    ),
  },
  { weight: 1, arbitrary: fc.constant<Step>((s) => s.restart()) },
  { weight: 1, arbitrary: fc.constant<Step>((s) => s.drain()) },
);

/** Everything answers now, and time passes: what does not end then has no holder. */
async function finish(scene: Scene): Promise<void> {
  scene.store.isFull = false;
  scene.hold(false);
  for (let round = 0; round < 60; round++) {
    await settle();
    for (const { given, instance } of scene.world.running) instance.say(given, 2);
    for (let i = scene.world.elsewhere.has.size; i > 0; i--) scene.adopt(0, 2);
    await pass(round < 30 ? 500 : 40_000);
    if (scene.world.requests.used().count === 0) return;
  }
}

/**
 * Whatever happens to a request, its token ends exactly once, it runs as often as it may, and no earlier than it may: plays so many
 * random lives of a router, in fake time.
 */
export async function live(runs: number): Promise<void> {
  vi.useFakeTimers();
  try {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40, size: 'max' }), async (steps) => {
        const movesBefore = wrongMoveCount();
        const scene = new Scene();
        await scene.begin();
        for (const each of steps) await each(scene);
        await finish(scene);
        expect(scene.stuck()).toEqual([]);
        expect(scene.world.requests.used()).toEqual({ count: 0, bytes: 0 });
        for (const [token, { name, target }] of scene.fates) {
          if (name === 'ASK' && target === '') continue;
          const acks = scene.peers.flatMap((peer) => peer.acks(token));
          const isKept = scene.store.requests.has(token);
          // An ACK left only for what is on disk; what is on disk has ended once.
          if (acks.includes('accepted') || acks.includes('duplicate')) expect([token, isKept]).toEqual([token, true]);
          expect([token, scene.store.endsOf(token).length]).toEqual([token, isKept ? 1 : 0]);
          // Its first row first, nothing after its end: what a withdrawn repeat says is not stored.
          const codes = scene.store.codesOf(token).join();
          if (target === '' && isKept) expect([token, codes]).toEqual([token, expect.stringMatching(/^0(,10)*,[12]$/)]);
          if (!isKept) expect([token, codes]).toEqual([token, '']);
        }
        expect(wrongMoveCount() - movesBefore).toBe(0);
        await scene.world.host.stop(100);
        // Of a world that is over nothing may be left to pass the time of the next.
        vi.clearAllTimers();
      }),
      {
        numRuns: Number(process.env.LIFE_MODEL_RUNS ?? runs),
        ...(process.env.SEED && { seed: Number(process.env.SEED) }),
        ...(process.env.FC_PATH && { path: process.env.FC_PATH }),
        interruptAfterTimeLimit: 3_500_000,
        markInterruptAsFailure: true,
      },
    );
  } finally {
    vi.useRealTimers();
  }
}
