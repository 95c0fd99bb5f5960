import type { StoreOptions, TokenStore } from './token-store.ts';

/** Opens the token store with the driver of `options`. Rejects with `STORE_UNUSABLE`. */
export async function openStore(options: StoreOptions): Promise<TokenStore> {
  // Imported only where it is used: a router carries one driver.
  if (options.driver === 'postgres') return (await import('./postgres/postgres-store.ts')).openPostgresStore(options);
  return (await import('./sqlite/sqlite-store.ts')).openSqliteStore(options);
}
