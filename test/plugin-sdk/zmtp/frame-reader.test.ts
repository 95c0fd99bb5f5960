import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FrameReader } from '../../../plugin-sdk/protocol/dist/zmtp/frame-reader.js';
import { frame } from '../../core/doors/zmtp/listening.ts';

const MAX = 100_000;
const MAX_COMMAND = 8192;

function reading(maxMessage = MAX) {
  const heard: { kind: string; body: string }[] = [];
  const note = (kind: string) => (body: Buffer) => void heard.push({ kind, body: body.toString('latin1') });
  return {
    heard,
    reader: new FrameReader({ message: note('message'), command: note('command') }, maxMessage, MAX_COMMAND),
  };
}

/** Cuts `stream` at the places `cuts`, each taken modulo what is left. */
function* split(stream: Buffer, cuts: readonly number[]): Generator<Buffer> {
  let at = 0;
  for (let i = 0; at < stream.length; i++) {
    const size = cuts.length === 0 ? stream.length : 1 + ((cuts[i % cuts.length] as number) % (stream.length - at));
    yield Buffer.from(stream.subarray(at, at + size));
    at += size;
  }
}

const SIZES = [0, 1, 2, 254, 255, 256, 257, 1023, 1024, 1025, 65_535, 65_536, MAX];
const aFrame = fc.record({
  isCommand: fc.boolean(),
  isLong: fc.boolean(),
  size: fc.oneof(fc.constantFrom(...SIZES), fc.nat({ max: 700 })),
  fill: fc.nat({ max: 255 }),
});
const cutting = fc.array(fc.oneof(fc.nat({ max: 3 }), fc.nat({ max: 2000 }), fc.nat({ max: 70_000 })), {
  maxLength: 30,
});

function encode({
  isCommand,
  isLong,
  size,
  fill,
}: {
  isCommand: boolean;
  isLong: boolean;
  size: number;
  fill: number;
}) {
  const body = Buffer.alloc(isCommand ? Math.min(size, MAX_COMMAND) : size, fill);
  if (!isLong || body.length > 255) return { body, bytes: frame(body, isCommand ? 4 : 0) };
  // A long head is allowed for a short body.
  const head = Buffer.alloc(9);
  head[0] = isCommand ? 6 : 2;
  head[8] = body.length;
  return { body, bytes: Buffer.concat([head, body]) };
}

test('any split of a stream gives the same frames', () => {
  fc.assert(
    fc.property(fc.array(aFrame, { maxLength: 12 }), cutting, (frames, cuts) => {
      const { heard, reader } = reading();
      const encoded = frames.map(encode);
      const stream = Buffer.concat(encoded.map(({ bytes }) => bytes));
      expect(
        [...split(stream, cuts)].map((chunk) => reader.push(chunk)).filter((fault) => fault !== undefined),
      ).toEqual([]);
      expect(heard.length).toBe(frames.length);
      for (const [i, { kind, body }] of heard.entries()) {
        expect(kind).toBe(frames[i]?.isCommand ? 'command' : 'message');
        expect(body === encoded[i]?.body.toString('latin1')).toBe(true);
      }
      expect(reader.retained).toBe(0);
    }),
    { numRuns: 500 },
  );
});

test('any bytes end in frames or a fault, and take no more memory than twice what came and a constant', () => {
  const soup = fc.array(
    fc.oneof(
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
      aFrame.map((one) => encode(one).bytes),
      // Heads that promise much.
      fc.constantFrom(
        Buffer.from([2, 0, 0, 0, 0, 0, 1, 0x86, 0xa0]),
        Buffer.from([2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        Buffer.from([2, 0, 0, 0, 1, 0, 0, 0, 0]),
        Buffer.from([6, 0, 0, 0, 0, 0, 0, 0x20, 0]),
        Buffer.from([1, 3]),
      ),
    ),
    { maxLength: 10 },
  );
  fc.assert(
    fc.property(soup, cutting, (parts, cuts) => {
      const { heard, reader } = reading();
      let received = 0;
      let most = 0;
      let fault: string | undefined;
      for (const chunk of split(Buffer.concat(parts), cuts)) {
        received += chunk.length;
        fault ??= reader.push(chunk);
        most = Math.max(most, reader.retained - 2 * received);
        if (fault) break;
      }
      expect(most).toBeLessThanOrEqual(1024);
      expect([undefined, 'malformed', 'multipart', 'tooLarge']).toContain(fault);
      for (const { kind, body } of heard)
        expect(body.length).toBeLessThanOrEqual(kind === 'command' ? MAX_COMMAND : MAX);
    }),
    { numRuns: 1000 },
  );
});

test('a pause anywhere hands up nothing more, and its end hands up the rest in order', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat({ max: 300 }), { minLength: 1, maxLength: 20 }),
      cutting,
      fc.nat(),
      (sizes, cuts, seed) => {
        const heard: number[] = [];
        const reader: FrameReader = new FrameReader(
          {
            message: (body) => {
              expect(reader.paused).toBe(false);
              heard.push(body.length);
              if ((heard.length * 7 + seed) % 3 === 0) reader.pause();
            },
            command: () => expect.fail(),
          },
          MAX,
          MAX_COMMAND,
        );
        const stream = Buffer.concat(sizes.map((size) => frame(Buffer.alloc(size))));
        for (const [i, chunk] of [...split(stream, cuts)].entries()) {
          expect(reader.push(chunk)).toBeUndefined();
          if ((i + seed) % 2 === 0) reader.resume();
        }
        for (let i = 0; reader.paused && i < 100; i++) expect(reader.resume()).toBeUndefined();
        expect(heard).toEqual(sizes);
      },
    ),
    { numRuns: 500 },
  );
});

describe('a frame is refused by its head', () => {
  test.each([
    ['with MORE', Buffer.of(1), 'multipart'],
    ['with MORE and a long size', Buffer.of(3, 0), 'multipart'],
    ['a command with MORE', Buffer.of(5), 'malformed'],
    ['with a reserved bit', Buffer.of(8), 'malformed'],
    ['one byte too large', Buffer.of(2, 0, 0, 0, 0, 0, 1, 0x86, 0xa1), 'tooLarge'],
    ['of 2^63 bytes', Buffer.of(2, 0x80, 0, 0, 0, 0, 0, 0, 0), 'tooLarge'],
    ['of 2^32 bytes', Buffer.of(2, 0, 0, 0, 1, 0, 0, 0, 0), 'tooLarge'],
    ['a command that is too large', Buffer.of(6, 0, 0, 0, 0, 0, 0, 0x20, 1), 'tooLarge'],
  ])('%s', (_, head, fault) => {
    for (const bytewise of [false, true]) {
      const { heard, reader } = reading();
      const faults = bytewise ? [...head].map((byte) => reader.push(Buffer.of(byte))) : [reader.push(head)];
      expect(faults.filter((one) => one !== undefined)).toEqual([fault]);
      expect(heard).toEqual([]);
      expect(reader.retained).toBe(0);
    }
  });
});

test('a frame that one chunk holds whole is a view of it', () => {
  const bodies: Buffer[] = [];
  const reader = new FrameReader({ message: (body) => bodies.push(body), command: () => {} }, MAX, MAX_COMMAND);
  const chunk = Buffer.concat([frame('one'), frame('x'.repeat(300)), frame('')]);
  reader.push(chunk);
  expect(bodies.map((body) => body.length)).toEqual([3, 300, 0]);
  expect(bodies.every((body) => body.buffer === chunk.buffer)).toBe(true);
});

test('the memory for a large frame grows with what arrives of it', () => {
  const { heard, reader } = reading(16 * 1024 * 1024);
  reader.push(Buffer.of(2, 0, 0, 0, 0, 1, 0, 0, 0));
  expect(reader.retained).toBeLessThanOrEqual(1024);
  for (let received = 0; received < 1_000_000; received += 1000) {
    reader.push(Buffer.alloc(1000));
    expect(reader.retained).toBeLessThanOrEqual(2 * (received + 1000) + 1024);
  }
  expect(heard).toEqual([]);
  reader.stop();
  expect(reader.retained).toBe(0);
  expect(reader.push(Buffer.alloc(1000))).toBeUndefined();
  expect(reader.retained).toBe(0);
});

test('a frame of a trusted peer up to 1 MiB takes its memory once', () => {
  const { reader } = reading(16 * 1024 * 1024);
  reader.trust(16 * 1024 * 1024);
  reader.push(Buffer.of(2, 0, 0, 0, 0, 0, 4, 0, 0));
  expect(reader.retained).toBe(9 + 4 * 65_536);
  reader.stop();
  const large = reading(16 * 1024 * 1024).reader;
  large.trust(16 * 1024 * 1024);
  large.push(Buffer.of(2, 0, 0, 0, 0, 1, 0, 0, 0));
  expect(large.retained).toBe(1024 * 1024);
});

test('a limit that is raised holds from the next frame on', () => {
  const sizes: number[] = [];
  const reader: FrameReader = new FrameReader(
    {
      message: (body) => {
        sizes.push(body.length);
        reader.trust(1000);
      },
      command: () => {},
    },
    10,
    MAX_COMMAND,
  );
  expect(reader.push(Buffer.concat([frame('x'.repeat(10)), frame('x'.repeat(1000))]))).toBeUndefined();
  expect(sizes).toEqual([10, 1000]);
});
