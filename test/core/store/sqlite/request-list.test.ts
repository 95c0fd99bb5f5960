import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStore } from '../../../../core/dist/store/open-store.js';
import { RequestList } from '../../../../core/dist/store/sqlite/request-list.js';
import type { ListedRequest, RequestFilter, TokenStore } from '../../../../core/dist/store/token-store.js';
import { draft, folder, opened, options, request, START, TestClock } from '../opened.ts';

/** A file for a database that all tests of a describe block read. */
function fileForAll(): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'centreond-store-'));
  afterAll(() => rmSync(dir, { recursive: true }));
  return path.join(dir, 'history.sdb');
}

const tokens = async (store: TokenStore, filter: Partial<RequestFilter>) =>
  (await store.requests({ as: '', limit: 100, maxBytes: 1e6, ...filter })).requests.map(({ token }) => token);

test('requests of a database from before are found by every filter', async () => {
  const file = path.join(folder(), 'history.sdb');
  const clock = new TestClock();
  const store = await opened({ file, clock });
  await store.put(draft('noted', 10), { owner: 'alice' });
  clock.seconds += 3600;
  await store.accept(request('t', { target: 'paris' }), '{}');
  await store.append(draft('t', 1, { data: '{"error":"X","message":"x"}' }));
  clock.seconds += 3600;
  await store.accept(request('noted'), '{}');
  await store.close();
  const db = new Database(file);
  db.exec(`DROP TABLE centreond_failed;
      DROP TABLE centreond_late;
      DROP INDEX centreond_request_by_owner;
      DROP INDEX centreond_request_by_action;
      DROP INDEX centreond_request_by_target;
      CREATE INDEX centreond_request_owner ON centreond_request (owner);
      CREATE INDEX centreond_request_action ON centreond_request (action);
      CREATE INDEX centreond_request_target ON centreond_request (target) WHERE target <> ''`);
  db.close();
  const again = await opened({ file, clock });
  expect(await tokens(again, { state: 'failed' })).toEqual(['t']);
  expect(await tokens(again, { node: 'paris', owner: 'alice', action: 'WEATHER' })).toEqual(['t']);
  expect(await tokens(again, { since: clock.seconds - 60 })).toEqual(['noted']);
  await again.close();
  const left = new Database(file, { readonly: true });
  const indexes = left.prepare("SELECT name FROM sqlite_schema WHERE name LIKE 'centreond_request_%'").pluck().all();
  left.close();
  expect(indexes.toSorted()).toEqual(['action', 'owner', 'target'].map((by) => `centreond_request_by_${by}`));
});

describe('a page', () => {
  /** A store of 300,000 requests that have ended: bob's one, and as many that alice's WEATHER failed as carol's COMMAND succeeded. */
  const file = fileForAll();
  beforeAll(async () => {
    await (await openStore(options({ file }))).close();
    const db = new Database(file);
    db.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
      INSERT INTO centreond_request
      SELECT i, 't' || i, ${START}, 0, 0, CASE WHEN i = 1 THEN 'bob' WHEN i % 2 THEN 'alice' ELSE 'carol' END,
        CASE WHEN i % 2 THEN 'WEATHER' ELSE 'COMMAND' END, '', '', '{}' FROM n;
      INSERT INTO centreond_failed SELECT id FROM centreond_request WHERE owner = 'alice'`);
    db.close();
  });

  /** Reads the page that finds nothing: how often it let others in, and by which plan each of its statements ran. */
  async function read(filter: Partial<RequestFilter>): Promise<{ pauses: number; plans: string[] }> {
    const texts = new Set<string>();
    const db = new Database(file, { readonly: true, verbose: (text) => texts.add(String(text)) });
    let pauses = 0;
    const found: ListedRequest[] = [];
    await new RequestList(db, 'central').each(
      { as: '', limit: 100, maxBytes: 1e6, ...filter },
      (request) => found.push(request) > 0,
      async () => ++pauses > 0,
    );
    expect(found).toEqual([]);
    const plans = [...texts]
      .filter((text) => text.startsWith('SELECT '))
      .flatMap((text) => db.prepare<[], { detail: string }>(`EXPLAIN QUERY PLAN ${text}`).all())
      .map(({ detail }) => detail);
    db.close();
    return { pauses, plans };
  }

  test.each<[string, Partial<RequestFilter>]>([
    ['a client with few requests asks for failed ones', { mine: 'bob', state: 'failed' }],
    ['a client with few requests asks for an action of many', { mine: 'bob', action: 'COMMAND' }],
    ['a node is asked for that has none', { node: 'paris', state: 'finished', owner: 'alice' }],
    ['a token is not known', { token: 'nobody', state: 'failed' }],
  ])('reads few entries where %s', async (_, filter) => {
    const { pauses } = await read(filter);
    expect(pauses).toBe(0);
  });

  test.each<[string, Partial<RequestFilter>]>([
    ['an owner never called that action', { owner: 'alice', action: 'COMMAND' }],
    ['that action never failed', { action: 'COMMAND', state: 'failed' }],
    ['what this router is asked for never failed', { node: '', action: 'COMMAND', state: 'failed' }],
  ])('lets others in, and reads no request but only an index, where %s', async (_, filter) => {
    const { pauses, plans } = await read(filter);
    expect(pauses).toBeGreaterThan(1);
    expect(plans.filter((detail) => detail.startsWith('SEARCH r USING COVERING INDEX'))).not.toEqual([]);
    expect(plans.filter((detail) => /^SCAN r\b|TEMP B-TREE/.test(detail))).toEqual([]);
  });
});
