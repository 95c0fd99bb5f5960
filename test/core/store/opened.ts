import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { Limits } from '../../../core/dist/config/limits.js';
import { openStore } from '../../../core/dist/store/open-store.js';
import type {
  PostgresOptions,
  RequestRecord,
  Row,
  RowDraft,
  StoreOptions,
  StoreSettings,
  TokenStore,
} from '../../../core/dist/store/token-store.js';

export const DAY = 24 * 3600;
/** 2026-01-01, in seconds. */
export const START = 1_767_225_600;

/** A clock that stands still until it is told otherwise. */
export class TestClock {
  seconds = START;
  #passed = 0;
  #last = START;
  now(): number {
    return this.seconds * 1000;
  }
  /** Time really passes where the clock goes forward, and never backward. */
  monotonic(): number {
    this.#passed += Math.max(0, this.seconds - this.#last);
    this.#last = this.seconds;
    return this.#passed * 1000;
  }
}

/** All requests that the last run left open. */
export async function unsettled(store: TokenStore): Promise<RequestRecord[]> {
  const all: RequestRecord[] = [];
  for (let after = 0; ; ) {
    const { requests, last } = await store.unsettled(after, 100, 1e6);
    if (requests.length === 0) return all;
    all.push(...requests);
    after = last;
  }
}

/** What was logged, as "level: reason". */
export class TestLog {
  readonly lines: string[] = [];
  #line(level: string, fields: object, message: string): void {
    this.lines.push(`${level}: ${message} ${JSON.stringify(fields)}`);
  }
  info(fields: object, message: string): void {
    this.#line('info', fields, message);
  }
  warn(fields: object, message: string): void {
    this.#line('warn', fields, message);
  }
  error(fields: object, message: string): void {
    this.#line('error', fields, message);
  }
}

/** A folder that is gone after the test. */
export function folder(): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'centreond-store-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** What a store is opened with; `url` for one in PostgreSQL. */
export function options({ file = '', url, lockMs, router: among, ...change }: Change = {}): StoreOptions {
  const settings: StoreSettings = {
    node: 'central',
    synchronous: 'full',
    retentionSeconds: 7 * DAY,
    maxBytes: 1024 ** 3,
    reads: Limits.parse({}).reads,
    clock: new TestClock(),
    log: new TestLog(),
    ...change,
  };
  const router = { fingerprint: 'a key', version: '0.0.0', cluster: '', ...among };
  if (url !== undefined) return { ...settings, driver: 'postgres', url, router };
  return { ...settings, file, ...(lockMs !== undefined && { lockMs }) };
}

export type Change = Partial<StoreSettings> & {
  file?: string;
  url?: string;
  lockMs?: number;
  /** What is not the default of a router by itself, on PostgreSQL. */
  router?: Partial<PostgresOptions['router']>;
};

/** A store of SQLite in a folder of its own (or `change.file`), closed after the test. */
export async function opened(change: Change = {}): Promise<TokenStore> {
  const file = change.file ?? path.join(folder(), 'history.sdb');
  const store = await openStore(options({ ...change, file }));
  onTestFinished(() => store.close());
  return store;
}

export function request(token: string, change: Partial<RequestRecord> = {}): RequestRecord {
  return {
    token,
    owner: 'alice',
    action: 'WEATHER',
    target: '',
    data: '{"city":"Paris"}',
    envelope: '',
    etime: START - 5,
    ...change,
  };
}

export function draft(token: string, code: number, change: Partial<RowDraft> = {}): RowDraft {
  return { token, code, etime: START - 1, data: `{"code":${code}}`, ...change };
}

/** All rows of the store, by ascending id. */
export async function allRows(store: TokenStore): Promise<Row[]> {
  const rows: Row[] = [];
  for (;;) {
    const page = await store.query({
      id: rows.at(-1)?.id ?? 0,
      limit: 10_000,
      maxBytes: 1e8,
    });
    rows.push(...page.rows);
    if (!page.more) return rows;
  }
}
