import { dirname, resolve } from 'node:path';
import { fault } from '../errors.ts';
import type { Config } from './entry.ts';
import { type Environment, isReference, readSecret } from './secret.ts';

/** Where the store of a config is: in `file`, or in the database of a URL. */
export type StorePlace = { readonly file: string } | { readonly driver: 'postgres'; readonly url: string };

/** Where the store is; `file` is its place in the data folder. Reads the URL where it is a secret. Throws SECRET_UNUSABLE. */
export function storePlaceOf({ file: from, core }: Config, file: string, environment: Environment): StorePlace {
  const { driver, url = '' } = core.store;
  if (driver === 'sqlite') return { file };
  if (!isReference(url)) return { driver, url };
  const name = /^file:(.*)$/s.exec(url)?.[1];
  // Relative to the config file, as other paths are.
  const reference = name === undefined ? url : `file:${resolve(dirname(from), name)}`;
  const read = readSecret(reference, environment);
  if ('reason' in read) throw fault('SECRET_UNUSABLE', { where: 'core.store.url', reference, reason: read.reason });
  return { driver, url: read.value };
}
