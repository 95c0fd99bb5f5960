import { expect, test } from 'vitest';
import type { Membership } from '../../../../core/dist/store/membership.js';
import type { TokenStore } from '../../../../core/dist/store/token-store.js';
import { onPostgres, type Place } from '../drivers.ts';
import { draft, request } from '../opened.ts';
import { sharedServer } from '../postgres-server.ts';

function memberOf({ membership }: TokenStore): Membership {
  if (!membership) throw new Error('a store without a membership');
  return membership;
}

async function query(place: Place, text: string, values: readonly unknown[] = []): Promise<unknown[][]> {
  const database = /\/([a-z0-9_]+)\?/.exec('url' in place ? place.url : '')?.[1] ?? '';
  return (await sharedServer()).query(database, text, values);
}

/** Has a router be silent since so long, by the database's clock. */
const silence = (place: Place, node: string, seconds: number) =>
  query(
    place,
    `UPDATE centreond_router SET beat = clock_timestamp() - make_interval(secs => $1)
      WHERE node = (SELECT number FROM centreond_node WHERE id = $2)`,
    [seconds, node],
  );

const among = (node: string, fingerprint = `the key of ${node}`) => ({
  node,
  router: { cluster: 'prod', fingerprint },
});
const ids = async (one: TokenStore) => (await memberOf(one).beat('', {})).routers.map(({ id }) => id);

onPostgres(({ opened, place }) => {
  test('a router that has stopped is forgotten with what it carried, and its history stays', async () => {
    const at = await place();
    const [a, b] = [await opened(among('a'), at), await opened(among('b'), at)];
    await a.accept(request('one'), '{}');
    await a.append(draft('one', 2));
    await memberOf(a).carry([{ node: 'poller', told: '{}' }], [], true);
    await a.close();
    expect(await memberOf(b).carried()).toHaveLength(1);
    expect(await memberOf(b).forget('a')).toBe('forgotten');
    expect(await ids(b)).toEqual(['b']);
    expect(await query(at, 'SELECT node FROM centreond_carried')).toEqual([]);
    expect(await b.find('one')).toMatchObject({ token: 'one', state: 'ended' });
    expect(
      await query(
        at,
        "SELECT n.id, count(*) FROM centreond_history h JOIN centreond_node n ON n.number = h.router WHERE h.token = 'one' GROUP BY 1",
      ),
    ).toEqual([['a', '2']]);
    expect(await memberOf(b).forget('a')).toBe('unknown');
  });

  test('a router that is up stays, and so does one that asks for itself', async () => {
    const at = await place();
    const [a, b] = [await opened(among('a'), at), await opened(among('b'), at)];
    expect(await memberOf(b).forget('a')).toMatchObject({ state: 'up', open: 0 });
    expect(await memberOf(b).forget('b')).toMatchObject({ state: 'up' });
    await silence(at, 'a', 5);
    const stays = await memberOf(b).forget('a');
    expect(stays).toMatchObject({ state: 'up', silentSeconds: expect.any(Number) });
    expect(stays).not.toHaveProperty('silentSeconds', 0);
    expect(await ids(a)).toEqual(['a', 'b']);
  });

  test('a silent router, which may still write, stays until another has its place', async () => {
    const at = await place();
    const [a, b] = [await opened(among('a'), at), await opened(among('b'), at)];
    await a.accept(request('one'), '{}');
    await silence(at, 'a', 11);
    expect(await memberOf(b).forget('a')).toMatchObject({ state: 'silent', open: 1 });
    expect(await memberOf(b).takeOver()).toEqual({ router: 'a', tokens: ['one'] });
    expect(await memberOf(b).forget('a')).toBe('forgotten');
    expect(await memberOf(b).openHere(['one'])).toHaveLength(1);
    await expect(a.accept(request('two'), '{}')).rejects.toMatchObject({ code: 'STORE_FAILED' });
    await expect(memberOf(a).beat('', {})).rejects.toThrow('another process has taken the place');
    await expect(memberOf(a).forget('b')).rejects.toThrow('another process has taken the place');
  });

  test('a router that has stopped stays while something is open there', async () => {
    const at = await place();
    const [a, b] = [await opened(among('a'), at), await opened(among('b'), at)];
    await a.accept(request('one'), '{}');
    await a.close();
    expect(await memberOf(b).forget('a')).toEqual({ state: 'stopped', silentSeconds: 0, open: 1 });
    await memberOf(b).takeOver();
    expect(await memberOf(b).forget('a')).toBe('forgotten');
  });

  test('a router that comes back is a new one: with another key, and above every fence that its id had', async () => {
    const at = await place();
    const [a, b] = [await opened(among('a'), at), await opened(among('b'), at)];
    const { fence } = memberOf(a);
    await silence(at, 'a', 11);
    expect(await memberOf(b).takeOver()).toEqual({ router: 'a', tokens: [] });
    expect(await memberOf(b).forget('a')).toBe('forgotten');
    const again = await opened(among('a', 'another key'), at);
    expect(memberOf(again).fence).toBeGreaterThan(fence + 1);
    await again.accept(request('new'), '{}');
    await expect(a.accept(request('old'), '{}')).rejects.toMatchObject({ code: 'STORE_FAILED' });
    expect((await memberOf(b).beat('', {})).routers[0]).toMatchObject({ id: 'a', state: 'up' });
    // What was late is no stop of the one that is there now.
    await a.close();
    expect((await memberOf(b).beat('', {})).routers[0]).toMatchObject({ id: 'a', state: 'up' });
  });

  test('a router of another cluster is not known, and one of no cluster knows none', async () => {
    const at = await place();
    const b = await opened(among('b'), at);
    const [c, d] = [
      await opened({ node: 'c', router: { cluster: 'test' } }, at),
      await opened({ node: 'd', router: { cluster: '' } }, at),
    ];
    await c.close();
    expect(await memberOf(b).forget('c')).toBe('unknown');
    expect(await memberOf(d).forget('c')).toBe('unknown');
    expect(await memberOf(d).forget('d')).toBe('unknown');
    expect(await query(at, 'SELECT count(*) FROM centreond_router')).toEqual([['3']]);
  });

  test('a router that enters while it is being forgotten stays', async () => {
    const at = await place();
    const [a, b] = [await opened(among('a'), at), await opened(among('b'), at)];
    await a.close();
    const server = await sharedServer();
    const held = server.query(
      /\/([a-z0-9_]+)\?/.exec('url' in at ? at.url : '')?.[1] ?? '',
      `DO $$ BEGIN
        UPDATE centreond_router SET fence = fence + 1, state = 'up', beat = clock_timestamp()
          WHERE node = (SELECT number FROM centreond_node WHERE id = 'a');
        PERFORM pg_sleep(0.5);
      END $$`,
    );
    await expect.poll(() => query(at, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")).toHaveLength(1);
    expect(await memberOf(b).forget('a')).toMatchObject({ state: 'up', open: 0 });
    await held;
    expect(await ids(b)).toEqual(['a', 'b']);
  });
});
