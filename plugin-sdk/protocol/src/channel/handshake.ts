import { isUtf8 } from 'node:buffer';
import {
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { failure } from '../errors.ts';
import { formatMessage, isIdentity, parseMessage } from '../frame.ts';
import type { Cipher } from './aead.ts';
import { clientJoinMac, isSameMac, routerJoinMac } from './join.ts';
import {
  b64,
  H,
  type KeyPair,
  openBox,
  type PublicKey,
  publicKeyOf,
  type Signer,
  sealBox,
  signAsClient,
  signPss,
  unb64,
  verifyPss,
} from './keys.ts';
import { CIPHERS, Opener, Sealer, type SealLimits, type TrafficKey } from './records.ts';

/** No frame before a verified AUTH is larger, in bytes. */
export const HANDSHAKE_LIMIT = 8192;
/** A HELO's time may be this far from the router's, in milliseconds. */
export const CLOCK_SKEW = 120_000;

const VERSION = 1;
const BOX_VERB = '[HELO] ';

/** The keys of a session, both directions. They stay in memory. */
export interface SessionKeys {
  readonly c2s: TrafficKey;
  readonly s2c: TrafficKey;
}

function broken(reason: string): Error {
  return failure('BROKEN_HANDSHAKE', { reason });
}

/** Expands a handshake's two secrets into the keys of its session. */
export function deriveKeys(th: Buffer, shared: Buffer, s1: Buffer): SessionKeys {
  const secret = Buffer.concat([shared, s1]);
  const expand = (name: string, length: number) =>
    new Uint8Array(hkdfSync('sha256', secret, th, `centreond/1 ${name}`, length));
  return {
    c2s: { key: expand('c2s key', 32), iv: expand('c2s iv', 12) },
    s2c: { key: expand('s2c key', 32), iv: expand('s2c iv', 12) },
  };
}

/** The X25519 secret of our private key and the peer's 32 public bytes. Throws BROKEN_HANDSHAKE when it is all zero. */
export function sharedSecret(privateKey: KeyObject, peer: Buffer): Buffer {
  let secret: Buffer;
  try {
    const publicKey = createPublicKey({
      key: { kty: 'OKP', crv: 'X25519', x: b64(peer) },
      format: 'jwk',
    });
    secret = diffieHellman({ privateKey, publicKey });
  } catch {
    throw broken("the peer's X25519 key cannot be used");
  }
  if (secret.every((byte) => byte === 0)) throw broken('the X25519 secret is all zero');
  return secret;
}

function rawPublic(x25519: KeyObject): string {
  const { x } = x25519.export({ format: 'jwk' });
  if (x === undefined) throw broken('the X25519 key has no public part');
  return x;
}

/** `b64` text of exactly `length` bytes, as bytes. */
function sized(value: unknown, length: number, name: string): Buffer {
  const bytes = unb64(value);
  if (bytes.length !== length) throw broken(`${name} has ${bytes.length} bytes and not ${length}`);
  return bytes;
}

interface Signed {
  text: string;
  body: Buffer;
  fields: Record<string, unknown>;
  sig: Buffer;
  mac: Buffer | undefined;
}

/** Takes `[VERB] body.sig` or `[VERB] body.sig.mac` apart. */
function parseSigned(verb: string, frame: string | Buffer): Signed {
  if (Buffer.byteLength(frame) > HANDSHAKE_LIMIT) throw broken(`the frame is larger than ${HANDSHAKE_LIMIT} bytes`);
  // One character per byte, so that foreign bytes stay visible to the base64url check.
  const text = typeof frame === 'string' ? frame : frame.toString('latin1');
  const start = `[${verb}] `;
  if (!text.startsWith(start)) throw broken(`the frame does not start with ${start}`);
  const [body64, sig64, mac64, ...more] = text.slice(start.length).split('.');
  if (more.length > 0) throw broken('the frame has too many parts');
  const body = unb64(body64);
  const sig = unb64(sig64);
  const mac = mac64 === undefined ? undefined : sized(mac64, 32, 'the third part');
  let fields: unknown;
  try {
    fields = isUtf8(body) ? JSON.parse(body.toString()) : undefined;
  } catch {
    fields = undefined;
  }
  if (typeof fields !== 'object' || fields === null) throw broken('its body is not a JSON object');
  return { text, body, fields: { ...fields }, sig, mac };
}

function signedFrame(verb: string, body: Buffer, sig: Buffer, mac: Buffer | undefined): string {
  return `[${verb}] ${b64(body)}.${b64(sig)}${mac ? `.${b64(mac)}` : ''}`;
}

function isCipher(value: unknown): value is Cipher {
  return CIPHERS.some((cipher) => cipher === value);
}

// ---------------------------------------------------------------- client

/** What a client keeps of its HELO until the KEY arrives. `frame` is M1. */
export interface PendingHello {
  readonly frame: string;
  readonly keys: KeyPair | Signer;
  readonly router: Pick<PublicKey, 'key' | 'thumbprint'>;
  readonly ciphers: readonly Cipher[];
  readonly x25519: KeyObject;
  readonly s1: Buffer;
  /** There when the HELO bears a join token's HMAC: then the KEY has to bear one, too. */
  readonly joinKey?: Buffer | undefined;
}

/** A client's side of a session. `auth` is the whole `[AUTH]` message and goes first, in the first record. */
export interface ClientSession {
  readonly cipher: Cipher;
  readonly sealer: Sealer;
  readonly opener: Opener;
  readonly auth: string;
  readonly session: Buffer;
  readonly th: Buffer;
}

/**
 * Makes a HELO for `router`, fresh in every part. `now` is in milliseconds. With `joinKey` (see {@link joinKeyOf}) it
 * asks to be enrolled. Throws BROKEN_HANDSHAKE when `identity` cannot be one.
 */
export async function createHello(options: {
  keys: KeyPair | Signer;
  router: Pick<PublicKey, 'key' | 'thumbprint'>;
  identity: string;
  ciphers?: readonly Cipher[] | undefined;
  now: number;
  joinKey?: Buffer | undefined;
}): Promise<PendingHello> {
  const { keys, router, identity, ciphers = CIPHERS, now, joinKey } = options;
  if (!isIdentity(identity)) throw broken(`${JSON.stringify(identity)} cannot be an identity`);
  if (ciphers.length === 0) throw broken('no record cipher is offered');
  const x25519 = generateKeyPairSync('x25519').privateKey;
  const s1 = randomBytes(32);
  const box = await sealBox(router.key, Buffer.concat([s1, Buffer.from(`${BOX_VERB}[${identity}]`)]));
  const body = Buffer.from(
    JSON.stringify({
      v: VERSION,
      ciphers,
      sid: router.thumbprint,
      cid: keys.thumbprint,
      jwk: keys.jwk,
      x: rawPublic(x25519),
      n: b64(randomBytes(32)),
      ts: now,
      box: b64(box),
    }),
  );
  const sig = await signAsClient(keys, 'client helo', H(body));
  const mac = joinKey && clientJoinMac(joinKey, body);
  return { frame: signedFrame('HELO', body, sig, mac), keys, router, ciphers, x25519, s1, joinKey };
}

/**
 * Checks the router's KEY against the HELO it answers and the pinned key, and makes the session. Throws
 * BROKEN_HANDSHAKE for anything wrong; nothing of the session exists then.
 */
export async function readKey(pending: PendingHello, m2: string | Buffer, limits?: SealLimits): Promise<ClientSession> {
  const { text, body, fields, sig, mac } = parseSigned('KEY', m2);
  const { joinKey } = pending;
  if (mac !== undefined && joinKey === undefined) throw broken('the router answers to a join token that was not used');
  if (joinKey !== undefined && !(mac && isSameMac(mac, routerJoinMac(joinKey, pending.frame, body))))
    throw broken('the router does not show that it knows the join token');
  if (!(await verifyPss(pending.router.key, 'router key', H(pending.frame, body), sig)))
    throw broken("the KEY is not signed by the router's pinned key, or not for this HELO");
  if (fields.v !== VERSION) throw broken('the router speaks another version');
  const { cipher } = fields;
  if (!isCipher(cipher) || !pending.ciphers.includes(cipher)) throw broken('the router chose a cipher not offered');
  const x = sized(fields.x, 32, 'x');
  sized(fields.n, 32, 'n');
  const session = sized(fields.session, 16, 'session');
  if (fields.cid !== pending.keys.thumbprint || fields.sid !== pending.router.thumbprint)
    throw broken('the KEY is for another pair of keys');
  const th = H(pending.frame, text);
  const { c2s, s2c } = deriveKeys(th, sharedSecret(pending.x25519, x), pending.s1);
  const s = b64(await signAsClient(pending.keys, 'client auth', th));
  return {
    cipher,
    sealer: new Sealer(c2s, cipher, 1, session, limits),
    opener: new Opener(s2c, cipher, 2, session),
    auth: formatMessage('AUTH', '', '', { s }),
    session,
    th,
  };
}

// ---------------------------------------------------------------- router

/** A HELO whose form is sound; nothing of it has been verified. `mac` is there when it bears a join token's HMAC. */
export interface Hello {
  readonly frame: string;
  readonly body: Buffer;
  readonly sig: Buffer;
  readonly mac: Buffer | undefined;
  readonly sid: string;
  readonly cid: string;
  /** The thumbprint of `key`; the router must find it equal to `cid`. */
  readonly thumbprint: string;
  readonly jwk: PublicKey['jwk'];
  /** Throws BROKEN_KEY if the system cannot use the key. */
  readonly key: KeyObject;
  /** Those offered that this version knows, in the client's order; never empty. */
  readonly ciphers: readonly Cipher[];
  readonly x: Buffer;
  readonly n: Buffer;
  readonly ts: number;
  readonly box: Buffer;
}

/** What a HELO's box held. */
export interface OpenedHello {
  readonly s1: Buffer;
  readonly identity: string;
  /** The join key whose HMAC the HELO bears. */
  readonly joinKey?: Buffer | undefined;
}

/** A router's side of a session. `frame` is M2. */
export interface RouterSession {
  readonly frame: string;
  readonly cipher: Cipher;
  readonly sealer: Sealer;
  readonly opener: Opener;
  readonly session: Buffer;
  readonly th: Buffer;
}

/**
 * Reads a HELO: size, form, every field present, canonical and of its length. Does no private-key operation and no
 * signature check; a few microseconds. Throws BROKEN_HANDSHAKE or BROKEN_KEY. The caller goes on in the protocol's
 * order: `sid`, `thumbprint` = `cid`, authorised (or joinedBy a token), `ts`, {@link verifyHello}, (`cid`, `n`) unseen,
 * rate, {@link openHello}, identity.
 */
export function parseHello(m1: string | Buffer): Hello {
  const { text, body, fields, sig, mac } = parseSigned('HELO', m1);
  if (fields.v !== VERSION) throw broken('it speaks another version');
  const { ciphers, ts } = fields;
  if (!Array.isArray(ciphers) || !ciphers.every((name) => typeof name === 'string'))
    throw broken('ciphers is not a list of names');
  const known = ciphers.filter(isCipher);
  if (known.length === 0) throw broken('it offers no cipher that is known here');
  if (typeof ts !== 'number' || !Number.isSafeInteger(ts) || ts < 0) throw broken('ts is not a time in milliseconds');
  const sid = b64(sized(fields.sid, 32, 'sid'));
  const cid = b64(sized(fields.cid, 32, 'cid'));
  const x = sized(fields.x, 32, 'x');
  const n = sized(fields.n, 32, 'n');
  const box = unb64(fields.box);
  const publicKey = publicKeyOf(fields.jwk);
  return {
    frame: text,
    body,
    sig,
    mac,
    sid,
    cid,
    thumbprint: publicKey.thumbprint,
    jwk: publicKey.jwk,
    get key() {
      return publicKey.key;
    },
    ciphers: known,
    x,
    n,
    ts,
    box,
  };
}

/** Whether the HELO is signed by the key it bears. Rejects with BROKEN_KEY if the system cannot use that key. */
export async function verifyHello(hello: Hello): Promise<boolean> {
  return verifyPss(hello.key, 'client helo', H(hello.body), hello.sig);
}

/**
 * Opens a HELO's box with the router's private key; only for a HELO that passed every check before it. Throws
 * BROKEN_HANDSHAKE, also for a HELO that bears an HMAC unless `joinKey` made it, and for one without where there is a
 * `joinKey`.
 */
export async function openHello(hello: Hello, routerKeys: KeyPair, joinKey?: Buffer): Promise<OpenedHello> {
  const { mac, body } = hello;
  const sound = joinKey && mac ? isSameMac(mac, clientJoinMac(joinKey, body)) : joinKey === mac;
  if (!sound) throw broken('its HMAC is not that of an open join token');
  const inside = await openBox(routerKeys.privateKey, hello.box);
  const text = inside.toString('latin1', 32);
  const identity = text.slice(BOX_VERB.length + 1, -1);
  if (text !== `${BOX_VERB}[${identity}]` || !isIdentity(identity))
    throw broken('the box does not hold [HELO] [HOSTNAME]');
  return { s1: inside.subarray(0, 32), identity, ...(joinKey && { joinKey }) };
}

/** Answers an opened HELO: makes the session and the KEY to send. Throws BROKEN_HANDSHAKE for a weak X25519 key. */
export async function answerHello(
  hello: Hello,
  opened: OpenedHello,
  routerKeys: KeyPair,
  cipher: Cipher,
  limits?: SealLimits,
): Promise<RouterSession> {
  const x25519 = generateKeyPairSync('x25519').privateKey;
  const shared = sharedSecret(x25519, hello.x);
  const session = randomBytes(16);
  const body = Buffer.from(
    JSON.stringify({
      v: VERSION,
      cipher,
      x: rawPublic(x25519),
      n: b64(randomBytes(32)),
      session: b64(session),
      cid: hello.cid,
      sid: routerKeys.thumbprint,
    }),
  );
  const sig = await signPss(routerKeys.privateKey, 'router key', H(hello.frame, body));
  const mac = opened.joinKey && routerJoinMac(opened.joinKey, hello.frame, body);
  const frame = signedFrame('KEY', body, sig, mac);
  const th = H(hello.frame, frame);
  const { c2s, s2c } = deriveKeys(th, shared, opened.s1);
  return {
    frame,
    cipher,
    sealer: new Sealer(s2c, cipher, 2, session, limits),
    opener: new Opener(c2s, cipher, 1, session),
    session,
    th,
  };
}

/** Whether `message` is `[AUTH] [] [] {"s"}` with the client's signature of this handshake. */
export async function verifyAuth(th: Buffer, clientKey: KeyObject, message: string | Buffer): Promise<boolean> {
  let sig: Buffer;
  try {
    const { action, token, target, data } = parseMessage(message.toString());
    if (action !== 'AUTH' || token !== '' || target !== '') return false;
    const fields: unknown = JSON.parse(data);
    if (typeof fields !== 'object' || fields === null || !('s' in fields)) return false;
    sig = unb64(fields.s);
  } catch {
    return false;
  }
  return verifyPss(clientKey, 'client auth', th, sig);
}
