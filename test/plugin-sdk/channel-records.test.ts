import { createCipheriv, randomBytes } from 'node:crypto';
import v8 from 'node:v8';
import vm from 'node:vm';
import { type Cipher, isFirstRecord, Opener, RECORD_OVERHEAD, Sealer } from '@centreond/protocol/channel';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Aead, loadSodium } from '../../plugin-sdk/protocol/dist/channel/aead.js';

const CIPHERS: Cipher[] = ['aes-256-gcm', 'chacha20-poly1305'];
const session = randomBytes(16);
const keys = { key: randomBytes(32), iv: randomBytes(12) };
const LIMIT = 2 ** 20;

const broken = expect.objectContaining({ code: 'BROKEN_RECORD' });
const pair = (cipher: Cipher = 'aes-256-gcm', limits = {}) => ({
  sealer: new Sealer(keys, cipher, 1, session, limits),
  opener: new Opener(keys, cipher, 1, session),
});
const texts = (messages: Buffer[]) => messages.map(String);
const errorOf = (act: () => unknown): unknown => {
  try {
    return act();
  } catch (error) {
    return error;
  }
};

describe.each(CIPHERS)('records of %s', (cipher) => {
  test('carry any messages, in order, any number of times', () => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.string({ unit: 'grapheme', maxLength: 200 })), { maxLength: 20 }), (records) => {
        const { sealer, opener } = pair(cipher, { records: 3 });
        for (const messages of records) expect(texts(opener.open(sealer.seal(messages), LIMIT))).toEqual(messages);
      }),
      { numRuns: 50 },
    );
  });

  test('do not open with any bit flipped, any byte cut off or added, and the true one still opens after', () => {
    const { sealer, opener } = pair(cipher);
    opener.open(sealer.seal(['before']), LIMIT);
    const record = sealer.seal(['[PING] [t] []', 'second']);
    for (let bit = 0; bit < record.length * 8; bit++) {
      const changed = Buffer.from(record);
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(errorOf(() => opener.open(changed, LIMIT))).toEqual(broken);
    }
    for (let length = 0; length < record.length; length++)
      expect(errorOf(() => opener.open(record.subarray(0, length), LIMIT))).toEqual(broken);
    expect(errorOf(() => opener.open(Buffer.concat([record, Buffer.alloc(1)]), LIMIT))).toEqual(broken);
    expect(texts(opener.open(record, LIMIT))).toEqual(['[PING] [t] []', 'second']);
  });

  test('do not open twice, out of order, or with one left out', () => {
    const { sealer, opener } = pair(cipher);
    const [first, second, third] = [sealer.seal(['1']), sealer.seal(['2']), sealer.seal(['3'])];
    expect(errorOf(() => opener.open(second, LIMIT))).toEqual(broken);
    opener.open(first, LIMIT);
    expect(errorOf(() => opener.open(first, LIMIT))).toEqual(broken);
    expect(errorOf(() => opener.open(third, LIMIT))).toEqual(broken);
    expect(texts(opener.open(second, LIMIT))).toEqual(['2']);
    expect(texts(opener.open(third, LIMIT))).toEqual(['3']);
  });

  test('belong to one direction and one session', () => {
    const record = new Sealer(keys, cipher, 1, session).seal(['x']);
    expect(errorOf(() => new Opener(keys, cipher, 2, session).open(record, LIMIT))).toEqual(broken);
    expect(errorOf(() => new Opener(keys, cipher, 1, randomBytes(16)).open(record, LIMIT))).toEqual(broken);
    const other = CIPHERS.find((name) => name !== cipher) ?? cipher;
    expect(errorOf(() => new Opener(keys, other, 1, session).open(record, LIMIT))).toEqual(broken);
    expect(texts(new Opener(keys, cipher, 1, session).open(record, LIMIT))).toEqual(['x']);
  });

  test('come with new keys after as many records as may be, and only those open then', () => {
    const { sealer, opener } = pair(cipher, { records: 2 });
    const records = Array.from({ length: 6 }, (_, i) => sealer.seal([String(i)]));
    expect(records.map((record) => [record.readUInt16BE(2), record.readUInt32BE(8)])).toEqual([
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
      [2, 0],
      [2, 1],
    ]);
    for (const [i, record] of records.entries()) {
      // Two epochs ahead is never taken, and what claims the next epoch with the old keys does not open.
      const jump = records[i + 3];
      if (jump) expect(errorOf(() => opener.open(jump, LIMIT))).toEqual(broken);
      const forged = Buffer.from(record);
      forged.writeUInt16BE(record.readUInt16BE(2) + 1, 2);
      forged.writeUInt32BE(0, 8);
      expect(errorOf(() => opener.open(forged, LIMIT))).toEqual(broken);
      expect(texts(opener.open(record, LIMIT))).toEqual([String(i)]);
    }
  });
});

test('a sender takes new keys after an hour', () => {
  let now = 1000;
  const { sealer, opener } = pair('aes-256-gcm', { clock: { now: () => now } });
  const epoch = () => {
    const record = sealer.seal(['x']);
    expect(texts(opener.open(record, LIMIT))).toEqual(['x']);
    return record.readUInt16BE(2);
  };
  // Keys that have sealed nothing do not age: the first record is always one of epoch 0.
  now += 3_600_000;
  expect(epoch()).toBe(0);
  now -= 3_600_000;
  now += 3_599_999;
  expect(epoch()).toBe(0);
  now += 1;
  expect(epoch()).toBe(1);
  now += 3_599_999;
  expect(epoch()).toBe(1);
  now += 1;
  expect(epoch()).toBe(2);
});

test('a sender seals no more than 2^20 records under one key, whatever its limit says', () => {
  const start = { epoch: 0, seq: 2 ** 20 - 1 };
  const sealer = new Sealer(keys, 'aes-256-gcm', 1, session, { start, records: 2 ** 21 });
  const opener = new Opener(keys, 'aes-256-gcm', 1, session, start);
  const records = [sealer.seal(['last']), sealer.seal(['first'])];
  expect(records.map((record) => [record.readUInt16BE(2), record.readUInt32BE(8)])).toEqual([
    [0, 2 ** 20 - 1],
    [1, 0],
  ]);
  expect(records.map((record) => String(opener.open(record, LIMIT)))).toEqual(['last', 'first']);
});

test('the session ends rather than wrap the epoch, for the sender and for the receiver', () => {
  const start = { epoch: 0xffff, seq: 0 };
  const sealer = new Sealer(keys, 'aes-256-gcm', 1, session, { start, records: 2 });
  const opener = new Opener(keys, 'aes-256-gcm', 1, session, start);
  for (const text of ['a', 'b']) expect(String(opener.open(sealer.seal([text]), LIMIT))).toBe(text);
  const usedUp = expect.objectContaining({
    message: expect.stringContaining('the last epoch of this session is used up'),
  });
  expect(errorOf(() => sealer.seal([]))).toEqual(broken);
  expect(errorOf(() => sealer.seal([]))).toEqual(usedUp);
  const wrapped = new Sealer(keys, 'aes-256-gcm', 1, session).seal([]);
  expect(errorOf(() => opener.open(wrapped, LIMIT))).toEqual(broken);
});

/** A record made by hand, with what no sealer would put in. */
function handmade(seq: bigint, plaintext: Buffer, epoch = 0): Buffer {
  const header = Buffer.from([1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt16BE(epoch, 2);
  header.writeBigUInt64BE(seq, 4);
  const nonce = Buffer.from(keys.iv);
  nonce.writeBigUInt64BE(nonce.readBigUInt64BE(4) ^ seq, 4);
  const cipher = createCipheriv('aes-256-gcm', keys.key, nonce, { authTagLength: 16 });
  cipher.setAAD(Buffer.concat([header, session]));
  return Buffer.concat([header, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

test('the hand agrees with the sealer', () => {
  expect(handmade(0n, Buffer.from('\0\0\0\x02hi'))).toEqual(new Sealer(keys, 'aes-256-gcm', 1, session).seal(['hi']));
});

test.each([2n ** 20n, 2n ** 32n, 2n ** 53n, 2n ** 64n - 1n])(
  'a receiver refuses seq %d even under a true tag',
  (seq) => {
    const { opener } = pair();
    expect(errorOf(() => opener.open(handmade(seq, Buffer.alloc(0)), LIMIT))).toEqual(broken);
  },
);

test('a receiver opens no more than 2^20 records under one key, even when the next one is true', () => {
  const opener = new Opener(keys, 'aes-256-gcm', 1, session, { epoch: 0, seq: 2 ** 20 - 1 });
  expect(opener.open(handmade(2n ** 20n - 1n, Buffer.alloc(0)), LIMIT)).toEqual([]);
  expect(errorOf(() => opener.open(handmade(2n ** 20n, Buffer.alloc(0)), LIMIT))).toEqual(broken);
});

test.each([
  ['a length that reaches past the end', Buffer.from([0, 0, 0, 2, 65])],
  ['half a length', Buffer.from([0, 0, 0])],
  ['a huge length', Buffer.from([255, 255, 255, 255, 65])],
  ['a rest', Buffer.from([0, 0, 0, 1, 65, 0])],
])('a true tag over %s is refused', (_, plaintext) => {
  expect(errorOf(() => pair().opener.open(handmade(0n, plaintext), LIMIT))).toEqual(broken);
});

test('a plaintext may be as long as the limit and no longer', () => {
  const { sealer, opener } = pair();
  const record = sealer.seal(['x'.repeat(96)]);
  expect(record.length).toBe(100 + RECORD_OVERHEAD);
  expect(errorOf(() => opener.open(record, 99))).toEqual(broken);
  expect(texts(opener.open(record, 100))).toEqual(['x'.repeat(96)]);
});

test('any noise is refused', () => {
  const { opener } = pair();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
      expect(errorOf(() => opener.open(Buffer.from(noise), LIMIT))).toEqual(broken);
    }),
  );
});

test('the first record of a session is told by its header', () => {
  const { sealer } = pair('aes-256-gcm', { records: 2 });
  expect([sealer.seal([]), sealer.seal([]), sealer.seal([])].map(isFirstRecord)).toEqual([true, false, false]);
  expect(isFirstRecord(Buffer.alloc(27))).toBe(false);
  const cut = Buffer.alloc(RECORD_OVERHEAD, 0).fill(1, 0, 1);
  expect([cut, cut.subarray(0, -1)].map(isFirstRecord)).toEqual([true, false]);
  expect(isFirstRecord(Buffer.alloc(40))).toBe(false);
});

test('neither a record nor what made it shows what it must not', () => {
  const { sealer, opener } = pair();
  expect(sealer.seal(['secret words']).includes('secret')).toBe(false);
  expect(JSON.stringify([sealer, opener])).toBe('[{},{}]');
});

test('what makes records keeps nothing of the pool from which buffers are taken meanwhile', () => {
  v8.setFlagsFromString('--expose-gc');
  const collect = vm.runInNewContext('gc') as () => void;
  collect();
  const before = process.memoryUsage().arrayBuffers;
  const kept = Array.from({ length: 2000 }, () => {
    Buffer.from('x'.repeat(3000));
    return new Opener({ key: new Uint8Array(32), iv: new Uint8Array(12) }, 'chacha20-poly1305', 1, session);
  });
  collect();
  expect((process.memoryUsage().arrayBuffers - before) / kept.length).toBeLessThan(500);
});

test('libsodium and node:crypto make the same of the same bytes, and refuse the same', async () => {
  const aead = () => new Aead('chacha20-poly1305', keys.key);
  const nonce = randomBytes(12);
  const aad = randomBytes(28);
  const sizes = [0, 1, 63, 64, 65, 700, 16_384, 16_385];
  const sealed = () =>
    sizes.map((size) => {
      const text = Buffer.alloc(size + 16, 7);
      aead().seal(text, size, nonce, aad);
      return text;
    });
  const byNode = sealed();
  await loadSodium();
  const bySodium = sealed();
  expect(bySodium).toEqual(byNode);
  for (const [i, text] of byNode.entries()) {
    expect(aead().open(text, nonce, aad)).toEqual(Buffer.alloc(sizes[i] as number, 7));
    for (const at of new Set([0, text.length - 17, text.length - 16, text.length - 1])) {
      if (at < 0) continue;
      const wrong = Buffer.from(text);
      wrong[at] = (wrong[at] as number) ^ 1;
      expect(aead().open(wrong, nonce, aad)).toBeUndefined();
    }
    expect(aead().open(text, nonce, Buffer.alloc(28))).toBeUndefined();
    expect(aead().open(text, Buffer.alloc(12), aad)).toBeUndefined();
  }
  // With libsodium loaded, AES is still AES.
  expect(handmade(0n, Buffer.from('\0\0\0\x02hi'))).toEqual(new Sealer(keys, 'aes-256-gcm', 1, session).seal(['hi']));
  expect(
    pair()
      .opener.open(handmade(0n, Buffer.from('\0\0\0\x02hi')), LIMIT)
      .map(String),
  ).toEqual(['hi']);
});
