import path from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import type { RequestFilter, TokenStore } from '../../../core/dist/store/token-store.js';
import { draft, folder, opened, request, START, TestClock } from './opened.ts';

async function scene(): Promise<{ store: TokenStore; clock: TestClock }> {
  const clock = new TestClock();
  const store = await opened({ clock });
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
  return { store, clock };
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
    const { store } = await scene();
    expect(await tokens(store, filter)).toEqual(expected);
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

  test('show the beginning of DATA that is longer than 4096 characters, as a JSON string', async () => {
    const store = await opened();
    const data = JSON.stringify({ x: 'x'.repeat(5000) });
    await store.accept(request('long', { data }), '{}');
    const [long] = await list(store);
    expect(JSON.parse(long?.data ?? '')).toBe(data.slice(0, 4096));
  });

  test('of a database from before are found by how they ended', async () => {
    const file = path.join(folder(), 'history.sdb');
    const store = await opened({ file });
    await store.accept(request('t'), '{}');
    await store.append(draft('t', 1, { data: '{"error":"X","message":"x"}' }));
    await store.close();
    const db = new Database(file);
    db.exec('DROP TABLE centreond_failed; DROP INDEX centreond_request_action');
    db.close();
    expect(await tokens(await opened({ file }), { state: 'failed' })).toEqual(['t']);
  });
});
