import { expect, test } from 'vitest';
import type { TokenStore } from '../../../core/dist/store/token-store.js';
import { eachDriver } from './drivers.ts';
import { draft, request } from './opened.ts';

/** Writes so many rows of the token `big`. */
async function fill(store: TokenStore, rows: number): Promise<void> {
  await store.accept(request('big'), '{}');
  await Promise.all(Array.from({ length: rows }, () => store.append(draft('big', 10))));
}

eachDriver(({ opened, place }) => {
  test("one identity's reads have a bound, and say whose it is; another identity reads on", async () => {
    const store = await opened({ reads: { count: 100, perIdentity: { count: 5 } } });
    await fill(store, 10);
    const read = (as: string) => store.queryText({ id: 0, as, limit: 10, maxBytes: 1e6 });
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => read('greedy')));
    const refused = outcomes.flatMap((one) => (one.status === 'rejected' ? [String(one.reason.message)] : []));
    expect(refused).toHaveLength(15);
    expect(refused[0]).toMatch(/reads of the history of greedy.*\(5\)/);
    expect((await read('modest')).count).toBe(10);
    expect((await read('greedy')).count).toBe(10);
  });

  test('pages take turns between identities, and one entry is found before all of them', async () => {
    const store = await opened();
    await fill(store, 2000);
    const order: string[] = [];
    const read = (as: string) =>
      store.queryText({ id: 0, as, limit: 1000, maxBytes: 1e8 }).then(() => void order.push(as));
    const greedy = Array.from({ length: 50 }, () => read('greedy'));
    const found = store.find('big').then(() => void order.push('found'));
    const modest = read('modest');
    await Promise.all([...greedy, found, modest]);
    expect(order.indexOf('found')).toBeLessThan(4);
    expect(order.indexOf('modest')).toBeLessThan(8);
  });

  test("one identity's questions for one entry do not hold up another's", async () => {
    const store = await opened();
    await fill(store, 1);
    let answered = 0;
    const greedy = Array.from({ length: 10_000 }, () => store.find('big', 'greedy').then(() => void answered++));
    await store.find('big', 'modest');
    expect(answered).toBeLessThan(1000);
    await Promise.all(greedy);
    expect(answered).toBe(10_000);
  });

  test('what the last run left open is read in pages that are bounded in number and in bytes', async () => {
    const at = await place();
    const first = await opened({}, at);
    for (let i = 0; i < 25; i++)
      await first.accept(request(`t${i}`, { data: JSON.stringify({ i, x: 'x'.repeat(1000) }) }), '{}');
    await first.append(draft('t3', 2));
    await first.close();
    const store = await opened({}, at);
    const sizes: number[] = [];
    const tokens: string[] = [];
    for (let after = 0; ; ) {
      const { requests, last } = await store.unsettled(after, 10, 6000);
      if (requests.length === 0) break;
      sizes.push(requests.length);
      tokens.push(...requests.map(({ token }) => token));
      after = last;
    }
    expect(tokens).toEqual(Array.from({ length: 25 }, (_, i) => `t${i}`).filter((token) => token !== 't3'));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(5);
  });

  test('rows of a node that came before their request, as after an older database was put back, count for it and end it', async () => {
    const store = await opened();
    const row = (originId: number, code: number) => ({
      node: 'paris',
      epoch: 'e',
      originId,
      token: 't',
      type: 'WEATHER',
      code,
      etime: 5,
      data: '{}',
    });
    await store.adopt({ node: 'paris', epoch: 'e', rows: [row(1, 0), row(2, 2)], aside: [], from: 0, last: 2 });
    expect(await store.find('t')).toBeUndefined();
    expect(await store.accept(request('t', { target: 'rome' }), '{}')).toMatchObject({ known: false });
    const sent = await store.accept(request('u', { target: 'paris' }), '{}');
    expect(sent).toMatchObject({ known: false });
  });

  test('a request that is sent again after its rows came back ends with them', async () => {
    const store = await opened();
    const page = {
      node: 'paris',
      epoch: 'e',
      rows: [0, 2].map((code, i) => ({
        node: 'paris',
        epoch: 'e',
        originId: i + 1,
        token: 't',
        type: 'WEATHER',
        code,
        etime: 5,
        data: '{}',
      })),
      aside: [],
      from: 0,
      last: 2,
    };
    await store.adopt(page);
    const again = await store.accept(request('t', { target: 'paris' }), '{}');
    expect(again).toMatchObject({ known: true, request: { state: 'ended', owner: 'alice' } });
    const rows = await store.query({ token: 't', owner: 'alice', limit: 10, maxBytes: 1e6 });
    expect(rows.rows.map(({ code }) => code)).toEqual([0, 2]);
    await expect(store.append(draft('t', 1))).rejects.toMatchObject({ code: 'TOKEN_ENDED' });
  });
});
