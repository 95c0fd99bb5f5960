import { randomBytes } from 'node:crypto';
import sodium from 'libsodium-wrappers';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

const key = randomBytes(32);
const nonce = randomBytes(12);
const aad = randomBytes(28);
const TAG = 16;
const SMALL = 16 * 1024;

beforeEach(async () => {
  await sodium.ready;
  vi.resetModules();
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** The AEADs of a process that has used none yet, and how often libsodium sealed and opened. */
async function fresh() {
  const { Aead, loadSodium } = await import('../../plugin-sdk/protocol/dist/channel/aead.js');
  const seals = vi.spyOn(sodium, 'crypto_aead_chacha20poly1305_ietf_encrypt');
  const opens = vi.spyOn(sodium, 'crypto_aead_chacha20poly1305_ietf_decrypt');
  const seal = (cipher: 'aes-256-gcm' | 'chacha20-poly1305', size: number): Buffer => {
    const text = Buffer.alloc(size + TAG);
    new Aead(cipher, key).seal(text, size, nonce, aad);
    return text;
  };
  return { Aead, loadSodium, seal, used: () => [seals.mock.calls.length, opens.mock.calls.length] };
}

describe('libsodium', () => {
  test('is loaded for the 256th small record of ChaCha20, and not before', async () => {
    const { seal, used } = await fresh();
    for (let i = 0; i < 300; i++) seal('aes-256-gcm', 1);
    for (let i = 0; i < 255; i++) {
      seal('chacha20-poly1305', 1);
      // Were it being loaded, it would be there by now.
      if (i < 10) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(used()).toEqual([0, 0]);
    seal('chacha20-poly1305', 1);
    await vi.waitFor(() => {
      seal('chacha20-poly1305', 1);
      expect(used()[0]).toBeGreaterThan(0);
    });
  });

  test('takes ChaCha20 up to 16 KiB once it is loaded; node:crypto takes the rest', async () => {
    const { Aead, loadSodium, seal, used } = await fresh();
    await loadSodium();
    const aead = new Aead('chacha20-poly1305', key);
    expect(aead.open(seal('chacha20-poly1305', SMALL), nonce, aad)).toHaveLength(SMALL);
    expect(used()).toEqual([1, 1]);
    expect(aead.open(seal('chacha20-poly1305', SMALL + 1), nonce, aad)).toHaveLength(SMALL + 1);
    expect(new Aead('aes-256-gcm', key).open(seal('aes-256-gcm', 1), nonce, aad)).toHaveLength(1);
    expect(used()).toEqual([1, 1]);
  });
});

test.each(['aes-256-gcm', 'chacha20-poly1305'] as const)('a tag of %s that was cut is wrong', async (cipher) => {
  const { Aead, seal } = await fresh();
  const tag = seal(cipher, 0);
  const aead = new Aead(cipher, key);
  expect(aead.open(tag, nonce, aad)).toHaveLength(0);
  // So many bytes that what stands in the place of the tag are the first ones of a true tag.
  for (const length of [4, 8]) {
    expect(
      aead.open(Buffer.concat([Buffer.alloc(TAG - 2 * length), tag.subarray(0, length)]), nonce, aad),
    ).toBeUndefined();
  }
});
