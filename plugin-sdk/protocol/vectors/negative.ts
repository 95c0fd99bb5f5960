/** negative.json: what must be refused. Each vector is right in all but the one point that its name says. */
import { createCipheriv } from 'node:crypto';
import { b64, type Cipher, joinKeyOf, Sealer, type Start, type TrafficKey } from '@centreond/protocol/channel';
import {
  client,
  fixedAuth,
  fixedHello,
  fixedKey,
  fixedSecrets,
  type HelloPlan,
  hex,
  JOIN_TOKEN,
  type KeyPlan,
  NOW,
  router,
} from './fixed-handshake.ts';

const PLAN: HelloPlan = { seed: 'negative vectors', identity: 'ops' };
const JOIN_KEY = joinKeyOf(JOIN_TOKEN);
const OTHER_JOIN_KEY = joinKeyOf('another-token-of-the-same-router');
const LONG_RECORD = 8192;

const plain = fixedHello(PLAN);
const joining = fixedHello({ ...PLAN, joinKey: JOIN_KEY });
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** The same bytes with a bit set in the last character that counts for nothing. */
function strayBit(text: string): string {
  const last = ALPHABET.indexOf(text.at(-1) ?? '');
  const changed = text.slice(0, -1) + ALPHABET[last ^ 1];
  if (!Buffer.from(changed, 'base64url').equals(Buffer.from(text, 'base64url'))) throw new Error('every bit counts');
  return changed;
}

/** `bytes` with one bit of the byte `at` changed. */
function flipped(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes);
  const index = at < 0 ? changed.length + at : at;
  changed[index] = (changed[index] ?? 0) ^ 1;
  return changed;
}

function base64() {
  return [
    { name: 'padding', text: 'AQ==' },
    { name: 'a stray bit in the last character', text: 'AR' },
    { name: 'characters of base64 that base64url does not have', text: '+/+/' },
    { name: 'white space', text: 'AQID BAUG' },
    { name: 'a line feed at the end', text: 'AQID\n' },
    { name: 'a length that no bytes have', text: 'AQIDB' },
    { name: 'a foreign character', text: 'AQ*ID' },
  ];
}

function hellos() {
  const made = (name: string, step: string, change: Partial<HelloPlan>) => {
    return { name, step, frame: fixedHello({ ...PLAN, ...change }).frame };
  };
  const edited = (name: string, step: string, frame: string) => ({ name, step, frame });
  const [body64 = '', sig64 = ''] = plain.frame.slice('[HELO] '.length).split('.');
  const { jwk } = client.keys;
  const n = Buffer.from(jwk.n, 'base64url');
  const jwkOf = (change: object) => ({ fields: { jwk: { ...jwk, ...change } } });
  return [
    made('another version', 'form', { fields: { v: 2 } }),
    made('no known cipher', 'form', { fields: { ciphers: ['rot13'] } }),
    made('x of 31 bytes', 'form', { fields: { x: b64(Buffer.alloc(31, 9)) } }),
    made('n of 16 bytes', 'form', { fields: { n: b64(Buffer.alloc(16, 9)) } }),
    made('ts as text', 'form', { fields: { ts: String(NOW) } }),
    made('a non-canonical x', 'form', { fields: { x: strayBit(b64(Buffer.alloc(32, 9))) } }),
    edited('a body with padding', 'form', `[HELO] ${body64}=.${sig64}`),
    edited('a non-canonical signature', 'form', `[HELO] ${body64}.${strayBit(sig64)}`),
    edited('no signature', 'form', `[HELO] ${body64}`),
    edited('a fourth part', 'form', `[HELO] ${body64}.${sig64}.${b64(Buffer.alloc(32))}.AQ`),
    edited('an HMAC of 31 bytes', 'form', `[HELO] ${body64}.${sig64}.${b64(Buffer.alloc(31))}`),
    edited('more than 8 KiB', 'form', `[HELO] ${b64(Buffer.alloc(8192))}.${sig64}`),
    made('a modulus with a leading zero', 'key', jwkOf({ n: b64(Buffer.concat([Buffer.of(0), n])) })),
    made('an exponent that is not 65537', 'key', jwkOf({ e: 'Aw' })),
    made('a key of 1024 bits', 'key', jwkOf({ n: b64(n.subarray(0, 128)) })),
    made('a key that is not RSA', 'key', jwkOf({ kty: 'EC' })),
    made('meant for another router', 'sid', { fields: { sid: client.keys.thumbprint } }),
    made('cid of another key', 'cid', { fields: { cid: router.keys.thumbprint } }),
    made('120.001 s too old', 'ts', { fields: { ts: NOW - 120_001 } }),
    made('120.001 s too early', 'ts', { fields: { ts: NOW + 120_001 } }),
    made('signed by another key', 'signature', { signer: router.keys }),
    made('signed for another purpose', 'signature', { signLabel: 'client auth' }),
    made('a PSS salt of 20 bytes', 'signature', { salt: Buffer.alloc(20, 9) }),
    edited('a signature of other bytes', 'signature', `[HELO] ${body64}.${b64(flipped(plain.signature, 100))}`),
    made('a box with another label', 'box', { boxLabel: 'centreond/1 KEY' }),
    made('a box that names no identity', 'box', { boxText: '[HELO] []' }),
    made('a box that holds something else', 'box', { boxText: '[KEY] [ops]' }),
    made('an identity that cannot be one', 'box', { boxText: '[HELO] [..]' }),
    made('an identity that is not bound to this key', 'identity', { identity: 'other' }),
    made('the HMAC of a join token that is not open', 'join', { joinKey: OTHER_JOIN_KEY }),
    made('a wrong HMAC of an open join token', 'join', { mac: flipped(joining.mac ?? Buffer.alloc(0), 31) }),
  ];
}

function keys() {
  const made = (name: string, fault: string, change: Partial<KeyPlan>) => {
    return { name, fault, joins: false, frame: fixedKey(plain, { cipher: 'aes-256-gcm', ...change }).frame };
  };
  const joined = (name: string, change: Partial<KeyPlan>) => {
    const { frame } = fixedKey(joining, { cipher: 'aes-256-gcm', ...change });
    return { name, fault: 'join', joins: true, frame };
  };
  const good = fixedKey(plain, { cipher: 'aes-256-gcm' });
  const [body64 = '', sig64 = ''] = good.frame.slice('[KEY] '.length).split('.');
  const edited = (name: string, fault: string, frame: string) => ({ name, fault, joins: false, frame });
  const altered = Buffer.from(good.body.toString().replace('aes-256-gcm', 'chacha20-poly1305'));
  const withMac = fixedKey(joining, { cipher: 'aes-256-gcm' });
  const [, , otherMac = ''] = fixedKey(joining, { cipher: 'aes-256-gcm', joinKey: OTHER_JOIN_KEY }).frame.split('.');
  return [
    made('forged: signed by a key that is not pinned', 'signature', { signer: client.keys }),
    made('forged: an answer to another HELO', 'signature', { answering: joining.frame }),
    made('forged: signed for another purpose', 'signature', { signLabel: 'client helo' }),
    edited('forged: a body changed after it was signed', 'signature', `[KEY] ${b64(altered)}.${sig64}`),
    edited('forged: another signature', 'signature', `[KEY] ${body64}.${b64(flipped(good.signature, 9))}`),
    made('another version', 'version', { fields: { v: 2 } }),
    made('a cipher that nobody knows', 'cipher', { fields: { cipher: 'rot13' } }),
    made('the cid of another client', 'ids', { fields: { cid: router.keys.thumbprint } }),
    made('the sid of another router', 'ids', { fields: { sid: client.keys.thumbprint } }),
    made('a session of 15 bytes', 'length', { fields: { session: b64(Buffer.alloc(15, 9)) } }),
    made('x of 33 bytes', 'length', { fields: { x: b64(Buffer.alloc(33, 9)) } }),
    made('n of 31 bytes', 'length', { fields: { n: b64(Buffer.alloc(31, 9)) } }),
    made('an X25519 key that makes the secret zero', 'zero', { fields: { x: b64(Buffer.alloc(32)) } }),
    made('a non-canonical x', 'base64', { fields: { x: strayBit(b64(Buffer.alloc(32, 9))) } }),
    edited('a signature with padding', 'base64', `[KEY] ${body64}.${sig64}==`),
    edited('a non-canonical signature', 'base64', `[KEY] ${body64}.${strayBit(sig64)}`),
    edited('no signature', 'base64', `[KEY] ${body64}`),
    made('an HMAC though no token was used', 'unasked', { joinKey: JOIN_KEY }),
    joined('the HMAC of another join token', { joinKey: OTHER_JOIN_KEY }),
    joined('a wrong HMAC', { mac: flipped(withMac.mac ?? Buffer.alloc(0), 0) }),
    joined("the client's own HMAC sent back", { mac: joining.mac ?? Buffer.alloc(0) }),
    {
      ...joined('no HMAC though a token was used', {}),
      frame: withMac.frame.slice(0, withMac.frame.lastIndexOf('.')),
    },
    {
      ...joined('a signature and an HMAC of two answers', {}),
      frame: `${withMac.frame.slice(0, withMac.frame.lastIndexOf('.'))}.${otherMac}`,
    },
  ];
}

function auths() {
  const { th } = fixedSecrets(plain, fixedKey(plain, { cipher: 'aes-256-gcm' }));
  const { th: otherTh } = fixedSecrets(joining, fixedKey(joining, { cipher: 'aes-256-gcm' }));
  const { seed } = PLAN;
  const good = fixedAuth(seed, th);
  const s = b64(good.signature);
  return {
    th_hex: hex(th),
    right: good.message,
    wrong: [
      { name: 'the signature of another handshake', message: fixedAuth(seed, otherTh).message },
      { name: 'signed by another key', message: fixedAuth(seed, th, { signer: router.keys }).message },
      { name: 'signed for another purpose', message: fixedAuth(seed, th, { label: 'client helo' }).message },
      { name: 'a PSS salt of 20 bytes', message: fixedAuth(seed, th, { salt: Buffer.alloc(20, 9) }).message },
      { name: 'a non-canonical signature', message: `[AUTH] [] [] {"s":"${strayBit(s)}"}` },
      { name: 'a signature with padding', message: `[AUTH] [] [] {"s":"${s}=="}` },
      { name: 'a TOKEN', message: `[AUTH] [a] [] {"s":"${s}"}` },
      { name: 'a TARGET', message: `[AUTH] [] [a] {"s":"${s}"}` },
      { name: 'no signature', message: '[AUTH] [] [] {}' },
      { name: 'another verb', message: `[PING] [] [] {"s":"${s}"}` },
    ],
  };
}

function records(cipher: Cipher) {
  const key = fixedKey(plain, { cipher });
  const secrets = fixedSecrets(plain, key).keys;
  const otherCipher: Cipher = cipher === 'aes-256-gcm' ? 'chacha20-poly1305' : 'aes-256-gcm';
  const sealed = (messages: string[], start: Start, change: Change = {}) =>
    new Sealer(
      change.keys ?? secrets.s2c,
      change.cipher ?? cipher,
      change.direction ?? 2,
      change.session ?? key.session,
      {
        start,
        milliseconds: Number.POSITIVE_INFINITY,
      },
    ).seal(messages);
  interface Change {
    keys?: TrafficKey;
    cipher?: Cipher;
    direction?: 1 | 2;
    session?: Buffer;
  }
  const PING = ['[PONG] [a] [] {"code":0,"data":{}}'];
  const first = sealed(PING, { epoch: 0, seq: 0 });
  const second = sealed(PING, { epoch: 0, seq: 1 });
  // A sealer that may send one record with each key: its second record is the first of epoch 1.
  const rekeying = new Sealer(secrets.s2c, cipher, 2, key.session, {
    records: 1,
    milliseconds: Number.POSITIVE_INFINITY,
  });
  rekeying.seal(PING);
  const next = rekeying.seal(PING);
  const afterNext = rekeying.seal(PING);
  const header = (at: number, value: number) => {
    const changed = Buffer.from(first);
    changed[at] = value;
    return changed;
  };
  const vector = (name: string, fault: string, frame: Buffer, before: Buffer[] = []) => {
    return { name, fault, before_hex: before.map(hex), frame_hex: hex(frame) };
  };
  return {
    cipher,
    direction: 2,
    session_hex: hex(key.session),
    key_hex: hex(secrets.s2c.key),
    iv_hex: hex(secrets.s2c.iv),
    max_plaintext: LONG_RECORD,
    right_hex: [first, second, next].map(hex),
    wrong: [
      vector('a bad tag', 'tag', flipped(first, -1)),
      vector('a changed ciphertext', 'tag', flipped(first, 12)),
      vector(
        'sealed with the key of the other direction',
        'tag',
        sealed(PING, { epoch: 0, seq: 0 }, { keys: secrets.c2s }),
      ),
      vector('of another session', 'tag', sealed(PING, { epoch: 0, seq: 0 }, { session: Buffer.alloc(16, 9) })),
      vector('sealed with the other cipher', 'tag', sealed(PING, { epoch: 0, seq: 0 }, { cipher: otherCipher })),
      vector('the new epoch under the old keys', 'tag', sealed(PING, { epoch: 1, seq: 0 }), [first]),
      vector('a number changed to the next one', 'tag', header(11, 1), [first]),
      vector('a replay of the first record', 'replay', first, [first]),
      vector('a replay of the record before', 'replay', second, [first, second]),
      vector('a gap', 'gap', second),
      vector('a gap at the start of an epoch', 'gap', sealed(PING, { epoch: 1, seq: 1 }), [first]),
      vector('the old epoch after the new one', 'epoch', second, [first, next]),
      vector('an epoch left out', 'epoch', afterNext, [first]),
      vector('a number of 2^20', 'used up', header(9, 16), [first]),
      vector('another version', 'header', header(0, 2)),
      vector('the other direction', 'header', sealed(PING, { epoch: 0, seq: 0 }, { keys: secrets.c2s, direction: 1 })),
      vector('too short for a header and a tag', 'short', first.subarray(0, 27)),
      vector('longer than the receiver takes', 'long', sealed(['x'.repeat(LONG_RECORD)], { epoch: 0, seq: 0 })),
      ...batches(cipher, secrets.s2c, key.session).map(({ name, frame }) => vector(name, 'batch', frame)),
    ],
  };
}

/** Records whose tag is right and whose plaintext is not a list of messages. */
function batches(cipher: Cipher, keys: TrafficKey, session: Buffer): { name: string; frame: Buffer }[] {
  const header = Buffer.from('010200000000000000000000', 'hex');
  const seal = (plaintext: Buffer) => {
    // The type of node:crypto knows one shape for all ciphers with a tag.
    const sealer = createCipheriv(cipher as 'aes-256-gcm', keys.key, keys.iv, { authTagLength: 16 });
    sealer.setAAD(Buffer.concat([header, session]), { plaintextLength: plaintext.length });
    return Buffer.concat([header, sealer.update(plaintext), sealer.final(), sealer.getAuthTag()]);
  };
  return [
    { name: 'a message that is longer than its record', frame: seal(Buffer.from('00000005616263', 'hex')) },
    { name: 'a length of which a part is missing', frame: seal(Buffer.from('0000000161000000', 'hex')) },
    { name: 'a byte after the last message', frame: seal(Buffer.from('000000016161', 'hex')) },
  ];
}

function messages() {
  const deep = (levels: number) => `{"a":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`;
  return [
    { name: 'an empty ACTION', text: '[] [t] [] {}' },
    { name: 'an ACTION in small letters', text: '[ping] [t] [] {}' },
    { name: 'an ACTION of 65 characters', text: `[${'A'.repeat(65)}] [t] [] {}` },
    { name: 'a TOKEN with a space', text: '[PING] [a b] [] {}' },
    { name: 'a TOKEN of 256 characters', text: `[PING] [${'t'.repeat(256)}] [] {}` },
    { name: 'a TARGET with a colon', text: '[PING] [t] [a:b] {}' },
    { name: 'no TARGET', text: '[PING] [t] {}' },
    { name: 'two spaces', text: '[PING]  [t] [] {}' },
    { name: 'no space before DATA', text: '[PING] [t] []{}' },
    { name: 'a list as DATA', text: '[PING] [t] [] []' },
    { name: 'DATA that is not JSON', text: "[PING] [t] [] {'a':1}" },
    { name: 'a key __proto__', text: '[PING] [t] [] {"a":{"__proto__":1}}' },
    { name: '33 levels of DATA', text: `[PING] [t] [] ${deep(33)}` },
  ];
}

/** All vectors. The same on every call. */
export function negative() {
  return {
    note: 'What an implementation of PROTOCOL.md must refuse. Written by `npm run docs`. Each vector is right in all but the point that its name says. Keys are those of transcript.json. hellos: what a router refuses, `step` is the check that must fail, in the order of the protocol; the key is authorised as `identity`, the join token is open, and the time is now_ms. keys: what the client that sent m1 (m1_joining where `joins`) refuses. records: frames of before_hex open in this order, then frame_hex must not, and the session ends. messages: refused with MALFORMED_FRAME; the session goes on.',
    now_ms: NOW,
    identity: PLAN.identity,
    join_token: JOIN_TOKEN,
    s1_hex: hex(plain.s1),
    x25519_private_hex: hex(plain.x25519),
    m1: plain.frame,
    m1_joining: joining.frame,
    m2: fixedKey(plain, { cipher: 'aes-256-gcm' }).frame,
    m2_joining: fixedKey(joining, { cipher: 'aes-256-gcm' }).frame,
    base64: base64(),
    hellos: hellos(),
    keys: keys(),
    auth: auths(),
    records: [records('chacha20-poly1305'), records('aes-256-gcm')],
    messages: messages(),
  };
}
