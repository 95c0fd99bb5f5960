import { createHash, createHmac } from 'node:crypto';
import { type Client, type ConnectOptions, connect } from '@centreond/client';
import {
  answerHello,
  createHello,
  HANDSHAKE_LIMIT,
  isSameMac,
  joinedBy,
  joinKeyOf,
  openHello,
  parseHello,
  readKey,
  unb64,
  verifyAuth,
  verifyHello,
} from '@centreond/protocol/channel';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { newKeys, TestRouter, until } from './test-router.ts';

const routerKeys = newKeys();
const keys = newKeys();
const TOKEN = 'Q1dPykjToeSXT2ZjYjLhXCGKwpA8CXX9';
const K = joinKeyOf(TOKEN);
const OTHER = joinKeyOf('another-token-of-the-same-router');
const router = { key: routerKeys.publicKey, thumbprint: routerKeys.thumbprint };

const hello = (joinKey?: Buffer) =>
  createHello({ keys, router, identity: 'paris-1', now: 1_790_000_000_000, ...(joinKey && { joinKey }) });
const partsOf = (frame: string) => frame.slice(frame.indexOf(' ') + 1).split('.');
const broken = (reason: string) => ({ code: 'BROKEN_HANDSHAKE', message: expect.stringContaining(reason) });

/** What PROTOCOL.md says, computed once more. */
function sha256(...parts: (string | Uint8Array)[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}
function u32(value: number): Buffer {
  return Buffer.from([value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]);
}
const k = sha256(Buffer.from('centreond/1 join', 'ascii'), Buffer.of(0), Buffer.from(TOKEN, 'ascii'));
function hmac(label: string, bytes: Uint8Array): string {
  const keyed = createHmac('sha256', k);
  keyed.update(Buffer.concat([Buffer.from(label, 'ascii'), Buffer.of(0), bytes]));
  return keyed.digest('base64url');
}

async function handshake() {
  const pending = await hello(K);
  const parsed = parseHello(pending.frame);
  const answer = await answerHello(parsed, await openHello(parsed, routerKeys, K), routerKeys, 'aes-256-gcm');
  return { pending, parsed, answer };
}

test('K is the digest of the label, a zero byte and the token', () => {
  expect(K).toEqual(k);
  for (const token of ['', 'two words', 'é', 'a\n', 'x'.repeat(256)]) {
    expect(() => joinKeyOf(token)).toThrow(expect.objectContaining(broken('join token')));
  }
});

test('M1 and M2 bear the HMACs of the protocol, and the session covers the whole frames', async () => {
  const { pending, parsed, answer } = await handshake();
  const [body1, sig1, mac1, ...none1] = partsOf(pending.frame);
  expect(none1).toEqual([]);
  expect(mac1).toBe(hmac('centreond/1 join client', unb64(body1)));
  expect(await verifyHello(parsed)).toBe(true);
  expect(parsed.mac).toEqual(unb64(mac1));

  const [body2, sig2, mac2, ...none2] = partsOf(answer.frame);
  expect(none2).toEqual([]);
  const m1 = Buffer.from(`[HELO] ${body1}.${sig1}.${mac1}`, 'ascii');
  const body = unb64(body2);
  expect(mac2).toBe(hmac('centreond/1 join router', sha256(u32(m1.length), m1, u32(body.length), body)));

  const mine = await readKey(pending, answer.frame);
  const m2 = Buffer.from(`[KEY] ${body2}.${sig2}.${mac2}`, 'ascii');
  expect(mine.th).toEqual(sha256(u32(m1.length), m1, u32(m2.length), m2));
  expect(answer.th).toEqual(mine.th);
  const [auth] = answer.opener.open(mine.sealer.seal([mine.auth]), HANDSHAKE_LIMIT);
  expect(await verifyAuth(answer.th, parsed.key, auth ?? '')).toBe(true);
});

test('without a token the frames have two parts, as ever', async () => {
  const pending = await hello();
  const parsed = parseHello(pending.frame);
  const answer = await answerHello(parsed, await openHello(parsed, routerKeys), routerKeys, 'aes-256-gcm');
  expect([partsOf(pending.frame).length, partsOf(answer.frame).length]).toEqual([2, 2]);
  expect((await readKey(pending, answer.frame)).th).toEqual(answer.th);
});

describe('a client that joins refuses a KEY', () => {
  test('without an HMAC, though the pinned key signed it', async () => {
    const { pending, answer } = await handshake();
    const [body, sig] = partsOf(answer.frame);
    await expect(readKey(pending, `[KEY] ${body}.${sig}`)).rejects.toMatchObject(broken('knows the join token'));
  });

  test('with the HMAC of another token, of another HELO, or its own one', async () => {
    const { pending, parsed, answer } = await handshake();
    const [body, sig, mac = ''] = partsOf(answer.frame);
    const opened = await openHello(parsed, routerKeys, K);
    const foreign = await answerHello(parsed, { ...opened, joinKey: OTHER }, routerKeys, 'aes-256-gcm');
    const [, , earlier] = partsOf((await handshake()).answer.frame);
    const flipped = Buffer.from(unb64(mac).map((byte, i) => (i === 31 ? byte ^ 1 : byte))).toString('base64url');
    for (const frame of [
      foreign.frame,
      `[KEY] ${body}.${sig}.${earlier}`,
      `[KEY] ${body}.${sig}.${partsOf(pending.frame)[2]}`,
      `[KEY] ${body}.${sig}.${flipped}`,
    ]) {
      await expect(readKey(pending, frame)).rejects.toMatchObject(broken('knows the join token'));
    }
    await expect(readKey(pending, `[KEY] ${body}.${sig}.${mac.slice(0, -3)}`)).rejects.toMatchObject(broken('third'));
    await expect(readKey(pending, `[KEY] ${body}.${sig}.${mac}.`)).rejects.toMatchObject(broken('parts'));
    expect((await readKey(pending, answer.frame)).th).toEqual(answer.th);
  });

  test('with a sound HMAC that another key signed', async () => {
    const { pending, parsed } = await handshake();
    const stranger = newKeys();
    const opened = await openHello(parsed, routerKeys, K);
    const { frame } = await answerHello(parsed, opened, stranger, 'aes-256-gcm');
    await expect(readKey(pending, frame)).rejects.toMatchObject(broken('pinned key'));
  });
});

test('a client that does not join refuses a KEY with an HMAC', async () => {
  const pending = await hello();
  const parsed = parseHello(pending.frame);
  const opened = await openHello(parsed, routerKeys);
  const { frame } = await answerHello(parsed, { ...opened, joinKey: K }, routerKeys, 'aes-256-gcm');
  await expect(readKey(pending, frame)).rejects.toMatchObject(broken('not used'));
});

test('a router finds the token of a HELO among all that are open, and opens no box without it', async () => {
  const parsed = parseHello((await hello(K)).frame);
  const open = Array.from({ length: 100 }, (_, i) => ({ id: i, key: i === 41 ? K : joinKeyOf(`token-${i}`) }));
  expect(joinedBy(parsed, open, ({ key }) => key)?.id).toBe(41);
  const without = open.filter(({ id }) => id !== 41);
  expect(joinedBy(parsed, without, ({ key }) => key)).toBeUndefined();
  expect(joinedBy(parseHello((await hello()).frame), open, ({ key }) => key)).toBeUndefined();
  await expect(openHello(parsed, routerKeys)).rejects.toMatchObject(broken('open join token'));
  await expect(openHello(parsed, routerKeys, OTHER)).rejects.toMatchObject(broken('open join token'));
  await expect(openHello(parseHello((await hello()).frame), routerKeys, K)).rejects.toMatchObject(broken('open join'));
});

describe('the client with a join token', () => {
  let server: TestRouter;
  const clients: Client[] = [];
  beforeEach(async () => {
    server = await new TestRouter(routerKeys).bind();
    server.joinKey = K;
    server.admitted = new Set();
  });
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()));
    server.close();
  });
  async function paris(options: Partial<ConnectOptions> = {}): Promise<Client> {
    const where = { address: server.endpoint, identity: 'paris-1', key: keys, router: routerKeys.thumbprint };
    const client = await connect({ ...where, join: TOKEN, ...options });
    clients.push(client);
    return client;
  }
  /** How many parts each HELO had: three with the token. */
  const greetings = () =>
    server.frames.flat().flatMap((text) => (text.startsWith('[HELO]') ? partsOf(text).length : []));

  test('is enrolled, and is known by its key from then on', async () => {
    const client = await paris({ timing: { ping: 50 } });
    expect(server.admitted).toEqual(new Set([keys.thumbprint]));
    server.forget();
    await until('a new session', () => greetings().length === 2 && client.connected);
    expect(greetings()).toEqual([3, 2]);
    expect((await client.ping()).id).toBe('central');
  });

  test('comes in by its key where the token was used by an attempt whose answer was lost', async () => {
    let drop = true;
    server.outgoing = (frame) => {
      if (!drop || typeof frame === 'string') return frame;
      drop = false;
      return undefined;
    };
    const client = await paris({ timing: { attempt: 300 } });
    expect(client.connected).toBe(true);
    expect(greetings()).toEqual([3, 2]);
  });

  test('is told at once where the token lets it in no more, nor its key', async () => {
    server.joinKey = OTHER;
    await expect(paris({ timeoutMs: 60_000 })).rejects.toMatchObject({ code: 'HANDSHAKE_REFUSED' });
    expect(greetings()).toEqual([3, 2]);
  });

  test('pins at first use only who shows that it knows the token', async () => {
    const pinned: string[] = [];
    const firstUse = { router: 'first-use', onPinned: (fingerprint: string) => pinned.push(fingerprint) };
    // It lets in everybody who signs well, but cannot make the HMAC.
    const stranger = await new TestRouter().bind();
    stranger.joinKey = K;
    stranger.outgoing = (frame) => (String(frame).startsWith('[KEY]') ? String(frame).replace(/\.[^.]+$/, '') : frame);
    await expect(paris({ ...firstUse, address: stranger.endpoint, timeoutMs: 500 })).rejects.toMatchObject({
      code: 'NOT_CONNECTED',
      message: expect.stringContaining('knows the join token'),
    });
    const helos = stranger.frames.flat().filter((text) => text.startsWith('[HELO]'));
    expect(new Set(helos.map((text) => partsOf(text).length))).toEqual(new Set([3]));
    expect(pinned).toEqual([]);
    stranger.close();
    const client = await paris(firstUse);
    expect(client.routerFingerprint).toBe(routerKeys.thumbprint);
    expect(pinned).toEqual([routerKeys.thumbprint]);
  });

  test('refuses what cannot be a token before it connects', async () => {
    await expect(paris({ join: 'two words' })).rejects.toMatchObject({ code: 'BROKEN_HANDSHAKE' });
    expect(server.frames).toEqual([]);
  });
});

test('HMACs of different lengths are not the same', () => {
  const mac = Buffer.alloc(32, 7);
  expect([mac, Buffer.from(mac), mac.subarray(1), Buffer.alloc(0)].map((one) => isSameMac(one, mac))).toEqual([
    true,
    true,
    false,
    false,
  ]);
});
