/**
 * RSA-PSS and RSA-OAEP of RFC 8017 with a given salt or seed, so that the vectors come out the same every time and their
 * readers can check each byte. For vectors only: a salt or seed that is known protects nothing.
 */
import { constants, createHash, type KeyObject, privateEncrypt, publicEncrypt } from 'node:crypto';

const HASH = 32;

function sha256(...parts: Uint8Array[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

function mgf1(seed: Buffer, length: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / HASH) }, (_, i) => sha256(seed, Buffer.of(0, 0, 0, i)));
  return Buffer.concat(blocks).subarray(0, length);
}

function xor(a: Buffer, b: Buffer): Buffer {
  return Buffer.from(a.map((byte, i) => byte ^ (b[i] ?? 0)));
}

function bytesOf(key: KeyObject): number {
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (bits === 0 || bits % 8 !== 0) throw new Error(`a key of ${bits} bits cannot make vectors`);
  return bits / 8;
}

/** RSASSA-PSS with SHA-256 over `text`, with this salt. */
export function signWithSalt(key: KeyObject, text: Buffer, salt: Buffer): Buffer {
  const length = bytesOf(key);
  const h = sha256(Buffer.alloc(8), sha256(text), salt);
  const db = Buffer.concat([Buffer.alloc(length - salt.length - HASH - 2), Buffer.of(1), salt]);
  const masked = xor(db, mgf1(h, db.length));
  masked[0] = (masked[0] ?? 0) & 0x7f;
  const encoded = Buffer.concat([masked, h, Buffer.of(0xbc)]);
  return privateEncrypt({ key, padding: constants.RSA_NO_PADDING }, encoded);
}

/** RSAES-OAEP with SHA-256 and `label`, with this seed of 32 bytes. */
export function sealWithSeed(key: KeyObject, plaintext: Buffer, label: string, seed: Buffer): Buffer {
  const length = bytesOf(key);
  const zeros = Buffer.alloc(length - plaintext.length - 2 * HASH - 2);
  const db = Buffer.concat([sha256(Buffer.from(label)), zeros, Buffer.of(1), plaintext]);
  const maskedDb = xor(db, mgf1(seed, db.length));
  const maskedSeed = xor(seed, mgf1(maskedDb, HASH));
  return publicEncrypt({ key, padding: constants.RSA_NO_PADDING }, Buffer.concat([Buffer.of(0), maskedSeed, maskedDb]));
}
