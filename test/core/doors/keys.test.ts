import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keyPairOf, signPss, verifyPss } from '@centreond/protocol/channel';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadKey, loadOrCreateKey } from '../../../core/dist/doors/keys.js';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'keys-'));
  path = join(folder, 'keys', 'router.pem');
});
afterEach(() => rmSync(folder, { recursive: true }));

const sound = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const save = (text: string | Buffer, mode = 0o600) => {
  path = join(folder, 'own.pem');
  writeFileSync(path, text, { mode });
  chmodSync(path, mode);
};

test('a key that is missing is made once: RSA-3072, PKCS#8, for this uid alone', async () => {
  expect(loadKey(path)).toBeUndefined();
  const made = await loadOrCreateKey(path);
  expect(made.created).toBe(true);
  expect(made.privateKey.asymmetricKeyDetails?.modulusLength).toBe(3072);
  expect(readFileSync(path, 'latin1')).toMatch(/^-----BEGIN PRIVATE KEY-----/);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, 'keys')).mode & 0o777).toBe(0o700);
  expect(readdirSync(join(folder, 'keys'))).toEqual(['router.pem']);
  const again = await loadOrCreateKey(path);
  expect(again.created).toBe(false);
  expect(again.thumbprint).toBe(made.thumbprint);
  const h = Buffer.alloc(32, 7);
  expect(await verifyPss(again.publicKey, 'x', h, await signPss(made.privateKey, 'x', h))).toBe(true);
});

test('two that make it at once end with the same key', async () => {
  const [one, two] = await Promise.all([loadOrCreateKey(path), loadOrCreateKey(path)]);
  expect(one.thumbprint).toBe(two.thumbprint);
  expect([one.created, two.created].filter(Boolean).length).toBe(1);
});

test('PKCS#1 is read too', () => {
  save(sound.export({ type: 'pkcs1', format: 'pem' }));
  const expected = keyPairOf(sound.export({ type: 'pkcs8', format: 'pem' }).toString());
  expect(loadKey(path)?.thumbprint).toBe(expected.thumbprint);
});

test.each([0o640, 0o604, 0o620, 0o602])('a key file of mode %o is refused with the way out', (mode) => {
  save(sound.export({ type: 'pkcs8', format: 'pem' }), mode);
  expect(() => loadKey(path)).toThrow(`Run: chmod 600 ${path}`);
});

test('what holds no sound key is refused, naming the file, and stays as it is', async () => {
  const pkcs8 = { type: 'pkcs8', format: 'pem' } as const;
  const broken = [
    '',
    'no PEM at all',
    sound.export(pkcs8).toString().slice(0, 600),
    sound.export({ ...pkcs8, cipher: 'aes-256-cbc', passphrase: 'secret' }),
    generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export(pkcs8),
    generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export(pkcs8),
    generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ type: 'spki', format: 'pem' }),
  ];
  for (const text of broken) {
    save(text);
    await expect(loadOrCreateKey(path)).rejects.toThrow(`The key file ${path}`);
    expect(readFileSync(path, 'utf8')).toBe(text.toString());
  }
});
