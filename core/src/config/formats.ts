import { createPrivateKey } from 'node:crypto';
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { scheduleFault, timeZoneFault } from '@centreond/plugin-sdk/schedule';
import { reasonOf } from '@centreond/protocol';
import type { KeywordDefinition } from 'ajv/dist/2020.js';
import type { SchemaValidateFunction } from 'ajv/dist/types/index.js';

/** What a check of a text finds: the rest of a sentence of which the setting is the subject, or undefined. */
type FaultOf = (text: string) => string | undefined;

/** The formats of a plugin's config schema whose texts are right or wrong by themselves. The start checks them, too. */
export const TEXT_FORMATS: Readonly<Record<string, FaultOf>> = {
  cron: (text) => {
    // Whether it ever comes due hardly depends on the zone.
    const fault = scheduleFault(text, 'UTC', Date.now());
    return fault === undefined || /^(must|never) /.test(fault) ? fault : `is not a schedule: ${fault}`;
  },
  timezone: (text) =>
    timeZoneFault(text) === undefined ? undefined : 'must be the name of a time zone such as Europe/Paris',
};

/**
 * The formats of a plugin's config schema that mark a path to a file, relative to the config file, and say what holds of that file.
 * Only `check` looks: the file may come later, and what a plugin does without it is its own affair.
 */
export const FILE_FORMATS: Readonly<Record<string, FaultOf>> = {
  'file-readable': (file) => accessFault(file, constants.R_OK),
  'file-writable': (file) => accessFault(file, constants.R_OK | constants.W_OK),
  'private-key': (file) => accessFault(file, constants.R_OK) ?? keyFault(file),
};

function accessFault(file: string, mode: number): string | undefined {
  try {
    if (!statSync(file).isFile()) return 'is not a file';
    accessSync(file, mode);
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'does not exist; put it there, or name another';
    const what = (mode & constants.W_OK) === 0 ? 'read' : 'read and write';
    return `cannot be used (${reasonOf(error)}); let the daemon's user ${what} it`;
  }
}

const LARGEST_KEY = 64 * 1024;
const PEM_KEY = /^-----BEGIN (?:(OPENSSH|ENCRYPTED|RSA|EC|DSA) )?PRIVATE KEY-----\r?\n([\s\S]*?)-----END /m;
const PUBLIC_KEY = /^(ssh-|ecdsa-|sk-|-{4,5} ?BEGIN (RSA |SSH2 )?PUBLIC KEY)/m;
const OPENSSH_MAGIC = 'openssh-key-v1\0';

/** What is wrong with a file as a private key in PEM, OpenSSH's or PuTTY's form. An encrypted one is not opened. */
function keyFault(file: string): string | undefined {
  if (statSync(file).size > LARGEST_KEY) return `is larger than any key (${LARGEST_KEY} bytes)`;
  const text = readFileSync(file, 'utf8');
  if (text.startsWith('PuTTY-User-Key-File-')) return undefined;
  const [pem, kind, body = ''] = PEM_KEY.exec(text) ?? [];
  if (pem === undefined)
    return PUBLIC_KEY.test(text) ? 'holds a public key; name the private one' : 'holds no private key';
  if (kind === 'OPENSSH')
    return Buffer.from(body, 'base64').toString('latin1').startsWith(OPENSSH_MAGIC) ? undefined : DAMAGED;
  if (kind === 'ENCRYPTED' || body.startsWith('Proc-Type: 4,ENCRYPTED')) return undefined;
  try {
    createPrivateKey(text);
    return undefined;
  } catch {
    return DAMAGED;
  }
}

const DAMAGED = 'holds a private key that is damaged; make or copy it again';

/** The keyword of an array whose entries must differ under a key, or under each of several: `'id'`, `['id', 'address']`. */
export const UNIQUE_KEYWORD = 'centreond-unique';

const validate: SchemaValidateFunction = (keys: string | readonly string[], entries: unknown[], _schema, at) => {
  const errors = [keys].flat().flatMap((key) => {
    const first = new Map<string, number>();
    return entries.flatMap((entry, i) => {
      if (typeof entry !== 'object' || entry === null || !Object.hasOwn(entry, key)) return [];
      const value = JSON.stringify(Reflect.get(entry, key));
      const other = first.get(value);
      if (other === undefined) first.set(value, i);
      const instancePath = `${at?.instancePath ?? ''}/${i}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
      return other === undefined ? [] : [{ keyword: UNIQUE_KEYWORD, instancePath, params: { key, other } }];
    });
  });
  validate.errors = errors;
  return errors.length === 0;
};

/** {@link UNIQUE_KEYWORD} for Ajv. Its errors have the `key`, and the index of the `other` entry. */
export const UNIQUE: KeywordDefinition = {
  keyword: UNIQUE_KEYWORD,
  type: 'array',
  schemaType: ['string', 'array'],
  errors: true,
  validate,
};
