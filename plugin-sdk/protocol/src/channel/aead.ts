import {
  type CipherGCM,
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type DecipherGCM,
  type KeyObject,
} from 'node:crypto';

/** A record cipher of protocol version 1. */
export type Cipher = 'aes-256-gcm' | 'chacha20-poly1305';

/** Bytes of an authentication tag. */
export const TAG = 16;

const OPTIONS = { authTagLength: TAG };
/** node:crypto takes 15 µs to set a cipher up, libsodium (WebAssembly) next to nothing; above so many bytes node is as quick. */
const SMALL = 16 * 1024;
/** Libsodium takes 50 ms and 17 MiB to load: a process that seals and opens few records does without. */
const LOAD_AFTER = 256;

type Sodium = typeof import('libsodium-wrappers')['default'];
let sodium: Sodium | undefined;
let calls = 0;

/** Loads libsodium. Where it cannot be loaded, node:crypto does the same, slower. */
export async function loadSodium(): Promise<void> {
  calls = LOAD_AFTER;
  try {
    const { default: loaded } = await import('libsodium-wrappers');
    await loaded.ready;
    sodium = loaded;
  } catch {} // it is a matter of speed alone
}

/** One key of one cipher. What it does for given bytes does not depend on which library does it. */
export class Aead {
  readonly #bytes: Uint8Array;
  /** For node:crypto, which takes three times as long with bytes. A session of small records never makes it. */
  #object: KeyObject | undefined;

  constructor(
    readonly cipher: Cipher,
    key: Uint8Array,
  ) {
    this.#bytes = key;
  }

  get #key(): KeyObject {
    this.#object ??= createSecretKey(this.#bytes);
    return this.#object;
  }

  /** The library to be used for so many bytes, if it is not node:crypto. */
  #quick(size: number): Sodium | undefined {
    if (this.cipher !== 'chacha20-poly1305' || size > SMALL) return undefined;
    if (!sodium && ++calls === LOAD_AFTER) void loadSodium();
    return sodium;
  }

  /** Replaces `text` by its ciphertext, and writes the tag behind it: `text` has room for that after `size` bytes. */
  seal(text: Buffer, size: number, nonce: Buffer, aad: Buffer): void {
    const quick = this.#quick(size);
    if (quick) {
      text.set(quick.crypto_aead_chacha20poly1305_ietf_encrypt(text.subarray(0, size), aad, null, nonce, this.#bytes));
      return;
    }
    // Typed as GCM for both: the calls of the two AEADs are the same, only their overloads differ.
    const cipher: CipherGCM = createCipheriv(this.cipher as CipherGCMTypes, this.#key, nonce, OPTIONS);
    cipher.setAAD(aad);
    cipher.update(text.subarray(0, size)).copy(text);
    cipher.final();
    cipher.getAuthTag().copy(text, size);
  }

  /** The plaintext of a ciphertext and its tag; undefined if the tag is wrong. */
  open(sealed: Buffer, nonce: Buffer, aad: Buffer): Buffer | undefined {
    const size = sealed.length - TAG;
    const quick = this.#quick(size);
    try {
      if (quick) {
        const opened = quick.crypto_aead_chacha20poly1305_ietf_decrypt(null, sealed, aad, nonce, this.#bytes);
        return Buffer.from(opened.buffer, opened.byteOffset, opened.length);
      }
      const decipher: DecipherGCM = createDecipheriv(this.cipher as CipherGCMTypes, this.#key, nonce, OPTIONS);
      decipher.setAAD(aad);
      decipher.setAuthTag(sealed.subarray(size));
      const text = decipher.update(sealed.subarray(0, size));
      decipher.final();
      return text;
    } catch {
      return undefined;
    }
  }
}
