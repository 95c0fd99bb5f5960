import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { CAUSES, type Cause, Connection } from '../../core/dist/doors/zmtp/connection.js';
import { GREETING, READY } from '../../plugin-sdk/protocol/dist/zmtp/wire.js';
import { command, frame } from '../core/doors/zmtp/listening.ts';
import { fuzz, options, titled } from './campaign.ts';
import type { Dice } from './dice.ts';

const LIMITS = { maxFrame: 3000, maxStrangerFrame: 400, maxPending: 10_000 };
const KEPT = 2 * (LIMITS.maxFrame + 9) + 1024 + 8192;

interface Stream {
  readonly bytes: Buffer;
  /** Where it is cut into chunks. */
  readonly cuts: readonly number[];
  /** The peer is settled as soon as its handshake is over. */
  readonly isSettled: boolean;
  /** Every so many frames the owner pauses the connection until the next chunk; 0 for never. */
  readonly pauseEvery: number;
  /** The messages of a stream without a fault. */
  readonly sound?: readonly string[];
}

/** A socket without a network. */
class FakeSocket extends EventEmitter {
  writableLength = 0;
  writableNeedDrain = false;
  written = 0;
  destroyed = false;
  write(bytes: Buffer): boolean {
    this.written += bytes.length;
    return true;
  }
  cork(): void {}
  uncork(): void {}
  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {
    this.destroyed = true;
  }
}

function property(dice: Dice): Buffer {
  const name = dice.chance(0.6) ? dice.pick(['Socket-Type', 'Identity', 'socket-TYPE']) : dice.anyText(20);
  const value = dice.chance(0.6) ? dice.pick(['DEALER', 'ROUTER', 'REQ', '']) : dice.anyText(300);
  const size = Buffer.alloc(4);
  size.writeUInt32BE(
    dice.chance(0.1) ? dice.pick([0xffffffff, 0x7fffffff, value.length + 1]) : Buffer.byteLength(value),
  );
  return Buffer.concat([Buffer.of(Buffer.byteLength(name) & 255), Buffer.from(name), size, Buffer.from(value)]);
}

function greeting(dice: Dice): Buffer {
  const out = Buffer.from(GREETING);
  if (dice.chance(0.7)) return out;
  out[dice.below(out.length)] = dice.below(256);
  return out;
}

function head(dice: Dice): Buffer {
  const out = Buffer.alloc(9);
  out[0] = dice.below(16);
  out.writeUInt32BE(dice.pick([0, 0, 1, 0x7fffffff, 0xffffffff]), 1);
  out.writeUInt32BE(dice.pick([0, 1, 255, 399, 400, 401, 2999, 3000, 3001, 0xffffffff]), 5);
  return out;
}

const sizeOf = (dice: Dice) => dice.pick([0, 1, 254, 255, 256, 398, 399, 400, 401, 2999, 3000, 3001, dice.below(700)]);

/** A stream of which everything arrives. */
function soundStream(dice: Dice): Stream {
  const isSettled = dice.chance(0.5);
  const largest = isSettled ? LIMITS.maxFrame : LIMITS.maxStrangerFrame;
  const bodies = dice.list(12, () => Buffer.alloc(Math.min(largest, sizeOf(dice)), dice.below(256)));
  const between = () => (dice.chance(0.2) ? command('PING', Buffer.alloc(2 + dice.below(17), 1)) : Buffer.alloc(0));
  return {
    bytes: Buffer.concat([GREETING, READY.DEALER, ...bodies.flatMap((body) => [between(), frame(body)])]),
    cuts: cutsOf(dice),
    isSettled,
    pauseEvery: dice.chance(0.3) ? 1 + dice.below(3) : 0,
    sound: bodies.map((body) => body.toString('latin1')),
  };
}

const cutsOf = (dice: Dice) => dice.list(20, () => dice.pick([1, 1, 2, 8, 9, 63, 64, 65, 300, 1000]));

function stream(dice: Dice): Stream {
  if (dice.chance(0.25)) return soundStream(dice);

  const parts = dice.list(12, () =>
    dice.one<Buffer>([
      () => frame(Buffer.alloc(sizeOf(dice), dice.below(256))),
      () => frame(dice.bytes(dice.below(300))),
      () =>
        command(
          dice.pick(['PING', 'PONG', 'READY', 'ERROR', 'SUBSCRIBE', '', 'X'.repeat(dice.below(256))]),
          dice.bytes(dice.below(30)),
        ),
      () => command('READY', Buffer.concat(dice.list(3, () => property(dice)))),
      () => head(dice),
      () => dice.bytes(dice.below(12)),
    ]),
  );
  const start = dice.one<Buffer[]>([
    () => [GREETING, READY.DEALER],
    () => [GREETING, READY.DEALER],
    () => [GREETING, command('READY', Buffer.concat(dice.list(3, () => property(dice))))],
    () => [greeting(dice), READY.DEALER],
    () => [],
  ]);
  const whole = Buffer.concat([...start, ...parts]);
  return {
    bytes: dice.chance(0.4) ? dice.mutated(whole) : whole,
    cuts: cutsOf(dice),
    isSettled: dice.chance(0.5),
    pauseEvery: dice.chance(0.3) ? 1 + dice.below(3) : 0,
  };
}

/** What an owner is told of a stream. */
interface Outcome {
  readonly frames: string[];
  readonly causes: Cause[];
  readonly opened: number;
  readonly closed: number;
}

function outcomeOf({ bytes, isSettled, pauseEvery }: Stream, cuts: readonly number[]): Outcome {
  const socket = new FakeSocket();
  const told = { frames: [] as string[], causes: [] as Cause[], opened: 0, closed: 0 };
  const largest = isSettled ? LIMITS.maxFrame : LIMITS.maxStrangerFrame;
  const connection = new Connection('198.18.0.1:1', socket as unknown as Socket, {
    limits: LIMITS,
    opened: (one) => {
      told.opened++;
      if (isSettled) one.settle();
      return {
        onFrame: (body) => {
          if (told.causes.length > 0) throw new Error('a frame after the end');
          if (body.length > largest) throw new Error(`a frame of ${body.length} bytes`);
          told.frames.push(body.toString('latin1'));
          if (pauseEvery > 0 && told.frames.length % pauseEvery === 0) one.pause();
        },
        onDrain: () => {},
        onClosed: () => {
          told.closed++;
        },
      };
    },
    settled: () => {},
    ended: (cause) => told.causes.push(cause),
    closed: () => {},
  });
  let at = 0;
  for (let i = 0; at < bytes.length && !socket.destroyed; i++) {
    const size = cuts.length === 0 ? bytes.length : (cuts[i % cuts.length] as number);
    // A copy: a socket's chunk is nobody else's.
    socket.emit('data', Buffer.from(bytes.subarray(at, at + size)));
    at += size;
    connection.resume();
    if (connection.retainedBytes > KEPT + (pauseEvery > 0 ? bytes.length : 0)) {
      throw new Error(`${connection.retainedBytes} bytes are kept`);
    }
  }
  for (let i = 0; i < bytes.length && pauseEvery > 0; i++) connection.resume();
  if (socket.written > 64 + 2 * bytes.length + 200) throw new Error(`${socket.written} bytes are sent`);
  socket.emit('close');
  if (told.opened > 1 || told.closed !== told.opened) throw new Error(`opened ${told.opened}, closed ${told.closed}`);
  if (told.causes.length > 1 || told.causes.some((cause) => !(cause in CAUSES)))
    throw new Error(`ended for ${told.causes}`);
  return told;
}

test(titled('bytes of a stranger end in frames or in one cause, the same however they are cut'), options, () =>
  fuzz<Stream>({
    name: 'zmtp',
    cases: 1_500_000,
    make: stream,
    run(one) {
      const whole = outcomeOf(one, []);
      const cut = outcomeOf(one, one.cuts);
      if (JSON.stringify(whole) !== JSON.stringify(cut)) expect(cut).toEqual(whole);
      if (!one.sound) return;
      const right = { frames: one.sound, causes: [], opened: 1, closed: 1 };
      if (JSON.stringify(whole) !== JSON.stringify(right)) expect(whole).toEqual(right);
    },
    show: ({ bytes, ...stream }) => JSON.stringify({ ...stream, bytes: bytes.toString('hex') }),
  }),
);
