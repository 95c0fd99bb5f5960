import { randomBytes } from 'node:crypto';
import { Opener, Sealer } from '@centreond/plugin-sdk/channel';
import { expect, test } from 'vitest';
import { Outbox } from '../../../core/dist/doors/outbox.js';

const keys = { key: randomBytes(32), iv: randomBytes(12) };
const session = randomBytes(16);

/** An outbox over a socket that does what its test says. */
function make(limits = {}) {
  const opener = new Opener(keys, 'aes-256-gcm', 2, session);
  const at = {
    sent: [] as Buffer[],
    fail: undefined as string | undefined,
    stuck: 0,
    broken: [] as string[],
    now: 0,
    heard: () => at.sent.splice(0).map((record) => opener.open(record, 1e9).map(String)),
  };
  const outbox = new Outbox(
    new Sealer(keys, 'aes-256-gcm', 2, session),
    {
      async send(record) {
        if (at.fail) throw Object.assign(new Error('no'), { code: at.fail });
        at.sent.push(record);
      },
      stuck: () => at.stuck++,
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

test('what comes while a record is on its way goes into the next one', async () => {
  const { at, outbox } = make();
  outbox.push('a');
  outbox.flush();
  outbox.push('b');
  outbox.flush();
  outbox.push('c');
  expect(at.sent.length).toBe(1);
  await turn();
  expect(at.heard()).toEqual([['a'], ['b', 'c']]);
});

test('a burst goes out from the 128th message on, at most 256 and no more bytes than the largest message in a record', async () => {
  const { at, outbox } = make({ maxBytes: 1e6 });
  for (let i = 0; i < 127; i++) outbox.push(`${i}`);
  expect(at.sent.length).toBe(0);
  for (let i = 127; i < 600; i++) outbox.push(`${i}`);
  expect(at.sent.length).toBe(1);
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

test('a sealed record that found no room is sent again with the same bytes, and only then the next is sealed', async () => {
  const { at, outbox } = make();
  at.fail = 'EAGAIN';
  outbox.push('a');
  outbox.flush();
  await turn();
  expect(at.stuck).toBe(1);
  outbox.push('b');
  outbox.flush();
  outbox.retry();
  await turn();
  expect(at.stuck).toBe(2);
  at.fail = undefined;
  outbox.retry();
  outbox.retry();
  await turn();
  expect(at.heard()).toEqual([['a'], ['b']]);
  expect(at.broken).toEqual([]);
});

test('a queue is asked less often the longer it is full, and never given up for that', async () => {
  const { at, outbox } = make();
  at.fail = 'EAGAIN';
  let asked = 0;
  outbox.push('a');
  outbox.flush();
  await turn();
  for (at.now = 0; at.now < 4000; at.now += 5) {
    const before = at.stuck;
    outbox.retry();
    if (at.stuck === before) asked++;
    await turn();
    expect(at.stuck).toBe(before + 1);
  }
  expect(asked).toBeGreaterThan(20);
  expect(asked).toBeLessThan(40);
  at.fail = undefined;
  at.now += 200;
  outbox.retry();
  await turn();
  expect(at.heard()).toEqual([['a']]);
});

test('a queue that stays full too long ends it, counted anew after each record that went', async () => {
  const { at, outbox } = make();
  for (const start of [0, 6000]) {
    at.now = start;
    at.fail = 'EAGAIN';
    outbox.push('a');
    outbox.flush();
    await turn();
    at.now = start + (start === 0 ? 4700 : 5000);
    outbox.retry();
    await turn();
    expect(at.broken).toEqual([]);
    if (start > 0) break;
    at.fail = undefined;
    at.now += 200;
    outbox.retry();
    await turn();
  }
  at.now += 1;
  outbox.retry();
  await turn();
  expect(at.broken).toEqual(['its queue has been full for 5000 ms']);
  outbox.push('b');
  outbox.flush();
  expect(at.broken.length).toBe(1);
});

test('more bytes than the bound end it, sealed ones counted, after the call that was too much', async () => {
  const { at, outbox } = make();
  at.fail = 'EAGAIN';
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
  at.fail = 'EAGAIN';
  for (let i = 0; i < 500; i++) outbox.push('');
  await turn();
  expect(at.broken.length).toBe(1);
});

test('a lost connection ends it', async () => {
  const { at, outbox } = make();
  at.fail = 'EHOSTUNREACH';
  outbox.push('a');
  outbox.flush();
  await turn();
  expect(at.broken).toEqual(['its connection is gone']);
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

test('finishing sends what waits and the last word, then nothing more', async () => {
  const { at, outbox } = make();
  let done = 0;
  at.fail = 'EAGAIN';
  outbox.push('a');
  outbox.flush();
  outbox.push('b');
  await turn();
  outbox.finish('bye', () => done++);
  await turn();
  expect(done).toBe(0);
  at.fail = undefined;
  outbox.retry();
  await turn();
  expect(at.heard()).toEqual([['a'], ['b', 'bye']]);
  expect(done).toBe(1);
  outbox.push('c');
  outbox.flush();
  await turn();
  expect(at.sent.length).toBe(0);
});

test('finishing gives up after a second of a full queue, and at once where nothing can be sent', async () => {
  const { at, outbox } = make();
  let done = 0;
  at.fail = 'EAGAIN';
  outbox.finish('bye', () => done++);
  await turn();
  at.now = 1001;
  outbox.retry();
  await turn();
  expect(done).toBe(1);
  outbox.finish('bye', () => done++);
  expect(done).toBe(2);
});
