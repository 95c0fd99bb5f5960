import { coreSecretOf } from './core-secrets.ts';
import type { Config } from './entry.ts';
import type { Environment } from './secret.ts';

/** Where the store of a config is: in `file`, or in the database of a URL. */
export type StorePlace = { readonly file: string } | { readonly driver: 'postgres'; readonly url: string };

/** Where the store is; `file` is its place in the data folder. Reads the URL where it is a secret. Throws SECRET_UNUSABLE. */
export function storePlaceOf(config: Config, file: string, environment: Environment): StorePlace {
  const { driver, url = '' } = config.core.store;
  if (driver === 'sqlite') return { file };
  return { driver, url: coreSecretOf(config, 'core.store.url', environment) ?? url };
}
