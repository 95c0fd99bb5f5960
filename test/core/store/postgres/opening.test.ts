import { expect, test } from 'vitest';
import { openStore } from '../../../../core/dist/store/open-store.js';
import { onPostgres } from '../drivers.ts';
import { options, request } from '../opened.ts';
import { sharedServer } from '../postgres-server.ts';

/** Why the store at `url` does not open. */
async function refusal(url: string): Promise<string> {
  const opened = openStore(options({ url })).then(
    async (store) => {
      await store.close();
      return 'it opened';
    },
    (error: unknown) => {
      expect(error).toMatchObject({ code: 'STORE_UNUSABLE' });
      return error instanceof Error ? error.message : String(error);
    },
  );
  return opened;
}

onPostgres(({ opened, place }) => {
  test('a database that cannot be used is refused in a sentence that says what to change, without its password', async () => {
    const server = await sharedServer();
    const database = await server.database();
    await server.query('postgres', "CREATE ROLE weak LOGIN PASSWORD 'weak-word'");
    await server.query(database, 'REVOKE CREATE ON SCHEMA public FROM PUBLIC');
    const cases: [string, RegExp][] = [
      ['mysql://root:secret-word@localhost/x', /is not a URL of PostgreSQL; write it as/],
      ['postgresql://root:secret-word@localhost', /names no database/],
      [server.tcpUrl('nowhere'), /there is no database nowhere on that server; create it \(createdb/],
      [server.tcpUrl(database, { password: 'secret-word' }), /does not let postgres in .*core\.store\.url/],
      [server.tcpUrl(database, { user: 'nobody', password: 'secret-word' }), /does not let nobody in/],
      [
        server.tcpUrl(database, { port: 1, password: 'secret-word' }),
        /no PostgreSQL answers at 127\.0\.0\.1:1 .*start it, or/,
      ],
      [
        server.tcpUrl(database, { user: 'weak', password: 'weak-word' }),
        /may not make or use its tables.*GRANT CREATE ON SCHEMA/,
      ],
    ];
    for (const [url, sentence] of cases) {
      const message = await refusal(url);
      expect(message).toMatch(sentence);
      expect(message).not.toMatch(/secret-word|weak-word/);
      expect(message).not.toContain(server.password);
    }
  });

  test('a database of a newer centreond is refused, and left as it is', async () => {
    const server = await sharedServer();
    const database = await server.database();
    const url = server.url(database);
    await (await openStore(options({ url }))).close();
    await server.query(database, "UPDATE centreond_meta SET value = '99' WHERE key = 'schema'");
    expect(await refusal(url)).toMatch(
      /newer centreond \(schema 99, this one knows \d+\); run that one, or point core\.store\.url/,
    );
    expect(await server.query(database, "SELECT value FROM centreond_meta WHERE key = 'schema'")).toEqual([['99']]);
  });

  test('a database that was put back from a dump gets another name, and ids that were not given since', async () => {
    const server = await sharedServer();
    const database = await server.database();
    const at = { url: server.url(database) };
    const first = await opened({}, at);
    const names: string[] = [];
    await first.accept(request('t'), '{}');
    names.unshift(first.epoch);
    await first.renewEpoch();
    names.unshift(first.epoch);
    await first.close();
    await server.query(database, 'SELECT centreond_restored()');
    const again = await opened({}, at);
    expect(await again.formerEpochs()).toEqual(names);
    expect(again.epoch).toMatch(/^[0-9a-f]{32}$/);
    expect(await again.accept(request('u'), '{}')).toMatchObject({ row: { id: 10_000_002 } });
  });

  test('two routers that open a new database at once both find its tables', async () => {
    const at = await place();
    const [a, b] = await Promise.all([opened({ node: 'a' }, at), opened({ node: 'b' }, at)]);
    await Promise.all([a.accept(request('a1'), '{}'), b.accept(request('b1'), '{}')]);
    expect(a.epoch).toBe(b.epoch);
    expect((await a.query({ limit: 10, maxBytes: 1e6 })).rows.map(({ node }) => node).sort()).toEqual(['a', 'b']);
  });
});
