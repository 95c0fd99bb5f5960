import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStore } from '../../../core/dist/store/open-store.js';
import type { RequestFilter, TokenStore } from '../../../core/dist/store/token-store.js';
import { eachDriver } from './drivers.ts';
import { allRows, DAY, draft, options, request, START, TestClock } from './opened.ts';

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

const list = async (store: TokenStore, filter: Partial<RequestFilter> = {}) =>
  (await store.requests({ as: '', limit: 100, maxBytes: 1e6, ...filter })).requests;
const tokens = async (store: TokenStore, filter: Partial<RequestFilter>) =>
  (await list(store, filter)).map(({ token }) => token);

eachDriver(({ opened, place }) => {
  const scene = async (): Promise<{ store: TokenStore; clock: TestClock }> => {
    const clock = new TestClock();
    const store = await opened({ clock });
    await play(store, clock);
    return { store, clock };
  };

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
  });

  describe('requests are found by', () => {
    const clock = new TestClock();
    let store: TokenStore;
    let dir: string | undefined;
    beforeAll(async () => {
      dir = mkdtempSync(path.join(tmpdir(), 'centreond-store-'));
      store = await openStore(options({ ...(await place(dir)), clock }));
      await play(store, clock);
    });
    afterAll(async () => {
      await store?.close();
      if (dir) rmSync(dir, { recursive: true });
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
});
