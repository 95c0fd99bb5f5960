import { parseData, parseMessage } from '@centreond/protocol';
import {
  H,
  joinKeyOf,
  Opener,
  type PendingHello,
  parseHello,
  readKey,
  unb64,
  verifyAuth,
  verifyPss,
} from '@centreond/protocol/channel';
import { describe, expect, test } from 'vitest';
import { client, router, x25519Of } from '../../plugin-sdk/protocol/vectors/fixed-handshake.ts';
import { type NegativeVectors, vectorsOf } from './vectors.ts';

const vectors = vectorsOf<NegativeVectors>('negative.json');
const unhex = (text: string) => Buffer.from(text, 'hex');
/** An error of the table, whose sentence names the fault that the vector has. */
const failing = (code: string, reason: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(reason) });

/** What this implementation says of each fault, so that no vector is refused for another reason than its own. */
const KEY_FAULTS: Record<string, RegExp> = {
  signature: /not signed by the router's pinned key, or not for this HELO/,
  version: /another version/,
  cipher: /cipher not offered/,
  ids: /another pair of keys/,
  length: /bytes and not/,
  zero: /X25519/,
  base64: /canonical|missing/,
  unasked: /join token that was not used/,
  join: /knows the join token/,
};
const RECORD_FAULTS: Record<string, RegExp> = {
  tag: /its tag is wrong/,
  replay: /is a replay/,
  gap: /is missing before/,
  epoch: /is not the next one after/,
  'used up': /keys are used up/,
  header: /version or direction/,
  short: /too few/,
  long: /the limit is/,
  batch: /do not end where it ends/,
};

describe('unb64 refuses', () => {
  test.each(vectors.base64)('$name', ({ text }) => {
    expect(() => unb64(text)).toThrow(failing('BROKEN_HANDSHAKE', /canonical/));
  });
});

function pendingOf(joins: boolean): PendingHello {
  return {
    frame: joins ? vectors.m1_joining : vectors.m1,
    keys: client.keys,
    router: { key: router.keys.publicKey, thumbprint: router.keys.thumbprint },
    ciphers: parseHello(vectors.m1).ciphers,
    x25519: x25519Of(unhex(vectors.x25519_private_hex)),
    s1: unhex(vectors.s1_hex),
    joinKey: joins ? joinKeyOf(vectors.join_token) : undefined,
  };
}

describe('a client refuses a KEY with', () => {
  test('nothing wrong: it takes that', async () => {
    expect((await readKey(pendingOf(false), vectors.m2)).cipher).toBe('aes-256-gcm');
    expect((await readKey(pendingOf(true), vectors.m2_joining)).cipher).toBe('aes-256-gcm');
  });
  test.each(vectors.keys)('$fault: $name', async ({ fault, joins, frame }) => {
    await expect(readKey(pendingOf(joins), frame)).rejects.toEqual(
      failing('BROKEN_HANDSHAKE', KEY_FAULTS[fault] ?? /no such fault/),
    );
  });
});

describe('a router refuses an AUTH with', () => {
  const th = unhex(vectors.auth.th_hex);
  test('nothing wrong: it takes that', async () => {
    expect(await verifyAuth(th, client.keys.publicKey, vectors.auth.right)).toBe(true);
  });
  test.each(vectors.auth.wrong)('$name', async ({ message }) => {
    expect(await verifyAuth(th, client.keys.publicKey, message)).toBe(false);
  });
});

describe.each(vectors.records)('a receiver of $cipher', (given) => {
  const keys = { key: unhex(given.key_hex), iv: unhex(given.iv_hex) };
  const opener = () => new Opener(keys, given.cipher, given.direction, unhex(given.session_hex));
  test('opens the right records in their order', () => {
    const receiver = opener();
    for (const frame of given.right_hex) {
      expect(receiver.open(unhex(frame), given.max_plaintext)).toHaveLength(1);
    }
  });
  test.each(given.wrong)('refuses $name', ({ fault, before_hex, frame_hex }) => {
    const receiver = opener();
    for (const frame of before_hex) receiver.open(unhex(frame), given.max_plaintext);
    expect(() => receiver.open(unhex(frame_hex), given.max_plaintext)).toThrow(
      failing('BROKEN_RECORD', RECORD_FAULTS[fault] ?? /no such fault/),
    );
  });
});

describe('a router refuses a message with', () => {
  test.each(vectors.messages)('$name', ({ text }) => {
    expect(() => parseData(parseMessage(text).data)).toThrow(failing('MALFORMED_FRAME', /malformed/));
  });
});

test('a forged KEY is not signed for its HELO by the pinned key, every other one is', async () => {
  for (const { name, fault, joins, frame } of vectors.keys) {
    if (fault === 'base64') continue;
    const [body = '', signature = ''] = frame.slice('[KEY] '.length).split('.');
    const covered = H(fault === 'unasked' || !joins ? vectors.m1 : vectors.m1_joining, unb64(body));
    const isSigned = await verifyPss(router.keys.publicKey, 'router key', covered, unb64(signature));
    expect(isSigned, name).toBe(fault !== 'signature');
  }
});
