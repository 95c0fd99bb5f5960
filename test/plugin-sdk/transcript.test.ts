import { createDecipheriv, createHash, createPrivateKey, createPublicKey, verify } from 'node:crypto';
import { parseData, parseMessage, parseReply } from '@centreond/protocol';
import {
  b64,
  type Cipher,
  deriveKeys,
  H,
  HANDSHAKE_LIMIT,
  joinKeyOf,
  keyPairOf,
  Opener,
  openHello,
  type PendingHello,
  parseHello,
  publicKeyFromSpki,
  publicKeyOf,
  readKey,
  sharedSecret,
  unb64,
  verifyAuth,
  verifyHello,
} from '@centreond/protocol/channel';
import { describe, expect, test } from 'vitest';
import { x25519Of } from '../../plugin-sdk/protocol/vectors/fixed-handshake.ts';
import { vectorsOf } from './vectors.ts';

interface TranscriptRecord {
  what: string;
  from: 'client' | 'router';
  direction: 1 | 2;
  epoch: number;
  seq: number;
  messages: string[];
  plaintext_hex: string;
  key_hex: string;
  iv_hex: string;
  nonce_hex: string;
  aad_hex: string;
  frame_hex: string;
}

interface Session {
  name: string;
  cipher: Cipher;
  identity: string;
  join_token?: string;
  join_key_hex?: string;
  hello: Record<string, string> & { m1: string; body: string };
  key: Record<string, string> & { m2: string; body: string };
  secrets: Record<string, string>;
  auth: Record<string, string> & { message: string };
  records: TranscriptRecord[];
}

interface Transcript {
  router: { private_key_pem: string; jwk: object; thumbprint: string };
  client: { private_key_pem: string; jwk: object; thumbprint: string };
  in_clear: { answer: string; spki_hex: string };
  sessions: Session[];
}

const transcript = vectorsOf<Transcript>('transcript.json');
const router = keyPairOf(transcript.router.private_key_pem);
const client = keyPairOf(transcript.client.private_key_pem);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const unhex = (text = '') => Buffer.from(text, 'hex');

test('the keys of the transcript have the thumbprints and the SPKI that it tells', () => {
  expect([router.thumbprint, client.thumbprint]).toEqual([transcript.router.thumbprint, transcript.client.thumbprint]);
  expect(publicKeyOf(transcript.client.jwk).thumbprint).toBe(client.thumbprint);
  const der = unhex(transcript.in_clear.spki_hex);
  expect(transcript.in_clear.answer).toBe(`[PUBKEY] [${b64(der)}]`);
  expect(publicKeyFromSpki(der).thumbprint).toBe(router.thumbprint);
});

test('the transcript has a session of each cipher, records both ways, and new keys on both sides', () => {
  expect(transcript.sessions.map(({ cipher }) => cipher)).toEqual([
    'chacha20-poly1305',
    'aes-256-gcm',
    'chacha20-poly1305',
  ]);
  for (const { records } of transcript.sessions.slice(0, 2)) {
    const epochs = (from: string) => new Set(records.filter((one) => one.from === from).map(({ epoch }) => epoch));
    expect(epochs('client')).toEqual(new Set([0, 1, 2]));
    expect(epochs('router')).toEqual(new Set([0, 1]));
  }
});

describe.each(transcript.sessions)('the session $name', (session) => {
  const { cipher, identity, hello, key, secrets, auth, records } = session;
  const joinKey = session.join_token === undefined ? undefined : joinKeyOf(session.join_token);
  const parsed = parseHello(hello.m1);
  const th = H(hello.m1, key.m2);
  const s1 = unhex(hello.s1_hex);

  test('has a HELO that the router takes, made of the parts that it tells', async () => {
    expect(parsed.body.toString()).toBe(hello.body);
    expect(hex(H(parsed.body))).toBe(hello.H_body_hex);
    expect(hex(parsed.sig)).toBe(hello.signature_hex);
    expect(await verifyHello(parsed)).toBe(true);
    const opened = await openHello(parsed, router, joinKey);
    expect([opened.identity, hex(opened.s1)]).toEqual([identity, hello.s1_hex]);
    expect(hello.box_plaintext_hex).toBe(hello.s1_hex + hex(Buffer.from(`[HELO] [${identity}]`)));
    expect(b64(parsed.x)).toBe(createPublicKey(x25519Of(unhex(hello.x25519_private_hex))).export({ format: 'jwk' }).x);
    expect(joinKey && hex(joinKey)).toBe(session.join_key_hex);
    expect(parsed.mac && hex(parsed.mac)).toBe(hello.join_mac_hex);
  });

  test('signs what it says that it signs, with the salt that it tells', () => {
    const signed = [
      [client.publicKey, hello],
      [router.publicKey, key],
      [client.publicKey, auth],
    ] as const;
    for (const [publicKey, { signed_hex, signature_hex, pss_salt_hex }] of signed) {
      const pss = { key: publicKey, padding: 6, saltLength: 32 };
      expect(verify('sha256', unhex(signed_hex), pss, unhex(signature_hex))).toBe(true);
      // The salt is no input of a check. It stands in the hash at the end of the encoded message.
      const encoded = rawPublic(publicKey.export({ format: 'jwk' }), unhex(signature_hex));
      const digest = createHash('sha256').update(unhex(signed_hex)).digest();
      const inner = createHash('sha256').update(Buffer.alloc(8)).update(digest).update(unhex(pss_salt_hex)).digest();
      expect(hex(encoded.subarray(-33, -1))).toBe(hex(inner));
    }
  });

  test('has a KEY that the client takes, and the secrets that both derive', async () => {
    const read = await readKey(pendingOf(session), key.m2);
    expect([read.cipher, hex(read.session), hex(read.th)]).toEqual([cipher, key.session_hex, secrets.th_hex]);
    expect(hex(H(hello.m1, Buffer.from(key.body)))).toBe(key.H_m1_body_hex);
    const shared = sharedSecret(x25519Of(unhex(key.x25519_private_hex)), parsed.x);
    expect(hex(shared)).toBe(secrets.x25519_secret_hex);
    expect(hex(shared) + hello.s1_hex).toBe(secrets.ikm_hex);
    const { c2s, s2c } = deriveKeys(th, shared, s1);
    expect([c2s.key, c2s.iv, s2c.key, s2c.iv].map(hex)).toEqual([
      secrets.c2s_key_hex,
      secrets.c2s_iv_hex,
      secrets.s2c_key_hex,
      secrets.s2c_iv_hex,
    ]);
    const [, , mac] = key.m2.split('.');
    expect(mac && hex(unb64(mac))).toBe(key.join_mac_hex);
    expect(await verifyAuth(th, client.publicKey, auth.message)).toBe(true);
    expect(records[0]?.messages[0]).toBe(auth.message);
  });

  test('has records that the real channel opens one by one', async () => {
    const shared = sharedSecret(x25519Of(unhex(key.x25519_private_hex)), parsed.x);
    const openers = {
      client: new Opener(deriveKeys(th, shared, s1).c2s, cipher, 1, unhex(key.session_hex)),
      router: (await readKey(pendingOf(session), key.m2)).opener,
    };
    for (const [i, record] of records.entries()) {
      const frame = unhex(record.frame_hex);
      const opened = openers[record.from].open(frame, i === 0 ? HANDSHAKE_LIMIT : 65_536);
      expect(opened.map(String), record.what).toEqual(record.messages);
      expect([frame[1], frame.readUInt16BE(2), Number(frame.readBigUInt64BE(4))], record.what).toEqual([
        record.direction,
        record.epoch,
        record.seq,
      ]);
    }
  });

  test('tells the key, nonce and AAD of each record rightly', () => {
    for (const { what, key_hex, nonce_hex, iv_hex, seq, aad_hex, frame_hex, plaintext_hex } of records) {
      const frame = unhex(frame_hex);
      // The type of node:crypto knows one shape for all ciphers with a tag.
      const opener = createDecipheriv(cipher as 'aes-256-gcm', unhex(key_hex), unhex(nonce_hex), { authTagLength: 16 });
      opener.setAAD(unhex(aad_hex), { plaintextLength: frame.length - 28 });
      opener.setAuthTag(frame.subarray(-16));
      expect(hex(Buffer.concat([opener.update(frame.subarray(12, -16)), opener.final()])), what).toBe(plaintext_hex);
      expect(aad_hex).toBe(frame_hex.slice(0, 24) + key.session_hex);
      expect(BigInt(`0x${iv_hex}`) ^ BigInt(`0x${nonce_hex}`)).toBe(BigInt(seq));
    }
  });

  test('has messages of the form that their side sends', () => {
    for (const { from, messages } of records) {
      for (const text of messages) {
        const { data } = from === 'client' ? parseMessage(text) : parseReply(text);
        expect(parseData(data)).toBeTypeOf('object');
      }
    }
  });
});

function pendingOf({ hello, join_token }: Session): PendingHello {
  return {
    frame: hello.m1,
    keys: client,
    router: { key: router.publicKey, thumbprint: router.thumbprint },
    ciphers: parseHello(hello.m1).ciphers,
    x25519: x25519Of(unhex(hello.x25519_private_hex)),
    s1: unhex(hello.s1_hex),
    joinKey: join_token === undefined ? undefined : joinKeyOf(join_token),
  };
}

/** signature^e mod n. */
function rawPublic({ n = '', e = '' }: { n?: string; e?: string }, signature: Buffer): Buffer {
  const number = (bytes: Buffer) => BigInt(`0x${hex(bytes)}`);
  const modulus = number(Buffer.from(n, 'base64url'));
  let base = number(signature);
  let result = 1n;
  for (let exponent = number(Buffer.from(e, 'base64url')); exponent > 0n; exponent >>= 1n) {
    if (exponent & 1n) result = (result * base) % modulus;
    base = (base * base) % modulus;
  }
  return unhex(result.toString(16).padStart(signature.length * 2, '0'));
}

test('a private key of the transcript is a PEM that any library reads', () => {
  expect(createPrivateKey(transcript.client.private_key_pem).asymmetricKeyType).toBe('rsa');
});
