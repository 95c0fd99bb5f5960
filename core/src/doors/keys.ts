import { generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import { type CentreondError, reasonOf } from '@centreond/protocol';
import { type KeyPair, keyPairOf } from '@centreond/protocol/channel';
import { fault as faultOf } from '../errors.ts';
import { readPrivateFile, writePrivateFile } from '../private-file.ts';

/** Size of the keys that centreond generates. */
const KEY_BITS = 3072;

function fault(path: string, what: string, remedy: string): CentreondError {
  return faultOf('KEY_FILE', { path, what, remedy });
}

/** A new RSA key as PKCS#8 PEM. Made off the event loop; takes up to some seconds. */
async function generateKey(): Promise<string> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', {
    modulusLength: KEY_BITS,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return privateKey;
}

/**
 * The key pair in the file `path` (PEM, PKCS#8 or PKCS#1, not encrypted), or undefined where there is no file. Throws
 * KEY_FILE, naming path and remedy, for one that others than this uid may read or change, or that holds no sound key.
 */
export function loadKey(path: string): KeyPair | undefined {
  const file = readPrivateFile(path);
  if (file === undefined) return undefined;
  if ((file.mode & 0o077) !== 0) {
    throw fault(path, `is open to others (mode 0${file.mode.toString(8)})`, `Run: chmod 600 ${path}`);
  }
  try {
    return keyPairOf(file.text);
  } catch (error) {
    throw fault(
      path,
      `holds no private RSA key in PEM form, unencrypted, of 2048 to 8192 bits (${reasonOf(error)})`,
      'Restore it from a backup, or move it away to have a new one made (its fingerprint will differ).',
    );
  }
}

/**
 * Loads the key in `path`, or makes one there first (file 0600, folder 0700, never half written, never over another).
 * `created` tells which. Throws as {@link loadKey}, or what the disk says.
 */
export async function loadOrCreateKey(path: string): Promise<KeyPair & { created: boolean }> {
  const found = loadKey(path);
  if (found) return { ...found, created: false };
  const created = writePrivateFile(path, await generateKey(), false);
  // Read back in any case: where two processes made one at once, both go on with the one that is there.
  const key = loadKey(path);
  if (!key) throw fault(path, 'vanished while it was made', 'Look at what else writes in its folder.');
  return { ...key, created };
}
