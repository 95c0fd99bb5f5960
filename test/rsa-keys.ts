import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const FOLDER = path.join(import.meta.dirname, '../node_modules/.cache/centreond-test-keys');

/** How many keys the test file under way has taken. */
let taken = 0;

/**
 * An RSA key of 2048 bits as PEM, another for each call in a test file. Making one takes longer than most of what a test does
 * with it: the keys are kept, and each file is given the same ones.
 */
export function rsaKey(): string {
  const file = path.join(FOLDER, `${taken++}.pem`);
  if (!existsSync(file)) {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    mkdirSync(FOLDER, { recursive: true, mode: 0o700 });
    const whole = `${file}.${process.pid}`;
    writeFileSync(whole, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    renameSync(whole, file);
  }
  return readFileSync(file, 'utf8');
}

/** Another test file begins, in the same process. */
export function forgetKeys(): void {
  taken = 0;
}
