import { generateKeyPairSync } from 'node:crypto';
import {
  H,
  keyPairOf,
  openBox,
  publicKeyFromSpki,
  publicKeyOf,
  sealBox,
  signAsClient,
} from '@centreond/protocol/channel';
import { describe, expect, test } from 'vitest';
import { newKeys } from './test-router.ts';

const { jwk, privateKey, publicKey } = newKeys();
const rsa = (modulusLength: number, publicExponent = 65537) =>
  generateKeyPairSync('rsa', { modulusLength, publicExponent }).publicKey.export({ format: 'der', type: 'spki' });

describe('a key that is refused says why', () => {
  test.each<[string, unknown]>([
    ['it is not a JWK', null],
    ['it is not a JWK', 'x'],
    ['it is not an RSA key with e "AQAB"', { ...jwk, e: 'Aw' }],
    ['its n is not canonical base64url', { ...jwk, n: 'x=' }],
    ['its n is not of minimal length', { ...jwk, n: '' }],
    ['its n is not of minimal length', { ...jwk, n: `AA${jwk.n}` }],
    ['it has 8 bits; 2048 to 8192 are allowed', { ...jwk, n: '_w' }],
  ])('%s, as a JWK', (reason, value) => {
    expect(() => publicKeyOf(value)).toThrow(reason);
  });

  test('as SubjectPublicKeyInfo and as PEM', () => {
    const ed25519 = generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' });
    expect(() => publicKeyFromSpki(ed25519)).toThrow('it is not an RSA key');
    expect(() => publicKeyFromSpki(rsa(1024))).toThrow('it has 1024 bits');
    expect(() => publicKeyFromSpki(rsa(2048, 3))).toThrow('its exponent is not 65537');
    expect(() => publicKeyFromSpki(Buffer.from('x'))).toThrow('it is not a SubjectPublicKeyInfo (');
    expect(() => keyPairOf('x')).toThrow('it is not a PEM text of a private key (');
  });

  test('and so does a box that does not open', async () => {
    await expect(openBox(privateKey, Buffer.alloc(256))).rejects.toThrow("does not open under this router's key");
  });
});

test('boxes open side by side, and after one that does not', async () => {
  const boxes = await Promise.all(['a', 'b', 'c'].map((text) => sealBox(publicKey, Buffer.from(text))));
  await expect(openBox(privateKey, Buffer.alloc(256))).rejects.toThrow();
  const opened = await Promise.all(boxes.map((box) => openBox(privateKey, box)));
  expect(opened.map(String)).toEqual(['a', 'b', 'c']);
});

test('H counts the bytes of a text, not its characters', () => {
  expect(H('€', 'a')).toEqual(H(Buffer.from('€'), Buffer.from('a')));
});

test('a client whose key somebody else keeps has that one sign', async () => {
  const { thumbprint } = newKeys();
  const signer = { jwk, thumbprint, sign: async (label: string, h: Buffer) => Buffer.concat([Buffer.from(label), h]) };
  expect(String(await signAsClient(signer, 'client auth', Buffer.from('!')))).toBe('client auth!');
});
