import { createPrivateKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  type Cipher,
  deriveKeys,
  H,
  type Hello,
  joinedBy,
  joinKeyOf,
  keyPairOf,
  Opener,
  openHello,
  type PendingHello,
  parseHello,
  readKey,
  Sealer,
  sharedSecret,
  verifyAuth,
  verifyHello,
} from '@centreond/protocol/channel';
import { describe, expect, test } from 'vitest';

interface Vectors {
  router_test_key_jwk: JsonWebKey;
  client_test_key_jwk: JsonWebKey;
  router_thumbprint: string;
  client_thumbprint: string;
  client_x25519_private_jwk: JsonWebKey;
  router_x25519_private_jwk: JsonWebKey;
  s1_hex: string;
  session_hex: string;
  now_ms: number;
  m1: string;
  H_body1_hex: string;
  by_cipher: Record<
    Cipher,
    {
      m2: string;
      th_hex: string;
      x25519_secret_hex: string;
      c2s_key_hex: string;
      c2s_iv_hex: string;
      s2c_key_hex: string;
      s2c_iv_hex: string;
      records: {
        name: string;
        direction: 1 | 2;
        epoch: number;
        seq: number;
        messages: string[];
        frame_hex: string;
      }[];
    }
  >;
}

const vectors: Vectors = JSON.parse(
  readFileSync(new URL(import.meta.resolve('@centreond/protocol/channel.json')), 'utf8'),
);
const pair = (jwk: JsonWebKey) =>
  keyPairOf(createPrivateKey({ key: jwk, format: 'jwk' }).export({ type: 'pkcs8', format: 'pem' }).toString());
const okp = (jwk: JsonWebKey): KeyObject => createPrivateKey({ key: jwk, format: 'jwk' });
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

const router = pair(vectors.router_test_key_jwk);
const client = pair(vectors.client_test_key_jwk);

describe('the frozen vectors', () => {
  test('name the keys by their thumbprints', () => {
    expect(router.thumbprint).toBe(vectors.router_thumbprint);
    expect(client.thumbprint).toBe(vectors.client_thumbprint);
  });

  test('their HELO parses, verifies and opens', async () => {
    const hello: Hello = parseHello(vectors.m1);
    expect(hex(H(hello.body))).toBe(vectors.H_body1_hex);
    expect(hello).toMatchObject({
      sid: router.thumbprint,
      cid: client.thumbprint,
      thumbprint: client.thumbprint,
    });
    expect(hello.ciphers).toEqual(['chacha20-poly1305', 'aes-256-gcm']);
    expect(hello.ts).toBe(vectors.now_ms);
    expect(await verifyHello(hello)).toBe(true);
    const { s1, identity } = await openHello(hello, router);
    expect(hex(s1)).toBe(vectors.s1_hex);
    expect(identity).toBe('poller-2');
  });

  test('of enrolment: both HMACs, and the keys of the whole frames', async () => {
    const {
      token = '',
      k_hex,
      m1 = '',
      m2 = '',
      ...joined
    } = JSON.parse(readFileSync(new URL(import.meta.resolve('@centreond/protocol/join.json')), 'utf8')) as Record<
      string,
      string
    >;
    const joinKey = joinKeyOf(token);
    expect(hex(joinKey)).toBe(k_hex);
    const hello = parseHello(m1);
    expect(joinedBy(hello, [joinKey], (key) => key)).toBe(joinKey);
    const { s1 } = await openHello(hello, router, joinKey);
    const pending: PendingHello = {
      frame: m1,
      keys: client,
      router: { key: router.publicKey, thumbprint: router.thumbprint },
      ciphers: hello.ciphers,
      x25519: okp(vectors.client_x25519_private_jwk),
      s1,
      joinKey,
    };
    const { th, cipher } = await readKey(pending, m2);
    expect([cipher, hex(th)]).toEqual(['aes-256-gcm', joined.th_hex]);
    const keys = deriveKeys(th, sharedSecret(okp(vectors.router_x25519_private_jwk), hello.x), s1);
    expect([keys.c2s.key, keys.c2s.iv, keys.s2c.key, keys.s2c.iv].map(hex)).toEqual([
      joined.c2s_key_hex,
      joined.c2s_iv_hex,
      joined.s2c_key_hex,
      joined.s2c_iv_hex,
    ]);
  });

  describe.each(['aes-256-gcm', 'chacha20-poly1305'] as const)('%s', (cipher) => {
    const v = vectors.by_cipher[cipher];
    const session = Buffer.from(vectors.session_hex, 'hex');
    const hello = parseHello(vectors.m1);
    const th = H(vectors.m1, v.m2);
    const secret = sharedSecret(okp(vectors.router_x25519_private_jwk), hello.x);
    const keys = deriveKeys(th, secret, Buffer.from(vectors.s1_hex, 'hex'));

    test('th and the four keys are the same bytes', () => {
      expect(hex(th)).toBe(v.th_hex);
      expect(hex(secret)).toBe(v.x25519_secret_hex);
      expect(hex(keys.c2s.key)).toBe(v.c2s_key_hex);
      expect(hex(keys.c2s.iv)).toBe(v.c2s_iv_hex);
      expect(hex(keys.s2c.key)).toBe(v.s2c_key_hex);
      expect(hex(keys.s2c.iv)).toBe(v.s2c_iv_hex);
    });

    test("the client reads the router's KEY, and both sides speak the frozen records", async () => {
      const pending: PendingHello = {
        frame: vectors.m1,
        keys: client,
        router: { key: router.publicKey, thumbprint: router.thumbprint },
        ciphers: hello.ciphers,
        x25519: okp(vectors.client_x25519_private_jwk),
        s1: Buffer.from(vectors.s1_hex, 'hex'),
      };
      // A limit of two records makes this sealer rekey where the vectors do.
      const read = await readKey(pending, v.m2, { records: 2 });
      expect(read.cipher).toBe(cipher);
      expect(hex(read.session)).toBe(vectors.session_hex);
      expect(await verifyAuth(th, client.publicKey, read.auth)).toBe(true);
      const sealers = {
        1: read.sealer,
        2: new Sealer(keys.s2c, cipher, 2, session),
      };
      const openers = {
        1: new Opener(keys.c2s, cipher, 1, session),
        2: read.opener,
      };
      for (const record of v.records) {
        expect(hex(sealers[record.direction].seal(record.messages)), record.name).toBe(record.frame_hex);
        const opened = openers[record.direction].open(Buffer.from(record.frame_hex, 'hex'), 8192);
        expect(opened.map(String), record.name).toEqual(record.messages);
      }
      expect(await verifyAuth(th, client.publicKey, String(v.records[0]?.messages[0]))).toBe(true);
    });
  });
});
