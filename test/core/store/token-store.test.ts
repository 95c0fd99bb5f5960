import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Accepted, LogPage, Row } from '../../../core/dist/store/token-store.js';
import { eachDriver } from './drivers.ts';
import { allRows, draft, request, START, TestClock, unsettled } from './opened.ts';

const all = { id: 0, limit: 10_000, maxBytes: 1e8 };

eachDriver(({ opened, part, place }) => {
  describe('accepting a request', () => {
    test('writes its row of code 0 and leaves it open until its terminal row', async () => {
      const store = await opened();
      const accepted = await store.accept(request('t1'), '{"duplicate":false}');
      expect(accepted).toEqual({
        known: false,
        row: {
          id: 1,
          token: 't1',
          type: 'WEATHER',
          node: 'central',
          code: 0,
          etime: START - 5,
          ctime: START,
          data: '{"duplicate":false}',
        },
      });
      expect(await store.find('t1')).toEqual({
        ...request('t1'),
        ctime: START,
        state: 'open',
      });
      const progress = await store.append(draft('t1', 120));
      const end = await store.append(draft('t1', 2));
      expect(await store.find('t1')).toMatchObject({ state: 'ended' });
      expect(await allRows(store)).toEqual([accepted.known ? undefined : accepted.row, progress, end]);
    });

    test('does not write a known token again, and hands out the request it is known by', async () => {
      const store = await opened();
      await store.accept(request('t1'), '{}');
      const again = await store.accept(request('t1', { owner: 'bob', data: '{"city":"Rome"}' }), '{}');
      expect(again).toEqual({
        known: true,
        request: { ...request('t1'), ctime: START, state: 'open' },
      });
      expect(await allRows(store)).toHaveLength(1);
    });

    test('records one of two requests that race for a token', async () => {
      const store = await opened();
      const raced = await Promise.all(['alice', 'bob'].map((owner) => store.accept(request('t1', { owner }), '{}')));
      expect(raced.map((r) => r.known)).toEqual([false, true]);
      expect((await store.find('t1'))?.owner).toBe('alice');
    });
  });

  describe('a row that comes before its request is on disk', () => {
    test('is written behind it, in the same transaction', async () => {
      const store = await opened();
      const before = store.counters().commits;
      const accepted = store.accept(request('t1'), '{}');
      const rows = [store.append(draft('t1', 120), accepted), store.append(draft('t1', 2), accepted)];
      const [first, progress, end] = [await accepted, ...(await Promise.all(rows))];
      expect(store.counters().commits - before).toBe(1);
      expect(first).toMatchObject({ known: false, row: { id: 1 } });
      expect([progress, end]).toMatchObject([
        { id: 2, code: 120, type: 'WEATHER' },
        { id: 3, code: 2, type: 'WEATHER' },
      ]);
      expect(await store.find('t1')).toMatchObject({ state: 'ended' });
      expect(await allRows(store)).toEqual([first?.known ? undefined : first?.row, progress, end]);
      expect(await unsettled(store)).toEqual([]);
    });

    test('is refused if its token is known already, whosever that is and whether it is open', async () => {
      const store = await opened();
      await store.accept(request('open'), '{}');
      await store.accept(request('ended'), '{}');
      await store.append(draft('ended', 2));
      await store.put(draft('log', 120), { owner: 'bob' });
      const before = await allRows(store);
      for (const token of ['open', 'ended', 'log']) {
        const repeated = store.accept(request(token), '{}');
        const rows = await Promise.allSettled([120, 2].map((code) => store.append(draft(token, code), repeated)));
        expect(await repeated).toMatchObject({ known: true });
        expect(rows).toMatchObject(Array(2).fill({ status: 'rejected', reason: { code: 'UNKNOWN_TOKEN' } }));
        // Nor is one that comes when the store knows it, and its caller does not.
        await expect(store.append(draft(token, 120), repeated)).rejects.toMatchObject({ code: 'UNKNOWN_TOKEN' });
      }
      expect(await allRows(store)).toEqual(before);
      expect(await store.append(draft('open', 2))).toMatchObject({ type: 'WEATHER', code: 2 });
    });

    test('is refused with its request where the store is full', async () => {
      const store = await opened({ maxBytes: 1 });
      const accepted = store.accept(request('t1'), '{}');
      const refused = [accepted, store.append(draft('t1', 2), accepted)];
      expect(await Promise.allSettled(refused)).toMatchObject([
        { status: 'rejected', reason: { code: 'STORE_FAILED' } },
        { status: 'rejected', reason: { code: 'UNKNOWN_TOKEN' } },
      ]);
      expect(await allRows(store)).toEqual([]);
    });

    test('finds it over many batches, also where pages of other logs go between', async () => {
      const store = await opened();
      const page = (originId: number): LogPage => ({
        node: 'paris',
        epoch: 'e',
        rows: [
          { node: 'paris', epoch: 'e', originId, token: `p${originId}`, type: 'X', code: 120, etime: 1, data: '{}' },
        ],
        aside: [],
        last: originId,
      });
      const accepts: Promise<Accepted>[] = [];
      const all: Promise<unknown>[] = [];
      const rows: Promise<Row>[] = [];
      for (let i = 0; i < 6000; i++) {
        accepts.push(store.accept(request(`t${i}`), '{}'));
        if (i >= 700) rows.push(store.append(draft(`t${i - 700}`, 120), accepts[i - 700]));
        if (i >= 1500) rows.push(store.append(draft(`t${i - 1500}`, 2), accepts[i - 1500]));
        if (i % 100 === 0) all.push(store.adopt(page(i + 1)));
        if (i % 500 === 0) await new Promise(setImmediate);
      }
      await Promise.all([...accepts, ...all]);
      const codes = (await Promise.all(rows)).map(({ type }) => type);
      expect(new Set(codes)).toEqual(new Set(['WEATHER']));
      expect(await store.find('t0')).toMatchObject({ state: 'ended' });
      expect(await unsettled(store)).toHaveLength(1500);
    });
  });

  describe('ending a token', () => {
    test('happens once, also when two terminal rows race', async () => {
      const store = await opened();
      await store.accept(request('t1'), '{}');
      const ends = await Promise.allSettled([store.append(draft('t1', 2)), store.append(draft('t1', 1))]);
      expect(ends[0]).toMatchObject({ status: 'fulfilled', value: { id: 2 } });
      expect(ends[1]).toMatchObject({
        status: 'rejected',
        reason: { code: 'TOKEN_ENDED' },
      });
      await expect(store.append(draft('t1', 1))).rejects.toMatchObject({
        code: 'TOKEN_ENDED',
      });
      expect(await allRows(store)).toHaveLength(2);
    });

    test('is refused for a token that nobody has used', async () => {
      const store = await opened();
      await expect(store.append(draft('nobody', 2))).rejects.toMatchObject({
        code: 'UNKNOWN_TOKEN',
      });
      expect(await allRows(store)).toEqual([]);
    });
  });

  describe("a row of another type than its token's action", () => {
    test("keeps it, as the daemon's own row without a token does", async () => {
      const store = await opened();
      const start = await store.append(draft('', 3, { type: 'START' }));
      await store.accept(request('t1'), '{}');
      const routed = await store.append(draft('t1', 0, { type: 'ROUTE' }));
      const plain = await store.append(draft('t1', 0, { type: 'WEATHER' }));
      expect([start.type, routed.type, plain.type]).toEqual(['START', 'ROUTE', 'WEATHER']);
      expect((await allRows(store)).map((row) => row.type)).toEqual(['START', 'WEATHER', 'ROUTE', 'WEATHER']);
    });
  });

  describe('PUTLOG', () => {
    const own = (token: string, owner = 'alice') => request(token, { owner, action: 'PUTLOG' });

    test('claims an unused token, and knows its repeat', async () => {
      const store = await opened();
      const first = await store.put(draft('log1', 10), {
        owner: 'alice',
        own: own('p1'),
      });
      expect(first).toMatchObject({
        known: false,
        row: { token: 'log1', type: 'PUTLOG', code: 10 },
      });
      const again = await store.put(draft('log1', 10), {
        owner: 'alice',
        own: own('p1'),
      });
      expect(again).toMatchObject({
        known: true,
        request: { token: 'p1', action: 'PUTLOG', state: 'ended' },
      });
      expect(await allRows(store)).toEqual([first.known ? undefined : first.row]);
      expect(await store.find('log1')).toMatchObject({
        owner: 'alice',
        state: 'log',
      });
      expect(await unsettled(store)).toEqual([]);
    });

    test("writes nothing under another's token, unless the caller answers for it", async () => {
      const store = await opened();
      await store.accept(request('t1'), '{}');
      await expect(store.put(draft('t1', 10), { owner: 'bob', own: own('p1', 'bob') })).rejects.toMatchObject({
        code: 'FORBIDDEN',
      });
      expect(await store.find('p1')).toBeUndefined();
      const put = await store.put(draft('t1', 10), {
        owner: '@local',
        anyToken: true,
      });
      expect(put).toMatchObject({ known: false, row: { type: 'WEATHER' } });
      expect(await allRows(store)).toHaveLength(2);
    });

    test("gives way to a request of the same owner under its token, and to no other's", async () => {
      const store = await opened();
      await store.put(draft('t1', 10), { owner: 'alice' });
      expect(await store.accept(request('t1', { owner: 'bob' }), '{}')).toMatchObject({
        known: true,
        request: { owner: 'alice', state: 'log' },
      });
      expect(await store.accept(request('t1'), '{}')).toMatchObject({
        known: false,
      });
      expect(await store.find('t1')).toMatchObject({ state: 'open' });
      await store.append(draft('t1', 2));
      expect((await allRows(store)).map((row) => row.code)).toEqual([10, 0, 2]);
      expect(await store.find('t1')).toMatchObject({ state: 'ended' });
    });
  });

  describe('reopening', () => {
    test('hands out what was left open, oldest first, and goes on where ids stood', async () => {
      const at = await place();
      const first = await opened({}, at);
      for (const token of ['t1', 't2', 't3']) await first.accept(request(token, { envelope: '{"hold":true}' }), '{}');
      await first.append(draft('t2', 1));
      await first.close();
      const second = await opened({}, at);
      expect(await unsettled(second)).toEqual(
        ['t1', 't3'].map((token) => request(token, { envelope: '{"hold":true}' })),
      );
      expect(await second.append(draft('t1', 1))).toMatchObject({
        id: 5,
        type: 'WEATHER',
      });
    });
  });

  test('a pinned key is kept, and a new one takes its place', async () => {
    const store = await opened();
    expect(await store.pinned('alice')).toBeUndefined();
    await store.pin('alice', 'key 1');
    await store.pin('bob', 'key 2');
    await store.pin('alice', 'key 3');
    expect(await Promise.all(['alice', 'bob'].map((i) => store.pinned(i)))).toEqual(['key 3', 'key 2']);
  });

  describe('closing', () => {
    test('writes what was queued, then refuses', async () => {
      const at = await place();
      const store = await opened({}, at);
      const queued = Array.from({ length: 500 }, (_, i) => store.accept(request(`t${i}`), '{}'));
      const closed = store.close();
      await expect(store.accept(request('late'), '{}')).rejects.toMatchObject({
        code: 'STOPPING',
      });
      await expect(store.query(all)).rejects.toMatchObject({ code: 'STOPPING' });
      await expect(store.purge()).rejects.toMatchObject({ code: 'STOPPING' });
      expect((await Promise.all(queued)).every((a) => !a.known)).toBe(true);
      await closed;
      if ('file' in at) expect(readdirSync(path.dirname(at.file))).toEqual(['history.sdb']);
      expect(await unsettled(await opened({}, at))).toHaveLength(500);
    });
  });

  test('ids ascend in the order of the calls, and answers come in that order', async () => {
    const clock = new TestClock();
    const store = await opened({ clock });
    const order: number[] = [];
    const calls: Promise<unknown>[] = [];
    for (let i = 0; i < 300; i++) {
      calls.push(
        store.accept(request(`t${i}`), '{}').then((a) => {
          if (!a.known) order.push(a.row.id);
        }),
      );
      if (i % 7 === 0) await new Promise(setImmediate);
    }
    await Promise.all(calls);
    expect(order).toEqual(Array.from({ length: 300 }, (_, i) => i + 1));
    expect(store.counters()).toMatchObject({ rows: 300, queued: 0, failures: 0 });
  });

  test('a call that the database cannot take fails alone, not those beside it', async () => {
    const store = await opened();
    const calls = await Promise.allSettled([
      store.accept(request('t1'), '{}'),
      store.append(draft('t1', 120, { data: JSON.parse('{"not":"text"}') })),
      store.append(draft('t1', 2)),
    ]);
    expect(calls).toMatchObject([
      { status: 'fulfilled', value: { row: { id: 1 } } },
      { status: 'rejected', reason: { code: 'STORE_FAILED' } },
      { status: 'fulfilled', value: { id: 2, code: 2 } },
    ]);
    expect(await allRows(store)).toHaveLength(2);
  });

  describe('a full queue', () => {
    test('refuses requests, and rows of what was accepted only at twice its length', async () => {
      const store = await opened({ queue: { calls: 10, bytes: 1e6 } });
      await store.accept(request('t0'), '{}');
      const accepts = Array.from({ length: 12 }, (_, i) => store.accept(request(`t${i + 1}`), '{}'));
      const appends = Array.from({ length: 12 }, () => store.append(draft('t0', 120)));
      const codes = (await Promise.allSettled([...accepts, ...appends])).map((call) =>
        call.status === 'fulfilled' ? 'done' : call.reason.code,
      );
      expect(codes.slice(0, 12)).toEqual([...Array(10).fill('done'), 'BUSY', 'BUSY']);
      expect(codes.slice(12)).toEqual([...Array(10).fill('done'), 'BUSY', 'BUSY']);
      expect(store.counters()).toMatchObject({ queued: 0, queuedBytes: 0 });
      expect(await store.accept(request('later'), '{}')).toMatchObject({ known: false });
    });

    test('is measured in bytes too, but takes one call of any size', async () => {
      const store = await opened({ queue: { calls: 10, bytes: 1000 } });
      const data = `{"text":"${'x'.repeat(5000)}"}`;
      const [large, beside] = await Promise.allSettled([
        store.accept(request('large', { data }), '{}'),
        store.accept(request('beside'), '{}'),
      ]);
      expect(large).toMatchObject({ status: 'fulfilled' });
      expect(beside).toMatchObject({ status: 'rejected', reason: { code: 'BUSY' } });
    });
  });

  describe("other nodes' logs", () => {
    const rowsOf = (from: number) =>
      Array.from({ length: 250 }, (_, i) => ({
        epoch: 'E',
        originId: from + i,
        ...draft(`there-${from + i}`, 2),
        type: 'WEATHER',
        node: 'paris',
      }));
    const pages = Array.from({ length: 40 }, (_, i) => ({
      node: 'paris',
      epoch: 'E',
      rows: rowsOf(1 + 250 * i),
      aside: [],
      last: 250 * (i + 1),
      from: 250 * i,
    }));

    test('come in where no calls wait: a call stands behind a page or two, not behind all', async () => {
      const store = await opened();
      const order: string[] = [];
      const log = Promise.all(pages.map((page) => store.adopt(page).then(() => order.push('page'))));
      for (let i = 0; i < 3; i++) await store.accept(request(`t${i}`), '{}').then(() => order.push('call'));
      expect(order.filter((what) => what === 'page').length).toBeLessThan(10);
      await log;
      expect(order.filter((what) => what === 'page')).toHaveLength(pages.length);
    });

    test('have their turn, in order, while calls come without end', async () => {
      const store = await opened({ synchronous: 'off' });
      await store.accept(request('t0'), '{}');
      const order: string[] = [];
      const calls = Array.from({ length: 60_000 }, () => store.append(draft('t0', 120)).then(() => order.push('call')));
      const cursors: number[] = [];
      for (const page of pages.slice(0, 8)) {
        cursors.push((await store.adopt(page)).cursor);
        order.push('page');
      }
      expect(cursors).toEqual(pages.slice(0, 8).map(({ last }) => last));
      expect(order.filter((what) => what === 'call').length).toBeLessThan(60_000);
      await Promise.all(calls);
    });
  });

  describe('a page', () => {
    test('ends by size, but has one row at least', async () => {
      const store = await opened();
      const data = `"${'x'.repeat(1000)}"`;
      await store.accept(request('t1'), data);
      for (let i = 0; i < 4; i++) await store.append(draft('t1', 120, { data }));
      const sizes: number[] = [];
      for (let id = 0, more = true; more; ) {
        const page = await store.query({ token: 't1', id, limit: 100, maxBytes: 2500 });
        sizes.push(page.rows.length);
        id = page.rows.at(-1)?.id ?? 0;
        more = page.more;
      }
      expect(sizes).toEqual([2, 2, 1]);
      const tiny = await store.queryText({ token: 't1', limit: 100, maxBytes: 1 });
      expect(tiny).toMatchObject({ count: 1, last: 1, more: true });
      expect(tiny.text.length).toBeLessThan(1300);
    });

    test('does not keep others waiting while it looks for few rows among many', async () => {
      const store = await opened({ synchronous: 'off' });
      await store.accept(request('t0'), '{}');
      await Promise.all(Array.from({ length: 30_000 * part }, () => store.append(draft('t0', 120))));
      const answers: string[] = [];
      await Promise.all([
        // Holds the reader up until both of the others stand in its queue.
        store.log(0, 30_000 * part, 1e9),
        store.query({ code: 77, limit: 1, maxBytes: 1e6 }).then(() => answers.push('page')),
        store.find('t0').then(() => answers.push('find')),
      ]);
      expect(answers).toEqual(['find', 'page']);
    });
  });
});
