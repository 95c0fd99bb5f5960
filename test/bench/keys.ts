import { generateKeyPair } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { keyPairOf } from '@centreond/protocol/channel';

/** The folder of the bench's client keys: 2048-bit, made once, ignored by git. */
export const KEYS = path.join(import.meta.dirname, 'keys');

/** Makes the keys that are missing among the first `count`; resolves with all their fingerprints. */
export async function benchKeys(count: number): Promise<string[]> {
  mkdirSync(KEYS, { recursive: true });
  const missing = Array.from({ length: count }, (_, i) => path.join(KEYS, `${i}.pem`)).filter(
    (file) => !existsSync(file),
  );
  if (missing.length > 20) process.stderr.write(`making ${missing.length} client keys, once…\n`);
  const make = async () => {
    for (let file = missing.pop(); file !== undefined; file = missing.pop()) {
      const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
      writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    }
  };
  await Promise.all([make(), make()]);
  return Array.from({ length: count }, (_, i) => {
    const file = path.join(KEYS, `${i}.pem`);
    const print = `${file}.fingerprint`;
    if (!existsSync(print)) writeFileSync(print, keyPairOf(readFileSync(file, 'utf8')).thumbprint);
    return readFileSync(print, 'utf8');
  });
}
