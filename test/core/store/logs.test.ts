import { describe, expect, test } from 'vitest';
import type { ForeignRow, LogPage } from '../../../core/dist/store/token-store.js';
import { eachDriver } from './drivers.ts';
import { allRows, DAY, draft, request, START, TestClock } from './opened.ts';

function row(originId: number, token: string, code: number, change: Partial<ForeignRow> = {}): ForeignRow {
  return { node: 'paris', epoch: 'E', originId, token, type: 'WEATHER', code, etime: 5, data: '{}', ...change };
}

function page(rows: ForeignRow[], change: Partial<LogPage> = {}): LogPage {
  return { node: 'paris', epoch: 'E', rows, aside: [], from: 0, last: rows.at(-1)?.originId ?? 0, ...change };
}

eachDriver(({ opened, place }) => {
  describe("another node's log", () => {
    test('is stored once, and its terminal row ends the request that was sent there', async () => {
      const store = await opened();
      await store.accept(request('t', { target: 'paris' }), '{}');
      const rows = [row(1, 't', 0), row(2, 't', 120), row(3, 't', 2)];
      const first = await store.adopt(page(rows));
      expect(first).toMatchObject({
        rows: [2, 3, 4].map((id) => ({
          row: { id, token: 't', node: 'paris', type: 'WEATHER' },
          counts: true,
          owner: 'alice',
        })),
        cursor: 3,
      });
      expect(await store.find('t')).toMatchObject({ state: 'ended' });
      expect(await store.adopt(page(rows))).toEqual({ rows: ['known', 'known', 'known'], cursor: 3 });
      await expect(store.append(draft('t', 1))).rejects.toMatchObject({ code: 'TOKEN_ENDED' });
      expect((await allRows(store)).map(({ node }) => node)).toEqual(['central', 'paris', 'paris', 'paris']);
    });

    test('has what came after the end of its token set aside, and what counts for nobody kept apart', async () => {
      const store = await opened();
      await store.accept(request('t', { target: 'paris' }), '{}');
      await store.append(draft('t', 1));
      const adopted = await store.adopt(page([row(1, 't', 2), row(2, 'other', 2)]));
      expect(adopted).toMatchObject({ rows: ['ended', { counts: false, owner: '', row: { id: 3 } }], cursor: 2 });
      const counting = await store.query({ counting: true, limit: 10, maxBytes: 1e6 });
      expect(counting.rows.map(({ id }) => id)).toEqual([1, 2]);
      expect((await store.query({ token: 'other', limit: 10, maxBytes: 1e6 })).rows).toHaveLength(1);
    });

    test('moves its cursor only where it follows on it, and from 0 in another database of the node', async () => {
      const store = await opened();
      await store.adopt(page([row(5, 'a', 0)], { from: 0, last: 5 }));
      expect((await store.adopt(page([row(9, 'b', 0)], { from: 7, last: 9 }))).cursor).toBe(5);
      expect((await store.adopt(page([row(6, 'c', 0)], { from: 5, last: 7 }))).cursor).toBe(7);
      const { from: _, ...unsaid } = page([row(11, 'd', 0)]);
      expect((await store.adopt(unsaid)).cursor).toBe(7);
      expect(await store.cursors()).toEqual([{ node: 'paris', epoch: 'E', last: 7 }]);
      expect((await store.adopt(page([], { epoch: 'F', from: 0, last: 2 }))).cursor).toBe(2);
      expect(await store.cursors()).toEqual([{ node: 'paris', epoch: 'F', last: 2 }]);
    });

    test('goes over to the new id of a node, and its newest row is found by what it is there', async () => {
      const store = await opened();
      await store.adopt(page([row(1, 'a', 0), row(4, 'b', 120, { data: '{"long":"text"}' })]));
      await store.inherit('paris', 'lyon');
      expect(await store.cursors()).toEqual(
        expect.arrayContaining([
          { node: 'paris', epoch: 'E', last: 4 },
          { node: 'lyon', epoch: 'E', last: 4 },
        ]),
      );
      const asked = { node: 'paris', epoch: 'E', characters: 6 };
      expect(await store.foreignRow({ ...asked, upTo: 9 })).toEqual({
        ...{ id: 4, token: 'b', code: 120, etime: 5, data: '{"long' },
      });
      expect(await store.foreignRow({ ...asked, upTo: 3 })).toMatchObject({ id: 1 });
      expect(await store.foreignRow({ ...asked, epoch: 'F', upTo: 9 })).toBeUndefined();
    });
  });

  describe("this router's own log", () => {
    test('has all rows, those of other nodes with where they come from, in pages that end as others do', async () => {
      const store = await opened();
      await store.accept(request('t'), '{"first":true}');
      await store.adopt(page([row(7, 'u', 120)]));
      await store.append(draft('t', 2));
      const all = await store.log(0, 10, 1e6);
      expect(all.rows.map((text) => JSON.parse(text))).toEqual([
        { id: 1, token: 't', type: 'WEATHER', node: 'central', code: 0, etime: START - 5, data: { first: true } },
        ...[{ id: 2, token: 'u', type: 'WEATHER', node: 'paris', code: 120, etime: 5, data: {} }].map((one) => ({
          ...one,
          origin: { epoch: 'E', id: 7 },
        })),
        { id: 3, token: 't', type: 'WEATHER', node: 'central', code: 2, etime: START - 1, data: { code: 2 } },
      ]);
      expect(all).toMatchObject({ last: 3, more: false });
      expect(await store.log(1, 1, 1e6)).toMatchObject({ last: 2, more: true });
      expect(await store.log(0, 10, 250)).toMatchObject({ last: 1, more: true });
      expect(await store.log(3, 10, 1e6)).toEqual({ rows: [], last: 3, more: false });
      expect(await store.end()).toBe(3);
    });

    test('has another name and higher ids where an older database was put back', async () => {
      const at = await place();
      const store = await opened({}, at);
      await store.accept(request('t'), '{}');
      const { epoch } = store;
      await store.renewEpoch(1000);
      const renewed = store.epoch;
      expect(renewed).not.toBe(epoch);
      expect(await store.append(draft('t', 120))).toMatchObject({ id: 1002 });
      await store.renewEpoch();
      expect(await store.formerEpochs()).toEqual([renewed, epoch]);
      expect(await store.append(draft('t', 2))).toMatchObject({ id: 1003 });
      const last = store.epoch;
      await store.close();
      expect((await opened({}, at)).epoch).toBe(last);
    });

    test('says up to where it was purged', async () => {
      const clock = new TestClock();
      const store = await opened({ clock });
      expect(await store.purgedUpTo()).toBe(0);
      await store.accept(request('t'), '{}');
      await store.append(draft('t', 2));
      clock.seconds += 8 * DAY;
      await store.accept(request('u'), '{}');
      await store.purge();
      expect(await store.purgedUpTo()).toBe(2);
    });
  });
});
