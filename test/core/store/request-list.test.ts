import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStore } from '../../../core/dist/store/open-store.js';
import { RequestList } from '../../../core/dist/store/sqlite/request-list.js';
import type { ListedRequest, RequestFilter, TokenStore } from '../../../core/dist/store/token-store.js';
import { allRows, DAY, draft, folder, opened, options, request, START, TestClock } from './opened.ts';

async function scene(): Promise<{ store: TokenStore; clock: TestClock }> {
  const clock = new TestClock();
  const store = await opened({ clock });
  await play(store, clock);
  return { store, clock };
}

/** Requests of two owners, for this router and a node, of which some have ended, and a row that PUTLOG wrote. */
async function play(store: TokenStore, clock: TestClock): Promise<void> {
  const make = async (token: string, change: Parameters<typeof request>[1], end?: [number, string]) => {
    clock.seconds += 10;
    await store.accept(request(token, change), '{}');
    clock.seconds += 1;
    if (end) await store.append(draft(token, end[0], { data: end[1], etime: clock.seconds }));
  };
  await make('a1', {}, [2, '{"ok":true}']);
  await make('a2', { action: 'COMMAND', data: '{"command":"false"}' }, [1, '{"error":"TIMEOUT","message":"late"}']);
  await make('b1', { owner: 'bob', target: 'paris' }, [2, '{}']);
  await make('b2', { owner: 'bob', target: 'paris' });
  await make('a3', {});
  await store.put(draft('note', 10), { owner: 'alice', own: { ...request('put-1'), action: 'PUTLOG' } });
}

/** A file for a database that all tests of a describe block read. */
function fileForAll(): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'centreond-store-'));
  afterAll(() => rmSync(dir, { recursive: true }));
  return path.join(dir, 'history.sdb');
}

const list = async (store: TokenStore, filter: Partial<RequestFilter> = {}) =>
  (await store.requests({ as: '', limit: 100, maxBytes: 1e6, ...filter })).requests;
const tokens = async (store: TokenStore, filter: Partial<RequestFilter>) =>
  (await list(store, filter)).map(({ token }) => token);

describe('requests', () => {
  test('are listed the newest first, with how they ended, and no row that PUTLOG wrote', async () => {
    const { store } = await scene();
    const all = await list(store);
    expect(all.map(({ token }) => token)).toEqual(['a3', 'b2', 'b1', 'a2', 'a1']);
    expect(all[3]).toMatchObject({
      owner: 'alice',
      action: 'COMMAND',
      target: '',
      acceptedAt: START + 21,
      endedAt: START + 22,
      code: 1,
      error: 'TIMEOUT',
      data: '{"command":"false"}',
    });
    expect(all[0]).toMatchObject({ endedAt: null, code: null, error: null });
    expect(all[4]).toMatchObject({ code: 2, error: null });
  });

  test('come in pages, each of which goes on below the last id of the one before', async () => {
    const { store } = await scene();
    const seen: string[] = [];
    for (let before: number | undefined; ; ) {
      const page = await store.requests({ as: '', limit: 2, maxBytes: 1e6, ...(before !== undefined && { before }) });
      seen.push(...page.requests.map(({ token }) => token));
      if (!page.more) break;
      before = page.requests.at(-1)?.id;
    }
    expect(seen).toEqual(['a3', 'b2', 'b1', 'a2', 'a1']);
  });

  test('show whole DATA up to 4 KiB, and the first 4 KiB of longer DATA as a JSON string, never half a character', async () => {
    const store = await opened();
    const whole = JSON.stringify({ x: 'x'.repeat(4096 - 8) });
    const long = JSON.stringify({ ab: '日'.repeat(3000) });
    await store.accept(request('whole', { data: whole }), '{}');
    await store.accept(request('long', { data: long }), '{}');
    const [cut, kept] = await list(store);
    expect(kept?.data).toBe(whole);
    const head: unknown = JSON.parse(cut?.data ?? '');
    expect(head).toBe(`{"ab":"${'日'.repeat(1363)}`);
    expect(Buffer.byteLength(String(head))).toBe(4096);
  });

  test('to this router are found whether their TARGET was empty or its own id', async () => {
    const { store } = await scene();
    await store.accept(request('named', { target: 'central' }), '{}');
    expect(await tokens(store, { node: '' })).toEqual(['named', 'a3', 'a2', 'a1']);
    expect(await tokens(store, { node: 'central', state: 'open' })).toEqual(['named', 'a3']);
    expect(await tokens(store, { node: 'central', owner: 'alice', action: 'COMMAND' })).toEqual(['a2']);
  });

  test('show the beginning of an error code that is too long for one', async () => {
    const store = await opened();
    await store.accept(request('t'), '{}');
    await store.append(draft('t', 1, { data: JSON.stringify({ error: 'E'.repeat(1e6) }) }));
    expect((await list(store))[0]?.error).toBe('E'.repeat(255));
  });

  test('of a database from before are found by every filter', async () => {
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
});

describe('requests are found by', () => {
  const file = fileForAll();
  let store: TokenStore;
  beforeAll(async () => {
    const clock = new TestClock();
    store = await openStore(options({ file, clock }));
    await play(store, clock);
  });
  afterAll(() => store.close());

  test.each<[Partial<RequestFilter>, string[]]>([
    [{ token: 'b1' }, ['b1']],
    [{ owner: 'bob' }, ['b2', 'b1']],
    [{ action: 'COMMAND' }, ['a2']],
    [{ node: 'paris' }, ['b2', 'b1']],
    [{ node: '' }, ['a3', 'a2', 'a1']],
    [{ state: 'open' }, ['a3', 'b2']],
    [{ state: 'failed' }, ['a2']],
    [{ state: 'finished' }, ['b1', 'a1']],
    [{ state: 'open', owner: 'bob', node: 'paris', action: 'WEATHER' }, ['b2']],
    [{ state: 'failed', token: 'a1' }, []],
    [{ since: START + 32 }, ['a3', 'b2', 'b1']],
    [{ until: START + 21 }, ['a2', 'a1']],
    [{ since: START + 21, until: START + 32 }, ['b1', 'a2']],
    [{ mine: 'bob' }, ['b2', 'b1']],
    [{ mine: 'bob', owner: 'alice' }, []],
  ])('%j', async (filter, expected) => {
    expect(await tokens(store, filter)).toEqual(expected);
  });
});

describe('since and until', () => {
  test('hold for the time of acceptance, whatever steps the clock made back', async () => {
    const clock = new TestClock();
    const store = await opened({ clock });
    for (const [token, seconds] of [
      ['early', 0],
      ['ahead', 100],
      ['back', 90],
      ['late', 120],
    ] as const) {
      clock.seconds = START + seconds;
      await store.accept(request(token), '{}');
    }
    expect(await tokens(store, { since: START + 100 })).toEqual(['late', 'ahead']);
    expect(await tokens(store, { since: START + 90, until: START + 99 })).toEqual(['back']);
    expect(await tokens(store, { until: START + 99 })).toEqual(['back', 'early']);
  });

  test('find a request whose token was known from PUTLOG long before', async () => {
    const { store, clock } = await scene();
    clock.seconds += 3600;
    await store.accept(request('note'), '{}');
    const since = clock.seconds - 60;
    expect(await tokens(store, { since })).toEqual(['note']);
    expect(await tokens(store, { since, owner: 'alice', action: 'WEATHER', state: 'open' })).toEqual(['note']);
    expect(await tokens(store, { since, state: 'failed' })).toEqual([]);
    expect(await tokens(store, { until: since })).not.toContain('note');
  });

  test('find a request whose first row is purged', async () => {
    const clock = new TestClock();
    const store = await opened({ clock, retentionSeconds: 2 * DAY });
    await store.accept(request('long'), '{}');
    clock.seconds += 2 * DAY;
    await store.append(draft('long', 2));
    clock.seconds += DAY;
    await store.accept(request('young'), '{}');
    await store.append(draft('young', 2));
    await store.purge();
    expect(await allRows(store)).toHaveLength(3);
    expect(await tokens(store, { since: START })).toEqual(['young', 'long']);
  });
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

  test('ends before the bytes that it may have, errors and names counted, and the next goes on', async () => {
    const store = await opened();
    for (let i = 0; i < 20; i++) {
      await store.accept(request(`t${i}`), '{}');
      await store.append(draft(`t${i}`, 1, { data: JSON.stringify({ error: '"'.repeat(200) }) }));
    }
    const seen: string[] = [];
    for (let before = Number.MAX_SAFE_INTEGER; ; ) {
      const page = await store.requests({ as: '', limit: 100, maxBytes: 3000, before });
      expect(Buffer.byteLength(JSON.stringify(page.requests))).toBeLessThan(4000);
      seen.push(...page.requests.map(({ token }) => token));
      if (!page.more) break;
      before = page.requests.at(-1)?.id ?? 0;
    }
    expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => `t${19 - i}`));
  });
});
