import { describe, expect, test } from 'vitest';
import type { TokenStore } from '../../../core/dist/store/token-store.js';
import { eachDriver } from './drivers.ts';
import { allRows, DAY, draft, request, START, TestClock, unsettled } from './opened.ts';

async function settled(store: TokenStore, token: string, data = '{}'): Promise<void> {
  await store.accept(request(token), data);
  await store.append(draft(token, 2, { data }));
}

async function tokens(store: TokenStore): Promise<string[]> {
  return (await allRows(store)).map((row) => row.token);
}

eachDriver(({ opened }) => {
  describe('purging by age', () => {
    test('removes rows older than the retention, and their requests with the last of them', async () => {
      const clock = new TestClock();
      const store = await opened({ clock, retentionSeconds: 3 * DAY });
      await settled(store, 'old');
      await store.accept(request('half'), '{}');
      clock.seconds += 2 * DAY;
      await store.append(draft('half', 2));
      await settled(store, 'young');
      clock.seconds += DAY + 1;
      expect(await store.purge()).toEqual({ rows: 3, requests: 1 });
      expect(await tokens(store)).toEqual(['half', 'young', 'young']);
      expect(await store.find('old')).toBeUndefined();
      expect(await store.find('half')).toMatchObject({ state: 'ended' });
      expect(store.counters()).toMatchObject({ purgedRows: 3, purgedRequests: 1 });
    });

    test('keeps whatever is younger than 24 h, even where the retention is shorter', async () => {
      const clock = new TestClock();
      const store = await opened({ clock, retentionSeconds: 60 });
      await settled(store, 'a');
      await settled(store, 'b');
      clock.seconds += DAY;
      expect(await store.purge()).toEqual({ rows: 0, requests: 0 });
      clock.seconds += 1;
      // The very last row stays for its id, and its request with it.
      expect(await store.purge()).toEqual({ rows: 3, requests: 1 });
    });

    test('keeps the rows of an open token until it has ended', async () => {
      const clock = new TestClock();
      const store = await opened({ clock });
      await store.accept(request('held'), '{}');
      await settled(store, 'other');
      clock.seconds += 30 * DAY;
      await settled(store, 'last');
      await store.purge();
      expect(await tokens(store)).toEqual(['held', 'last', 'last']);
      expect(await unsettled(store)).toHaveLength(1);
      await store.append(draft('held', 1));
      await store.purge();
      expect(await tokens(store)).toEqual(['last', 'last', 'held']);
    });

    test('never lets an id come twice, though every row is old', async () => {
      const clock = new TestClock();
      const store = await opened({ clock });
      for (const token of ['a', 'b', 'c']) await settled(store, token);
      clock.seconds += 30 * DAY;
      await store.purge();
      expect((await allRows(store)).map((row) => row.id)).toEqual([6]);
      expect(await store.accept(request('d'), '{}')).toMatchObject({ row: { id: 7 } });
    });

    test('forgets a PUTLOG and the token that it claimed, and lets others use it', async () => {
      const clock = new TestClock();
      const store = await opened({ clock });
      await store.put(draft('log', 10), { owner: 'alice', own: request('p', { action: 'PUTLOG' }) });
      clock.seconds += 8 * DAY;
      await settled(store, 'last');
      expect(await store.purge()).toEqual({ rows: 1, requests: 2 });
      expect(await store.accept(request('log', { owner: 'bob' }), '{}')).toMatchObject({ known: false });
    });

    test('goes on with what was written while the clock was ahead', async () => {
      const clock = new TestClock();
      const store = await opened({ clock });
      clock.seconds += 365 * DAY;
      await settled(store, 'ahead');
      clock.seconds = START;
      for (let i = 0; i < 10; i++) await settled(store, `behind${i}`);
      clock.seconds += 8 * DAY;
      await settled(store, 'now');
      expect(await store.purge()).toEqual({ rows: 20, requests: 10 });
      expect(await tokens(store)).toEqual(['ahead', 'ahead', 'now', 'now']);
    });

    test('lets writes pass between its chunks', async () => {
      const clock = new TestClock();
      const store = await opened({ clock, synchronous: 'off' });
      const old = Array.from({ length: 3000 }, (_, i) => `old${i}`);
      await Promise.all(old.map((token) => store.accept(request(token), '{}')));
      await Promise.all(old.map((token) => store.append(draft(token, 2))));
      clock.seconds += 8 * DAY;
      let purged = false;
      const purge = store.purge().finally(() => {
        purged = true;
      });
      let written = 0;
      while (!purged) {
        await settled(store, `new${written}`);
        if (!purged) written++;
      }
      expect(written).toBeGreaterThan(3);
      expect(await purge).toEqual({ rows: 6000 - (written === 0 ? 1 : 0), requests: 3000 });
      expect(store.counters()).toMatchObject({ failures: 0, purgedRows: 6000 });
    });
  });

  describe('the size limit', () => {
    const data = JSON.stringify({ text: 'x'.repeat(20_000) });
    const limit = 2 * 1024 * 1024;

    async function filled(clock: TestClock): Promise<TokenStore> {
      const store = await opened({ clock, maxBytes: limit, synchronous: 'off' });
      await store.accept(request('open'), '{}');
      for (let i = 0; ; i++) {
        const accepted = await store.accept(request(`t${i}`), data).catch((error: unknown) => error);
        if (accepted instanceof Error) {
          expect(accepted).toMatchObject({
            code: 'STORE_FAILED',
            message: expect.stringMatching(/core\.store\.maxSize.*core\.store\.retention/),
          });
          expect(store.counters().bytes).toBeGreaterThanOrEqual(limit);
          return store;
        }
        await store.append(draft(`t${i}`, 2));
      }
    }

    test('refuses requests and PUTLOG, knows repeats, and lets what was accepted end', async () => {
      const store = await filled(new TestClock());
      await expect(store.put(draft('log', 10), { owner: 'alice' })).rejects.toMatchObject({ code: 'STORE_FAILED' });
      expect(await store.accept(request('t1'), '{}')).toMatchObject({ known: true });
      expect(await store.append(draft('open', 2))).toMatchObject({ code: 2 });
      expect(await store.find('log')).toBeUndefined();
      // Nothing is old enough to go.
      expect(await store.purge()).toEqual({ rows: 0, requests: 0 });
    });

    test('removes the oldest rows above 24 h before their retention is over, then accepts again', async () => {
      const clock = new TestClock();
      const store = await filled(clock);
      const before = await allRows(store);
      clock.seconds += DAY + 1;
      const { rows } = await store.purge();
      expect(rows).toBeGreaterThan(0);
      expect(store.counters().bytes).toBeLessThan(limit);
      const after = await allRows(store);
      // The open token's row stays; of the others, the oldest went.
      expect(after[0]).toEqual(before[0]);
      expect(after.slice(1)).toEqual(before.slice(rows + 1));
      expect(await store.accept(request('again'), '{}')).toMatchObject({ known: false });
    });
  });
});
