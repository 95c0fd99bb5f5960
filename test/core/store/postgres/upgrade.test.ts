import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { onPostgres, type Place } from '../drivers.ts';
import { request } from '../opened.ts';

/** A connection to the database of a place. */
async function session(place: Place): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: 'url' in place ? place.url : '' });
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

/** Makes a database what the version before this one left. */
async function before(client: pg.Client): Promise<void> {
  await client.query('ALTER TABLE centreond_open DROP COLUMN started, DROP COLUMN kept');
  await client.query("UPDATE centreond_meta SET value = '2' WHERE key = 'schema'");
}

onPostgres(({ opened, place }) => {
  test('a database of the version before is brought up to date, with what is open in it', async () => {
    const at = await place();
    const store = await opened({}, at);
    await store.accept(request('one'), '{}');
    await store.close();
    await before(await session(at));
    const again = await opened({}, at);
    expect((await again.unsettled(0, 10, 1_000_000)).requests).toMatchObject([{ token: 'one', owner: 'alice' }]);
    expect(await again.membership?.keep('one')).toBe(1);
  });

  test('it is not changed while something reads it: whatever writes would wait behind that', async () => {
    const at = await place();
    await (await opened({}, at)).close();
    const client = await session(at);
    await before(client);
    await client.query('BEGIN; LOCK TABLE centreond_open IN ACCESS SHARE MODE');
    await expect(opened({}, at)).rejects.toMatchObject({
      code: 'STORE_UNUSABLE',
      message: expect.stringContaining('something is reading them (pg_dump?); start again once that is done'),
    });
    await client.query('COMMIT');
    await (await opened({}, at)).accept(request('one'), '{}');
  });
});
