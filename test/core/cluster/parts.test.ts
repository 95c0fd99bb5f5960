import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Parts } from '../../../core/dist/cluster/parts.js';

interface Part {
  readonly from: string;
  readonly name: string;
  readonly part: number;
  readonly parts: number;
  readonly bytes: Buffer;
}

const BOUND = 64 * 1024 * 1024;

/** The parts of the messages of one router, in the order in which it sends them. */
function sent(from: string, messages: readonly (readonly Uint8Array[])[]): Part[][] {
  return messages.map((message, i) =>
    message.map((bytes, part) => {
      return { from, name: `tell ${i}`, part, parts: message.length, bytes: Buffer.from(bytes) };
    }),
  );
}

/** What comes out of these parts: `FROM NAME` with the text in hexadecimal digits. */
function taken(parts: readonly Part[]): string[] {
  const all = new Parts();
  return parts.flatMap(({ from, name, part, parts, bytes }) => {
    const whole = all.take(from, name, part, parts, bytes);
    return whole === undefined ? [] : [`${from} ${name} ${whole.toString('hex')}`];
  });
}

const wholeOf = (message: readonly Part[]) =>
  `${message[0]?.from} ${message[0]?.name} ${Buffer.concat(message.map(({ bytes }) => bytes)).toString('hex')}`;

/** Messages of up to four routers, each in parts of any size, and in which order the routers' parts come. */
const TRAFFIC = fc
  .array(fc.array(fc.array(fc.uint8Array({ maxLength: 20 }), { minLength: 1, maxLength: 6 }), { maxLength: 6 }), {
    minLength: 1,
    maxLength: 4,
  })
  .chain((routers) => {
    const messages = routers.map((one, i) => sent(`router ${i}`, one));
    const turns = messages.flatMap((one, i) => one.flat().map(() => i));
    return fc.record({
      messages: fc.constant(messages),
      turns: fc
        .shuffledSubarray(
          turns.map((_, i) => i),
          { minLength: turns.length },
        )
        .map((order) => order.map((i) => turns[i] as number)),
    });
  });

function inTurn(messages: readonly (readonly Part[][])[], turns: readonly number[]): Part[] {
  const queues = messages.map((one) => one.flat());
  return turns.flatMap((i) => queues[i]?.shift() ?? []);
}

describe('messages in parts', () => {
  test('are whole again, whatever their sizes, and however the parts of several routers come among each other', () => {
    fc.assert(
      fc.property(TRAFFIC, ({ messages, turns }) => {
        expect(taken(inTurn(messages, turns)).sort()).toEqual(messages.flat().map(wholeOf).sort());
      }),
    );
  });

  test('are lost with a part that is lost, and no other is', () => {
    fc.assert(
      fc.property(TRAFFIC, fc.infiniteStream(fc.boolean()), ({ messages, turns }, losses) => {
        const all = inTurn(messages, turns);
        const lost = new Set(all.filter(() => losses.next().value === true));
        const unharmed = messages.flat().filter((message) => !message.some((part) => lost.has(part)));
        expect(taken(all.filter((part) => !lost.has(part))).sort()).toEqual(unharmed.map(wholeOf).sort());
      }),
    );
  });

  test('are lost beyond 64 MiB, those of one router at a time', () => {
    const parts = new Parts();
    const piece = Buffer.alloc(BOUND / 4);
    const big = (from: string, count: number) => {
      let last: Buffer | undefined;
      for (let part = 0; part < count; part++) last = parts.take(from, 'ask', part, count, piece);
      return last?.length;
    };
    expect(big('b', 5)).toBeUndefined();
    expect([big('b', 4), big('c', 4)]).toEqual([BOUND, BOUND]);
  });

  test('of a router that is gone are forgotten', () => {
    const parts = new Parts();
    parts.take('b', 'tell 1', 0, 2, Buffer.from('a'));
    parts.drop('b');
    expect(parts.take('b', 'tell 1', 1, 2, Buffer.from('b'))).toBeUndefined();
  });
});
