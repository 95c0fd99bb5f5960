import { randomBytes } from 'node:crypto';
import { Opener, Sealer } from '@centreond/protocol/channel';
import { expect, test } from 'vitest';
import { Outbox } from '../../../core/dist/doors/outbox.js';

const keys = { key: randomBytes(32), iv: randomBytes(12) };
const session = randomBytes(16);

/** An outbox over a connection that is full when its test says so. */
function make(limits = {}) {
  const opener = new Opener(keys, 'aes-256-gcm', 2, session);
  const at = {
    sent: [] as Buffer[],
    full: false,
    broken: [] as string[],
    now: 0,
    heard: () => at.sent.splice(0).map((record) => opener.open(record, 1e9).map(String)),
  };
  const outbox = new Outbox(
    new Sealer(keys, 'aes-256-gcm', 2, session),
    {
      get full() {
        return at.full;
      },
      send: (record) => at.sent.push(record),
      now: () => at.now,
      broken: (cause) => at.broken.push(cause),
    },
    { maxBytes: 10_000, maxMessage: 1000, stallMs: 5000, ...limits },
  );
  return { at, outbox };
}

const turn = () => new Promise(setImmediate);

test('one flush is one record', async () => {
  const { at, outbox } = make();
  outbox.push('a');
  outbox.push('b');
  outbox.push('ü');
  expect(at.sent.length).toBe(0);
  outbox.flush();
  outbox.flush();
  await turn();
  expect(at.heard()).toEqual([['a', 'b', 'ü']]);
  expect(outbox.waiting).toBe(0);
});

test('nothing is sealed while the connection is full, and all of it in order once it is not', () => {
  const { at, outbox } = make();
  at.full = true;
  for (const message of ['a', 'b']) {
    outbox.push(message);
    outbox.flush();
  }
  outbox.push('c');
  expect(at.sent.length).toBe(0);
  expect(outbox.waiting).toBe(3 * 65);
  at.full = false;
  outbox.flush();
  expect(at.heard()).toEqual([['a', 'b', 'c']]);
  expect(outbox.waiting).toBe(0);
});

test('a burst goes out from the 128th message on, at most 256 and no more bytes than the largest message in a record', async () => {
  const { at, outbox } = make({ maxBytes: 1e6 });
  for (let i = 0; i < 127; i++) outbox.push(`${i}`);
  expect(at.sent.length).toBe(0);
  for (let i = 127; i < 600; i++) outbox.push(`${i}`);
  expect(at.sent.length).toBe(4);
  outbox.flush();
  await turn();
  const records = at.heard();
  expect(records.flat()).toEqual(Array.from({ length: 600 }, (_, i) => `${i}`));
  expect(Math.max(...records.map((record) => record.length))).toBeLessThanOrEqual(256);
  for (let i = 0; i < 10; i++) outbox.push('x'.repeat(i === 3 ? 1000 : 300));
  outbox.flush();
  await turn();
  expect(at.heard().map((record) => record.map((message) => message.length))).toEqual([
    [300, 300, 300],
    [1000],
    [300, 300, 300],
    [300, 300, 300],
  ]);
});

test('a connection that stays full too long ends it, counted from its last drain', async () => {
  const { at, outbox } = make();
  for (at.now = 0; at.now <= 12_000; at.now += 4000) {
    at.full = false;
    outbox.flush();
    at.full = true;
    outbox.push('a');
    outbox.flush();
    outbox.sweep();
  }
  at.now = 12_000 + 5000;
  outbox.push('b');
  outbox.flush();
  outbox.sweep();
  await turn();
  expect(at.broken).toEqual([]);
  at.now++;
  outbox.sweep();
  await turn();
  expect(at.broken).toEqual(['its connection has been full for 5000 ms']);
  outbox.push('b');
  outbox.flush();
  outbox.sweep();
  await turn();
  expect(at.broken.length).toBe(1);
});

test('more bytes than the bound end it, after the call that was too much', async () => {
  const { at, outbox } = make();
  at.full = true;
  for (let i = 0; i < 9; i++) {
    outbox.push('x'.repeat(1000));
    outbox.flush();
  }
  await turn();
  expect(at.broken).toEqual([]);
  outbox.push('x'.repeat(1000));
  expect(at.broken).toEqual([]);
  await turn();
  expect(at.broken).toEqual([expect.stringContaining('more than 10000 bytes')]);
  expect(outbox.waiting).toBe(0);
});

test('many empty messages count too', async () => {
  const { at, outbox } = make();
  at.full = true;
  for (let i = 0; i < 500; i++) outbox.push('');
  await turn();
  expect(at.broken.length).toBe(1);
});

test('a message that the peer could not take becomes a refusal under its token', async () => {
  const { at, outbox } = make();
  outbox.push(`[LOG] [tok] ${'x'.repeat(1000)}`);
  outbox.push('y'.repeat(1001));
  outbox.flush();
  await turn();
  const [[first, second] = []] = at.heard();
  expect(first).toContain('[ACK] [tok] {"code":1,"data":{"error":"TOO_LARGE"');
  expect(second).toContain('[ACK] [] {"code":1,"data":{"error":"TOO_LARGE"');
});

test('finishing sends what waits and the last word, however full the connection is, and then nothing more', () => {
  const { at, outbox } = make();
  at.full = true;
  outbox.push('a');
  outbox.flush();
  outbox.push('b');
  outbox.finish('bye');
  expect(at.heard()).toEqual([['a', 'b', 'bye']]);
  outbox.push('c');
  outbox.flush();
  outbox.finish('again');
  expect(at.sent.length).toBe(0);
  expect(at.broken).toEqual([]);
});
