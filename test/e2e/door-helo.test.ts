import { constants, createPublicKey, randomBytes, sign } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { DaemonProcess } from '../daemon-process.ts';
import {
  b64,
  Client,
  H,
  hello,
  Key,
  nonCanonical,
  oaep,
  type Plan,
  pss,
  type RouterKey,
  routerKey,
  thumbprintOf,
  type Who,
  Wire,
  whoOf,
} from './second-implementation.ts';

const daemon = new DaemonProcess();
const after: { close(): Promise<void> }[] = [];
const lasting: { close(): Promise<void> }[] = [];
/** Ordinary clients, each good for six handshakes at once. */
const crowd: Who[] = [];
let alice: Who;
let mallory: Who;
/** Made no handshake before the flood. */
let bob: Who;
let router: RouterKey;
let otherRouter: RouterKey;
let live: Client;
let hostile: Wire;
let refusal: string;
const weak = { small: Key.generate(1024), three: Key.generate(2048, 3) };
/** A key whose `n` is written with a leading zero byte. */
let padded: Key;

/** The same key pair, its public part written otherwise. */
function writtenAs(key: Key, change: (jwk: Key['jwk']) => Key['jwk']): Key {
  const jwk = change(key.jwk);
  return { secret: key.secret, jwk, thumbprint: thumbprintOf(jwk) };
}

beforeAll(async () => {
  alice = whoOf(daemon.client('alice'));
  mallory = whoOf(daemon.client('mallory'));
  bob = whoOf(daemon.client('bob'));
  for (const [i, key] of (await Key.crowd(10)).entries()) {
    const identity = `client-${i}`;
    crowd.push({ identity, key });
    daemon.clients.push({ identity, fingerprint: key.thumbprint, roles: ['client'] });
  }
  const { key } = mallory;
  padded = writtenAs(key, ({ n, ...jwk }) => ({ ...jwk, n: b64(Buffer.concat([Buffer.of(0), unb(n)])) }));
  for (const [identity, { thumbprint }] of Object.entries({ ...weak, padded })) {
    daemon.clients.push({ identity, fingerprint: thumbprint, roles: ['client'] });
  }
  await daemon.start();
  router = await routerKey(daemon);
  const stranger = Key.generate();
  otherRouter = { key: createPublicKey(stranger.secret), thumbprint: stranger.thumbprint };
  live = await Client.connect(daemon, alice);
  hostile = new Wire(daemon.endpoint);
  refusal = await hostile.ask('[HELO] x');
  lasting.push(live, hostile);
});
afterEach(async () => {
  for (const one of after.splice(0)) await one.close();
  // Whatever happened, the sessions that lived before it live on and were told nothing.
  expect((await live.ping()).code).toBe(0);
  expect(live.heard.filter(({ clear, verb }) => clear || verb === 'BYE')).toEqual([]);
});
afterAll(async () => {
  for (const one of lasting) await one.close();
  await daemon.dispose();
});

function unb(text: string): Buffer {
  return Buffer.from(text, 'base64url');
}

let turn = 0;
function anybody(): Who {
  return crowd[turn++ % crowd.length] as Who;
}

async function session(): Promise<Client> {
  const client = await Client.connect(daemon, anybody());
  after.push(client);
  return client;
}

describe('a HELO is refused, always in the same words,', () => {
  test('which name the key, the identity and the clock', () => {
    expect(refusal).toMatch(/^\[ACK\] \[\] \{"code":1,"data":\{"error":"HANDSHAKE_REFUSED","message":".*"\}\}$/);
    for (const word of ['key', 'identity', 'clock']) expect(refusal).toContain(word);
  });

  // Each differs from this one in a single point.
  test('unless it is sound', async () => {
    const one = new Wire(daemon.endpoint);
    after.push(one);
    for (const who of crowd.slice(0, 2)) expect(await one.ask(hello({ ...who, router }).frame)).toMatch(/^\[KEY\] /);
    const jwk = { ...mallory.key.jwk, kid: 'mine', alg: 'PS256' };
    expect(await one.ask(hello({ ...mallory, router, fields: { jwk } }).frame)).toMatch(/^\[KEY\] /);
    const late = hello({ ...mallory, router, now: Date.now() - 115_000 });
    expect(await one.ask(late.frame)).toMatch(/^\[KEY\] /);
  });

  const point = (hex: string) => b64(Buffer.from(hex.padEnd(64, '0'), 'hex'));
  const fields = (change: (plan: Plan) => Record<string, unknown>) => (plan: Plan) => ({ fields: change(plan) });
  const frames = (change: (frame: string) => string) => (plan: Plan) => change(hello(plan).frame);
  const cases: Record<string, (plan: Plan) => Partial<Plan> | string> = {
    // who it is
    "with another's key and fingerprint, and its own signature": () => ({
      key: alice.key,
      identity: 'alice',
      signature: (body) => pss(mallory.key.secret, 'client helo', H(body)),
    }),
    "with its own key under another's fingerprint": () => ({
      identity: 'alice',
      fields: { cid: alice.key.thumbprint },
    }),
    'with the identity of another in its box': () => ({ boxText: '[HELO] [alice]' }),
    'with an identity that nobody has': () => ({ boxText: '[HELO] [nobody]' }),
    'by an unknown key': ({ identity }) => ({ key: weakless, identity }),
    'by a key of 1024 bits': () => ({ key: weak.small, identity: 'small' }),
    'by a key with the exponent 3': () => ({ key: weak.three, identity: 'three' }),
    'by a key whose n is not of minimal length': () => ({ key: padded, identity: 'padded' }),
    // Under the fingerprint of the same key, written as it must be.
    'whose n begins with a zero': fields(({ key }) => ({
      jwk: { ...key.jwk, n: b64(Buffer.concat([Buffer.of(0), unb(key.jwk.n)])) },
    })),
    'whose n is not canonical': fields(({ key }) => ({ jwk: { ...key.jwk, n: nonCanonical(key.jwk.n) } })),
    'whose n is no number': fields(({ key }) => ({ jwk: { ...key.jwk, n: 'AA' } })),
    'whose e is written longer': fields(({ key }) => ({ jwk: { ...key.jwk, e: 'AAEAAQ' } })),
    'whose key is of another kind': fields(({ key }) => ({ jwk: { ...key.jwk, kty: 'EC' } })),
    'whose key is not there': fields(() => ({ jwk: undefined })),
    'whose key is a text': fields(({ key }) => ({ jwk: JSON.stringify(key.jwk) })),
    // the signature
    'signed over the frame in base64url': ({ key }) => ({
      signature: (body) => pss(key.secret, 'client helo', H(b64(body))),
    }),
    'signed under another label': ({ key }) => ({ signature: (body) => pss(key.secret, 'client auth', H(body)) }),
    'signed with a salt of no bytes': ({ key }) => ({
      signature: (body) => pss(key.secret, 'client helo', H(body), 0),
    }),
    'signed with a salt of 20 bytes': ({ key }) => ({
      signature: (body) => pss(key.secret, 'client helo', H(body), 20),
    }),
    'signed with PKCS#1 1.5': ({ key }) => ({
      signature: (body) =>
        sign('sha256', Buffer.concat([Buffer.from('centreond/1 client helo\0'), H(body)]), {
          key: key.secret,
          padding: constants.RSA_PKCS1_PADDING,
        }),
    }),
    'with an empty signature': frames((frame) => frame.slice(0, frame.indexOf('.') + 1)),
    'with a signature of zeros': () => ({ signature: () => Buffer.alloc(256) }),
    // for whom, and when
    'for another router': fields(() => ({ sid: otherRouter.thumbprint })),
    'for no router': fields(() => ({ sid: undefined })),
    'that is older than 120 s': () => ({ now: Date.now() - 121_500 }),
    'that is from more than 120 s ahead': () => ({ now: Date.now() + 125_000 }),
    'whose time is a text': fields(() => ({ ts: String(Date.now()) })),
    'whose time is no number': fields(() => ({ ts: null })),
    'whose time is left out': fields(() => ({ ts: undefined })),
    // forms
    'of version 2': fields(() => ({ v: 2 })),
    'whose version is a text': fields(() => ({ v: '1' })),
    'that offers no cipher': () => ({ ciphers: [] }),
    'that offers unknown ciphers only': () => ({ ciphers: ['aes-128-gcm', 'AES-256-GCM', 'none', ''] }),
    'whose ciphers are a text': fields(() => ({ ciphers: 'aes-256-gcm' })),
    'whose ciphers are left out': fields(() => ({ ciphers: undefined })),
    'with a nonce of 31 bytes': fields(() => ({ n: b64(randomBytes(31)) })),
    'with a nonce of 33 bytes': fields(() => ({ n: b64(randomBytes(33)) })),
    'with a nonce that is not canonical': fields(() => ({ n: nonCanonical(b64(randomBytes(32))) })),
    'with padding on its nonce': fields(() => ({ n: `${b64(randomBytes(32))}=` })),
    'with an X25519 key of 31 bytes': fields(() => ({ x: b64(randomBytes(31)) })),
    'with an X25519 key of 33 bytes': fields(() => ({ x: b64(randomBytes(33)) })),
    'with an X25519 key that is not canonical': fields(() => ({ x: nonCanonical(b64(randomBytes(32))) })),
    'with the X25519 key 0': fields(() => ({ x: point('00') })),
    'with the X25519 key 1': fields(() => ({ x: point('01') })),
    'with an X25519 key of order 8': fields(() => ({
      x: point('e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800'),
    })),
    'with the X25519 key p': fields(() => ({ x: point(`ed${'ff'.repeat(30)}7f`) })),
    // the box
    "under another router's key": () => ({
      box: (s1, text) => oaep(otherRouter.key, Buffer.concat([s1, Buffer.from(text)])),
    }),
    'whose box has another label': ({ router: { key } }) => ({
      box: (s1, text) => oaep(key, Buffer.concat([s1, Buffer.from(text)]), 'centreond/1 AUTH'),
    }),
    'whose box is made with SHA-1': ({ router: { key } }) => ({
      box: (s1, text) => oaep(key, Buffer.concat([s1, Buffer.from(text)]), 'centreond/1 HELO', 'sha1'),
    }),
    'whose box holds 31 secret bytes': () => ({ s1: randomBytes(31) }),
    'whose box holds 33 secret bytes': () => ({ s1: randomBytes(33) }),
    'whose box holds a bare identity': ({ identity }) => ({ boxText: identity }),
    'whose box ends in a space': ({ identity }) => ({ boxText: `[HELO] [${identity}] ` }),
    'whose box ends in a zero': ({ identity }) => ({ boxText: `[HELO] [${identity}]\0` }),
    'whose box holds another verb': ({ identity }) => ({ boxText: `[AUTH] [${identity}]` }),
    'whose box is cut': ({ router: { key } }) => ({
      box: (s1, text) => oaep(key, Buffer.concat([s1, Buffer.from(text)])).subarray(0, 255),
    }),
    'whose box ends in a line end': ({ router: { key }, identity }) => ({
      fields: { box: `${b64(oaep(key, Buffer.from(`${'s'.repeat(32)}[HELO] [${identity}]`)))}\n` },
    }),
    // the frame
    'with padding on its body': frames((frame) => frame.replace('.', '=.')),
    'with padding on its signature': frames((frame) => `${frame}==`),
    'whose signature is not canonical': frames((frame) => {
      const at = frame.indexOf('.') + 1;
      return frame.slice(0, at) + nonCanonical(frame.slice(at));
    }),
    'with a line end': frames((frame) => `${frame}\n`),
    'with two spaces': frames((frame) => frame.replace(' ', '  ')),
    'with a part too many': frames((frame) => `${frame}.`),
    'with two parts too many': frames((frame) => `${frame}.${b64(randomBytes(32))}.${b64(randomBytes(32))}`),
    'with the proof of a join token that nobody made': frames((frame) => `${frame}.${b64(randomBytes(32))}`),
    'without a signature': frames((frame) => frame.slice(0, frame.indexOf('.'))),
    'in base64 of the other alphabet': frames((frame) => frame.replaceAll('-', '+').replaceAll('_', '/')),
    'whose body is a list': () => ({ bytesOf: (body) => Buffer.from(JSON.stringify([body])) }),
    'whose body is null': () => ({ bytesOf: () => Buffer.from('null') }),
    'whose body is no JSON': () => ({ bytesOf: (body) => Buffer.from(`${JSON.stringify(body)} x`) }),
    'whose body is no UTF-8': () => ({
      bytesOf: (body) =>
        Buffer.concat([Buffer.from(JSON.stringify(body).replace(/\}$/, ',"y":"')), Buffer.from('ff227d', 'hex')]),
    }),
    'of more than 8 KiB': () => ({ fields: { more: 'x'.repeat(5200) } }),
  };
  const weakless = Key.generate();

  test.each(Object.entries(cases))('%s', async (_, tamper) => {
    const plan: Plan = { ...anybody(), router };
    const made = tamper(plan);
    const frame = typeof made === 'string' ? made : hello({ ...plan, ...made }).frame;
    expect(await hostile.ask(frame)).toBe(refusal);
  });

  test('of more than 8 KiB, and not where it has just 8 KiB', async () => {
    const who = anybody();
    const plan = { ...who, router };
    // A byte of body is 4/3 of a character.
    const size = (more: number) => hello({ ...plan, fields: { more: 'x'.repeat(more) } });
    const lengths = [0, 1, 2].map((i) => 8192 - size(0).frame.length - i).map((room) => Math.floor((room * 3) / 4));
    const largest = size(Math.max(...lengths));
    expect(largest.frame.length).toBeLessThanOrEqual(8192);
    expect(largest.frame.length).toBeGreaterThan(8186);
    expect(await hostile.ask(largest.frame)).toMatch(/^\[KEY\] /);
  });

  test('when it comes a second time: on its connection, on another, and beside the session that it began', async () => {
    const who = anybody();
    const wire = new Wire(daemon.endpoint);
    after.push(wire);
    const m1 = hello({ ...who, router });
    expect(await wire.ask(m1.frame)).toMatch(/^\[KEY\] /);
    expect(await wire.ask(m1.frame)).toBe(refusal);
    expect(await hostile.ask(m1.frame)).toBe(refusal);
    const third = new Wire(daemon.endpoint, { routingId: 'replayer' });
    after.push(third);
    for (let i = 0; i < 8; i++) expect(await third.ask(m1.frame)).toBe(refusal);
    // A replay of it does not keep its owner out.
    expect(await wire.ask(hello({ ...who, router }).frame)).toMatch(/^\[KEY\] /);
  });

  test('when its key has begun six within a second', async () => {
    const wire = new Wire(daemon.endpoint);
    after.push(wire);
    const started = Date.now();
    let begun = 0;
    for (let i = 0; i < 12; i++) begun += (await wire.ask(hello({ ...alice, router }).frame)) === refusal ? 0 : 1;
    expect(begun).toBeGreaterThanOrEqual(5);
    expect(begun).toBeLessThanOrEqual(6 + Math.ceil((Date.now() - started) / 1000));
  });
});

test('a flood of handshakes is answered within its bounds, and those who live go on', async () => {
  const wires = Array.from({ length: 8 }, () => new Wire(daemon.endpoint));
  after.push(...wires);
  const strangers = [Key.generate(), Key.generate()];
  const noise = strangers.map((key) => hello({ key, identity: 'x', router }).frame);
  const forged = hello({ ...bob, router, signature: () => randomBytes(256) }).frame;
  const started = Date.now();
  let answers = 0;
  for (const wire of wires) wire.listener = () => answers++;
  let slowest = 0;
  for (let round = 0; round < 30; round++) {
    for (const wire of wires)
      for (const frame of [...noise, forged, '[HELO] a.b', '[GETPUBKEY]']) void wire.send(frame);
    const asked = Date.now();
    expect((await live.ping()).code).toBe(0);
    slowest = Math.max(slowest, Date.now() - asked);
  }
  // All that was sent has been read when each connection has had an answer to its last word.
  await Promise.all(wires.map((wire) => wire.send(Buffer.of(1))));
  await live.ping();
  const seconds = (Date.now() - started) / 1000;
  expect(slowest).toBeLessThan(2000);
  // 100 and 20 a second of refusals, the same of public keys, and a NOSESSION a second for each connection.
  expect(answers).toBeLessThanOrEqual(200 + 40 * (seconds + 1) + 8 * (seconds + 1));
  const newcomer = await session();
  expect((await newcomer.ping()).code).toBe(0);
  // Nor do forged HELOs keep out the one whose key they name.
  after.push(await Client.begin(daemon, bob));
});
