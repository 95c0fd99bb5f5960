import { constants, createHash, createPrivateKey, createPublicKey, type JsonWebKey, privateDecrypt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  BOTH,
  b64,
  type Cipher,
  checkPss,
  H,
  joinMac,
  Key,
  openRecord,
  readKey,
  unb64,
  unpack,
} from './second-implementation.ts';

interface Vectors {
  router_test_key_jwk: JsonWebKey;
  client_test_key_jwk: JsonWebKey;
  router_thumbprint: string;
  client_thumbprint: string;
  client_x25519_private_jwk: JsonWebKey;
  s1_hex: string;
  session_hex: string;
  now_ms: number;
  m1: string;
  H_body1_hex: string;
  by_cipher: Record<
    Cipher,
    Record<
      'm2' | 'th_hex' | 'x25519_secret_hex' | 'c2s_key_hex' | 'c2s_iv_hex' | 's2c_key_hex' | 's2c_iv_hex',
      string
    > & {
      records: { name: string; direction: 1 | 2; epoch: number; seq: number; messages: string[]; frame_hex: string }[];
    }
  >;
}

const vectors = JSON.parse(
  readFileSync(new URL('../../plugin-sdk/protocol/channel.json', import.meta.url), 'utf8'),
) as Vectors;
const routerSecret = createPrivateKey({ key: vectors.router_test_key_jwk, format: 'jwk' });
const router = { key: createPublicKey(routerSecret), thumbprint: vectors.router_thumbprint };
const client = Key.ofJwk(vectors.client_test_key_jwk);
const joined = JSON.parse(
  readFileSync(new URL('../../plugin-sdk/protocol/join.json', import.meta.url), 'utf8'),
) as Record<string, string>;
const [, m1Body = '', m1Signature = ''] = /^\[HELO\] (.*)\.(.*)$/.exec(vectors.m1) ?? [];

describe('the second implementation meets the frozen vectors', () => {
  test('in thumbprints, M1, its signature and its box', () => {
    expect(client.thumbprint).toBe(vectors.client_thumbprint);
    expect(Key.ofJwk(vectors.router_test_key_jwk).thumbprint).toBe(vectors.router_thumbprint);
    const body = unb64(m1Body);
    expect(H(body).toString('hex')).toBe(vectors.H_body1_hex);
    expect(checkPss(createPublicKey(client.secret), 'client helo', H(body), unb64(m1Signature))).toBe(true);
    const fields = JSON.parse(body.toString('utf8')) as Record<string, unknown>;
    expect(fields).toMatchObject({ v: 1, sid: router.thumbprint, cid: client.thumbprint, ts: vectors.now_ms });
    expect(fields.jwk).toEqual(client.jwk);
    expect(fields.x).toBe(vectors.client_x25519_private_jwk.x);
    const box = privateDecrypt(
      {
        key: routerSecret,
        padding: constants.RSA_PKCS1_OAEP_PADDING,
        oaepHash: 'sha256',
        oaepLabel: Buffer.from('centreond/1 HELO'),
      },
      unb64(fields.box),
    );
    expect(box.subarray(0, 32).toString('hex')).toBe(vectors.s1_hex);
    expect(box.subarray(32).toString('ascii')).toMatch(/^\[HELO\] \[[A-Za-z0-9._-]+\]$/);
  });

  test('in a handshake that enrols', () => {
    const { token = '', k_hex, m1 = '', m2 = '', th_hex } = joined;
    const zero = Buffer.of(0);
    expect(createHash('sha256').update('centreond/1 join').update(zero).update(token).digest('hex')).toBe(k_hex);
    const body = unb64(m1Body);
    expect(m1).toBe(`${vectors.m1}.${b64(joinMac(token, 'join client', body))}`);
    const hello = {
      frame: m1,
      body,
      s1: Buffer.from(vectors.s1_hex, 'hex'),
      x: createPrivateKey({ key: vectors.client_x25519_private_jwk, format: 'jwk' }),
      plan: { key: client, identity: '', router, token },
    };
    const { th, c2s, s2c } = readKey(hello, m2);
    expect(th.toString('hex')).toBe(th_hex);
    for (const [name, half] of Object.entries({ c2s, s2c })) {
      expect(half.key.toString('hex')).toBe(joined[`${name}_key_hex`]);
      expect(half.iv.toString('hex')).toBe(joined[`${name}_iv_hex`]);
    }
    expect(() => readKey({ ...hello, plan: { ...hello.plan, token: `${token}x` } }, m2)).toThrow('join token');
  });

  test.each(BOTH)('in M2, keys and records, byte for byte, with %s', (cipher) => {
    const of = vectors.by_cipher[cipher];
    const handshake = readKey(
      {
        frame: vectors.m1,
        body: unb64(m1Body),
        s1: Buffer.from(vectors.s1_hex, 'hex'),
        x: createPrivateKey({ key: vectors.client_x25519_private_jwk, format: 'jwk' }),
        plan: { key: client, identity: '', router },
      },
      of.m2,
    );
    const { c2s, s2c } = handshake;
    expect(handshake.cipher).toBe(cipher);
    expect(handshake.th.toString('hex')).toBe(of.th_hex);
    expect(handshake.session.toString('hex')).toBe(vectors.session_hex);
    expect(handshake.secret.toString('hex')).toBe(of.x25519_secret_hex);
    expect([c2s.key, c2s.iv, s2c.key, s2c.iv].map((bytes) => bytes.toString('hex'))).toEqual([
      of.c2s_key_hex,
      of.c2s_iv_hex,
      of.s2c_key_hex,
      of.s2c_iv_hex,
    ]);
    for (const { direction, epoch, seq, messages, frame_hex } of of.records) {
      const half = direction === 1 ? c2s : s2c;
      if (epoch > half.epoch) half.rekey();
      expect([half.epoch, half.seq]).toEqual([epoch, BigInt(seq)]);
      const opened = openRecord(half.parts(), Buffer.from(frame_hex, 'hex'));
      expect(unpack(opened).map((message) => message.toString('utf8'))).toEqual(messages);
      expect(half.seal(...messages).toString('hex')).toBe(frame_hex);
    }
    const sent = of.records[0]?.messages[0] ?? '';
    const { s } = JSON.parse(sent.slice('[AUTH] [] [] '.length)) as { s: string };
    expect(checkPss(createPublicKey(client.secret), 'client auth', handshake.th, unb64(s))).toBe(true);
  });
});
