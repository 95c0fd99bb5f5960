import { expect, test } from 'vitest';
import type { Row, TokenStore } from '../../../../core/dist/store/token-store.js';
import { onPostgres } from '../drivers.ts';
import { draft, request, unsettled } from '../opened.ts';
import { sharedServer } from '../postgres-server.ts';

const TOKENS = process.env.LONG ? 3000 : 300;

/** Follows all rows by their ids until `enough`, as who remembers only the last id that was seen. */
async function followed(store: TokenStore, enough: (rows: Row[]) => boolean): Promise<Row[]> {
  const rows: Row[] = [];
  while (!enough(rows)) {
    const page = await store.query({ id: rows.at(-1)?.id ?? 0, limit: 50, maxBytes: 1e6 });
    rows.push(...page.rows);
  }
  return rows;
}

onPostgres(({ opened, place }) => {
  test('who remembers the last id misses no row of three routers that write side by side', async () => {
    const at = await place();
    const routers = await Promise.all(['a', 'b', 'c'].map((node) => opened({ node }, at)));
    const [reader] = routers;
    if (!reader) throw new Error('no router');
    const wanted = 3 * TOKENS * 3;
    const following = followed(reader, (rows) => rows.length >= wanted);
    await Promise.all(
      routers.map(async (store, which) => {
        for (let i = 0; i < TOKENS; i += 10) {
          await Promise.all(
            Array.from({ length: 10 }, async (_, j) => {
              const token = `${which}-${i + j}`;
              const accepted = store.accept(request(token), '{}');
              await store.append(draft(token, 120), accepted);
              await store.append(draft(token, 2));
            }),
          );
        }
      }),
    );
    const rows = await following;
    expect(new Set(rows.map(({ id }) => id)).size).toBe(wanted);
    const codes = new Map<string, number[]>();
    for (const { token, code } of rows) codes.set(token, [...(codes.get(token) ?? []), code]);
    expect([...codes.values()].every((list) => list.join() === '0,120,2')).toBe(true);
    expect(new Set(rows.map(({ node }) => node))).toEqual(new Set(['a', 'b', 'c']));
  });

  test('of routers that race for a token one has it, and each has its own open requests', async () => {
    const at = await place();
    const [a, b] = [await opened({ node: 'a' }, at), await opened({ node: 'b' }, at)];
    const raced = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const made = await Promise.all([a, b].map((store) => store.accept(request(`t${i}`), '{}')));
        return made.filter(({ known }) => !known).length;
      }),
    );
    expect(new Set(raced)).toEqual(new Set([1]));
    const [ofA, ofB] = [await unsettled(a), await unsettled(b)];
    expect(ofA.length + ofB.length).toBe(200);
    expect(new Set([...ofA, ...ofB].map(({ token }) => token)).size).toBe(200);
    await a.append(draft('t0', 2));
    await expect(b.append(draft('t0', 1))).rejects.toMatchObject({ code: 'TOKEN_ENDED' });
  });

  test('rows are not held up by what others do on the same server', async () => {
    const server = await sharedServer();
    const other = await server.database();
    await server.query(other, 'CREATE TABLE t (i int)');
    const busy = server.query(other, 'WITH w AS (INSERT INTO t VALUES (1) RETURNING 1) SELECT pg_sleep(1.5), * FROM w');
    const store = await opened();
    await store.accept(request('t'), '{}');
    expect((await store.query({ limit: 10, maxBytes: 1e6 })).rows).toHaveLength(1);
    expect(await store.end()).toBe(1);
    await busy;
  });
});
