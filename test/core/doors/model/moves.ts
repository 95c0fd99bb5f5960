import fc from 'fast-check';
import { FORGERIES } from './forgery.ts';
import type { Scene } from './scene.ts';

/** Nothing: what a scene has to keep is its own books. */
export type NoModel = Record<string, never>;

/** One thing that somebody does. What has to hold is checked after each. */
class Move implements fc.AsyncCommand<NoModel, Scene> {
  constructor(
    private readonly words: string,
    private readonly act: (scene: Scene) => unknown,
  ) {}

  check(): boolean {
    return true;
  }

  async run(_: NoModel, scene: Scene): Promise<void> {
    await this.act(scene);
    await scene.settle();
    scene.check();
  }

  toString(): string {
    return this.words;
  }
}

const pick = fc.nat(1000);
const slot = fc.nat(3);
const way = fc.constantFrom('up' as const, 'down' as const);
const move = (words: string, act: (scene: Scene) => unknown) => new Move(words, act);
const always = (words: string, act: (scene: Scene) => unknown) => fc.constant(move(words, act));

/** Bytes of a record before its ciphertext. */
const HEADER = 12;

/** The bytes with one bit changed, behind the header of a record. */
function flipped(bytes: Buffer, bit: number): Buffer {
  const changed = Buffer.from(bytes);
  const at = HEADER + (bit % (bytes.length - HEADER));
  changed[at] = (changed[at] ?? 0) ^ (1 << (bit % 8));
  return changed;
}

/** Delivers a frame that was sent before, maybe on another connection, maybe altered. */
function replay(scene: Scene, { frame, wire, flip }: { frame: number; wire: number; flip: number | undefined }): void {
  const { history } = scene.network;
  // The latest are the most promising.
  const old = history[history.length - 1 - (frame % Math.max(1, history.length))];
  const to = scene.network.wire(wire);
  if (!old || !to) return;
  if (flip === undefined) {
    scene.deliver(to, old);
    return;
  }
  if (old.bytes.length > HEADER) scene.inject(to, old.way, flipped(old.bytes, flip));
}

const CLEAR = [
  '[NOSESSION] []',
  '[ACK] [] {"code":1,"data":{}}',
  '[KEY] x.y',
  '[GETPUBKEY]',
  '[HELO] x.y',
  '[PING] [] []',
  '',
];

const minutes = [1, 500, 1000, 9000, 11_000, 130_000, 300_000, 3_700_000, 25 * 3_600_000];

/** Every kind of move, and how often it is made. */
const KINDS: readonly (readonly [number, fc.Arbitrary<Move>])[] = [
  [10, slot.map((n) => move(`connect ${n}`, (s) => s.connect(n)))],
  [12, always('pump', (s) => s.pump())],
  [
    10,
    fc.tuple(slot, fc.integer({ min: 1, max: 3 })).map(([n, c]) => move(`say ${n} ×${c}`, (s) => s.say(n, c, false))),
  ],
  [4, fc.tuple(pick, fc.integer({ min: 1, max: 3 })).map(([n, c]) => move(`tell ${n} ×${c}`, (s) => s.tell(n, c)))],
  [
    8,
    pick.map((n) =>
      move(`deliver ${n}`, (s) => {
        const lane = s.network.busy(n);
        const [frame] = lane?.wire[lane.way].queue.splice(0, 1) ?? [];
        if (lane && frame) s.deliver(lane.wire, frame);
      }),
    ),
  ],
  [
    3,
    fc.tuple(pick, fc.integer({ min: 1, max: 3 })).map(([n, ahead]) =>
      move(`reorder ${n} ${ahead}`, (s) => {
        const lane = s.network.busy(n);
        const queue = lane?.wire[lane.way].queue ?? [];
        const [frame] = queue.splice(Math.min(ahead, queue.length - 1), 1);
        if (lane && frame) s.deliver(lane.wire, frame);
      }),
    ),
  ],
  [
    3,
    pick.map((n) =>
      move(`drop ${n}`, (s) => {
        const lane = s.network.busy(n);
        if (!lane) return;
        lane.wire[lane.way].queue.shift();
        lane.wire[lane.way].isIntact = false;
      }),
    ),
  ],
  [
    3,
    pick.map((n) =>
      move(`duplicate ${n}`, (s) => {
        const lane = s.network.busy(n);
        const [frame] = lane?.wire[lane.way].queue ?? [];
        if (lane && frame) lane.wire[lane.way].queue.unshift(frame);
      }),
    ),
  ],
  [
    8,
    fc
      .record({ frame: fc.oneof(fc.nat(6), pick), wire: pick, flip: fc.option(pick, { nil: undefined, freq: 1 }) })
      .map((what) => move(`replay ${JSON.stringify(what)}`, (s) => replay(s, what))),
  ],
  [
    2,
    fc.tuple(pick, way, fc.constantFrom(...CLEAR)).map(([n, to, text]) =>
      move(`in clear ${n} ${to} ${text}`, (s) => {
        const wire = s.network.wire(n);
        if (wire) s.inject(wire, to, Buffer.from(text));
      }),
    ),
  ],
  [
    4,
    fc.tuple(pick, fc.constantFrom(...FORGERIES)).map(([n, kind]) =>
      move(`forge ${n} ${kind}`, async (s) => {
        const wire = s.network.wire(n);
        if (wire) await s.forge(wire, kind);
      }),
    ),
  ],
  [
    4,
    fc.tuple(pick, pick).map(([n, bit]) =>
      move(`corrupt ${n} ${bit}`, (s) => {
        const lane = s.network.busy(n);
        const [frame] = lane?.wire[lane.way].queue.splice(0, 1) ?? [];
        if (lane && frame && frame.bytes.length > HEADER) s.inject(lane.wire, lane.way, flipped(frame.bytes, bit));
      }),
    ),
  ],
  [
    4,
    fc.tuple(pick, pick).map(([n, over]) =>
      move(`splice ${n} into ${over}`, (s) => {
        const lane = s.network.busy(n);
        const to = s.network.wire(over);
        const [frame] = lane?.wire[lane.way].queue.splice(0, 1) ?? [];
        if (lane && frame) lane.wire[lane.way].isIntact = false;
        if (to && frame) s.deliver(to, frame);
      }),
    ),
  ],
  [
    2,
    fc.tuple(pick, pick).map(([from, over]) =>
      move(`relay ${from} over ${over}`, async (s) => {
        const [one, other] = [s.network.wire(from), s.network.wire(over)];
        if (one && other && one !== other) await s.relay(one, other);
      }),
    ),
  ],
  [
    1,
    fc.tuple(slot, pick).map(([n, over]) =>
      move(`relay a wrong AUTH of ${n} over ${over}`, async (s) => {
        const other = s.network.wire(over);
        await s.connect(n, true);
        const own = s.talks[n]?.wire;
        if (own && other) await s.relay(own, other);
      }),
    ),
  ],
  [
    1,
    slot.map((n) =>
      move(`connect ${n} many times`, async (s) => {
        for (let i = 0; i < 8; i++) {
          await s.connect(n);
          await s.pump();
        }
      }),
    ),
  ],
  [1, always('a stranger connects', (s) => s.stranger())],
  [2, pick.map((n) => move(`cut ${n}`, (s) => s.network.wire(n)?.cut()))],
  [2, slot.map((n) => move(`leave ${n}`, (s) => s.leave(n)))],
  [1, slot.map((n) => move(`connect ${n}, with a wrong AUTH`, (s) => s.connect(n, true)))],
  [
    1,
    fc.boolean().map((graceful) => move(graceful ? 'stop and start' : 'crash and start', (s) => s.restart(graceful))),
  ],
  [
    2,
    pick.map((n) =>
      move(`stall ${n}`, (s) => {
        const wire = s.network.wire(n);
        if (wire) wire.isFull = true;
      }),
    ),
  ],
  [2, pick.map((n) => move(`drain ${n}`, (s) => s.network.wire(n)?.drain()))],
  [
    2,
    fc.constantFrom('all' as const, 'auths' as const).map((which) =>
      move(`hold ${which}`, (s) => {
        s.modules.stage.holding = which;
      }),
    ),
  ],
  [5, pick.map((n) => move(`release ${n}`, (s) => s.modules.stage.release(n)))],
  [2, always('release all', (s) => s.modules.stage.releaseAll())],
  [2, slot.map((n) => move(`revoke ${n}`, (s) => n < 3 && s.revoke(s.people[n] as Scene['people'][number])))],
  [2, slot.map((n) => move(`accept ${n}`, (s) => n < 3 && s.accept(s.people[n] as Scene['people'][number])))],
  [1, slot.map((n) => move(`say ${n} ×3, the first of which revokes`, (s) => n < 3 && s.say(n, 3, true)))],
  [1, always('regrant', (s) => s.regrant())],
  [3, fc.constantFrom(...minutes).map((ms) => move(`pass ${ms}`, (s) => s.pass(ms)))],
  [
    2,
    fc
      .constantFrom(-3_600_000, -130_000, -1000, 1000, 130_000, 3_600_000)
      .map((ms) => move(`jump ${ms}`, (s) => s.jump(ms))),
  ],
  [
    1,
    fc
      .tuple(slot, fc.constantFrom(0, 119_000, -119_000, 121_000))
      .map(([n, ms]) => move(`skew ${n} ${ms}`, (s) => s.skew(n, ms))),
  ],
  [2, always('sweep', (s) => s.sweep())],
];

/** A play of up to `length` moves. */
export function plays(length: number): fc.Arbitrary<Iterable<fc.AsyncCommand<NoModel, Scene>>> {
  const any = fc.oneof(...KINDS.map(([weight, arbitrary]) => ({ weight, arbitrary })));
  return fc.commands([any], { maxCommands: length, size: 'max' });
}
