import {
  constants,
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign,
  subtle,
  verify,
  type webcrypto,
} from 'node:crypto';
import { failure, reasonOf } from '../errors.ts';

/** The public half of an RSA key, as it travels: exactly the members that its thumbprint covers. */
export interface PublicJwk {
  e: 'AQAB';
  kty: 'RSA';
  n: string;
}

/** An RSA public key that passed every check of the protocol. `thumbprint` is RFC 7638, base64url. */
export interface PublicKey {
  /** Throws BROKEN_KEY if the key came as a JWK that the system cannot use. */
  readonly key: KeyObject;
  readonly jwk: PublicJwk;
  readonly thumbprint: string;
}

/** A peer's own RSA key. Read it once and keep it: making the key objects is what costs. */
export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly jwk: PublicJwk;
  readonly thumbprint: string;
}

/** What a client signs in a handshake. */
export const CLIENT_LABELS = ['client helo', 'client auth'] as const;
export type ClientLabel = (typeof CLIENT_LABELS)[number];

/** A client's key that somebody else keeps: it signs, and is never seen. */
export interface Signer {
  readonly jwk: PublicJwk;
  readonly thumbprint: string;
  /** `PSS(key, label, h)`; `h` has 32 bytes. */
  sign(label: ClientLabel, h: Buffer): Promise<Buffer>;
}

/** The client's part of a handshake that its key has to do. */
export function signAsClient(keys: KeyPair | Signer, label: ClientLabel, h: Buffer): Promise<Buffer> {
  return 'sign' in keys ? keys.sign(label, h) : signPss(keys.privateKey, label, h);
}

const MIN_BITS = 2048;
const MAX_BITS = 8192;
const OAEP = { name: 'RSA-OAEP', hash: 'SHA-256' };
const BOX = { name: 'RSA-OAEP', label: Buffer.from('centreond/1 HELO') };
const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };

/** base64url without padding. */
export function b64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}

/** The bytes of canonical base64url without padding. Throws BROKEN_HANDSHAKE for anything else. */
export function unb64(text: unknown): Buffer {
  if (typeof text !== 'string')
    throw failure('BROKEN_HANDSHAKE', {
      reason: 'a base64url text is missing',
    });
  const bytes = Buffer.from(text, 'base64url');
  // The decoder skips foreign characters, padding and stray bits; only what encodes back to itself is canonical.
  if (bytes.toString('base64url') !== text)
    throw failure('BROKEN_HANDSHAKE', {
      reason: 'a text is not canonical base64url without padding',
    });
  return bytes;
}

/** SHA-256 over a 4-byte big-endian length and the bytes of each item; strings count as UTF-8. */
export function H(...items: (Uint8Array | string)[]): Buffer {
  const hash = createHash('sha256');
  const length = Buffer.allocUnsafe(4);
  for (const item of items) {
    length.writeUInt32BE(typeof item === 'string' ? Buffer.byteLength(item) : item.byteLength);
    hash.update(length).update(item);
  }
  return hash.digest();
}

function checkBits(bits: number): void {
  if (bits >= MIN_BITS && bits <= MAX_BITS) return;
  throw failure('BROKEN_KEY', { reason: `it has ${bits} bits; ${MIN_BITS} to ${MAX_BITS} are allowed` });
}

/** RFC 7638 hashes exactly this text: the members in this order, nothing between. */
function thumbprintOf(n: string): string {
  return createHash('sha256').update(`{"e":"AQAB","kty":"RSA","n":"${n}"}`).digest('base64url');
}

function soundKey(key: KeyObject): PublicKey {
  if (key.asymmetricKeyType !== 'rsa') throw failure('BROKEN_KEY', { reason: 'it is not an RSA key' });
  checkBits(key.asymmetricKeyDetails?.modulusLength ?? 0);
  if (key.asymmetricKeyDetails?.publicExponent !== 65537n)
    throw failure('BROKEN_KEY', { reason: 'its exponent is not 65537' });
  const { n } = key.export({ format: 'jwk' });
  if (n === undefined) throw failure('BROKEN_KEY', { reason: 'it has no modulus' });
  return { key, jwk: { e: 'AQAB', kty: 'RSA', n }, thumbprint: thumbprintOf(n) };
}

/** The key pair in a PEM text (PKCS#8 or PKCS#1, not encrypted): RSA, 2048 to 8192 bits, e = 65537. Throws BROKEN_KEY. */
export function keyPairOf(pem: string): KeyPair {
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(pem);
  } catch (error) {
    throw failure('BROKEN_KEY', {
      reason: `it is not a PEM text of a private key (${reasonOf(error)})`,
    });
  }
  const { key, jwk, thumbprint } = soundKey(createPublicKey(privateKey));
  return { privateKey, publicKey: key, jwk, thumbprint };
}

/**
 * The key of a peer's JWK. Throws BROKEN_KEY unless it is RSA with e = "AQAB", 2048 to 8192 bits, and `n` in canonical
 * base64url of minimal length. Members besides `e`, `kty` and `n` are ignored.
 */
export function publicKeyOf(jwk: unknown): PublicKey {
  if (typeof jwk !== 'object' || jwk === null) throw failure('BROKEN_KEY', { reason: 'it is not a JWK' });
  const { e, kty, n } = jwk as { e?: unknown; kty?: unknown; n?: unknown };
  if (kty !== 'RSA' || e !== 'AQAB')
    throw failure('BROKEN_KEY', {
      reason: 'it is not an RSA key with e "AQAB"',
    });
  let modulus: Buffer;
  try {
    modulus = unb64(n);
  } catch {
    throw failure('BROKEN_KEY', { reason: 'its n is not canonical base64url' });
  }
  if (modulus.length === 0 || modulus[0] === 0)
    throw failure('BROKEN_KEY', { reason: 'its n is not of minimal length' });
  checkBits(8 * modulus.length - Math.clz32(modulus[0] as number) + 24);
  return new JwkKey({ e, kty, n: b64(modulus) });
}

/** The key of a JWK. Its key object is made once it is needed: that costs more than every other check of a HELO. */
class JwkKey implements PublicKey {
  readonly thumbprint: string;
  #key: KeyObject | undefined;

  constructor(readonly jwk: PublicJwk) {
    this.thumbprint = thumbprintOf(jwk.n);
  }

  get key(): KeyObject {
    try {
      this.#key ??= createPublicKey({ key: { ...this.jwk }, format: 'jwk' });
    } catch (error) {
      throw failure('BROKEN_KEY', { reason: reasonOf(error) });
    }
    return this.#key;
  }
}

/** The key of a `[PUBKEY]` answer's SubjectPublicKeyInfo. Throws BROKEN_KEY. */
export function publicKeyFromSpki(der: Buffer): PublicKey {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: der, format: 'der', type: 'spki' });
  } catch (error) {
    throw failure('BROKEN_KEY', {
      reason: `it is not a SubjectPublicKeyInfo (${reasonOf(error)})`,
    });
  }
  return soundKey(key);
}

function labelled(label: string, h: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`centreond/1 ${label}\0`), h]);
}

/** `PSS(key, label, h)` of the protocol, off the event loop. */
export function signPss(key: KeyObject, label: string, h: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    sign('sha256', labelled(label, h), { key, ...PSS }, (error, signature) =>
      error ? reject(error) : resolve(signature),
    );
  });
}

/** Whether `signature` is `PSS(key, label, h)`, checked off the event loop. What cannot be checked is false. */
export function verifyPss(key: KeyObject, label: string, h: Buffer, signature: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    // An error here is a modulus or a signature that OpenSSL cannot compute with: the peer's bytes, not our fault.
    verify('sha256', labelled(label, h), { key, ...PSS }, signature, (error, good) => resolve(!error && good));
  });
}

/** Seals a HELO's box under the router's key: RSA-OAEP, SHA-256, label `centreond/1 HELO`. */
export async function sealBox(key: KeyObject, plaintext: Buffer): Promise<Buffer> {
  return Buffer.from(await subtle.encrypt(BOX, key.toCryptoKey(OAEP, false, ['encrypt']), plaintext));
}

/** Keys that open boxes, by the keys that they are copies of. */
const openers = new WeakMap<KeyObject, webcrypto.CryptoKey>();

/** Node locks a key while it is in use, and the event loop waits for that lock: a copy does not wait for signatures. */
function openerOf(key: KeyObject): webcrypto.CryptoKey {
  let opener = openers.get(key);
  if (!opener) {
    const der = key.export({ type: 'pkcs8', format: 'der' });
    opener = createPrivateKey({ key: der, type: 'pkcs8', format: 'der' }).toCryptoKey(OAEP, false, ['decrypt']);
    openers.set(key, opener);
  }
  return opener;
}

/** Opens a HELO's box off the event loop. Throws BROKEN_HANDSHAKE. */
export async function openBox(key: KeyObject, box: Buffer): Promise<Buffer> {
  try {
    return Buffer.from(await subtle.decrypt(BOX, openerOf(key), box));
  } catch {
    throw failure('BROKEN_HANDSHAKE', {
      reason: "the box does not open under this router's key",
    });
  }
}
