import type { Config } from './entry.ts';
import { type Environment, secretOf } from './secret.ts';

/** Where the store of a config is: in `file`, or in the database of a URL. */
export type StorePlace = { readonly file: string } | { readonly driver: 'postgres'; readonly url: string };

/** Where the store is; `file` is its place in the data folder. Reads the URL where it is a secret. Throws SECRET_UNUSABLE. */
export function storePlaceOf({ file: from, core }: Config, file: string, environment: Environment): StorePlace {
  const { driver, url = '' } = core.store;
  if (driver === 'sqlite') return { file };
  return { driver, url: secretOf(url, { where: 'core.store.url', from }, environment) };
}
