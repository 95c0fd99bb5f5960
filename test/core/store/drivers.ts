import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openStore } from '../../../core/dist/store/open-store.js';
import type { TokenStore } from '../../../core/dist/store/token-store.js';
import { type Change, folder, options } from './opened.ts';
import { noPostgres, sharedServer } from './postgres-server.ts';

/** Where a database is: what {@link options} takes. */
export type Place = { readonly file: string } | { readonly url: string };

/** A driver of the store, as a test sees it. */
export interface Driver {
  readonly name: 'SQLite' | 'PostgreSQL';
  /** What part of a large number is enough where time is short: a test of a server takes several processes. */
  readonly part: number;
  /** A place for a new database; a file goes into `dir`, or into a folder that is gone after the test. */
  place(dir?: string): Promise<Place>;
  /** A store in a database of its own, or in `place`, closed after the test. */
  opened(change?: Change, place?: Place): Promise<TokenStore>;
}

function driver(name: Driver['name'], place: Driver['place']): Driver {
  const opened: Driver['opened'] = async (change = {}, at) => {
    const store = await openStore(options({ ...change, ...(at ?? (await place())) }));
    onTestFinished(() => store.close());
    return store;
  };
  const part = name === 'SQLite' || process.env.LONG ? 1 : 0.25;
  return { name, part, place, opened };
}

const SQLITE = driver('SQLite', async (dir = folder()) => ({ file: path.join(dir, 'history.sdb') }));
const POSTGRES = driver('PostgreSQL', async () => {
  const server = await sharedServer();
  return { url: server.url(await server.database()) };
});

/** PostgreSQL's tests are a suite of their own, since they take a server: `npm run test:cluster`. */
const IS_CLUSTER = process.env.SUITE === 'cluster';

/** Has `tests` hold for every driver: for SQLite in `npm test`, for PostgreSQL in `npm run test:cluster`, and in CI there has to be one. */
export function eachDriver(tests: (driver: Driver) => void): void {
  if (IS_CLUSTER) onPostgres(tests);
  else describe('on SQLite', () => tests(SQLITE));
}

/** Has `tests` hold for PostgreSQL. */
export function onPostgres(tests: (driver: Driver) => void): void {
  describe.skipIf(noPostgres)('on PostgreSQL', () => tests(POSTGRES));
  if (noPostgres && process.env.CI)
    test('PostgreSQL is there to be tested with', () => {
      expect.unreachable(noPostgres);
    });
}
