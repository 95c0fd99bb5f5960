import { expect, test } from 'vitest';
import type { Membership } from '../../../../core/dist/store/membership.js';
import type { TokenStore } from '../../../../core/dist/store/token-store.js';
import { onPostgres, type Place } from '../drivers.ts';
import { draft, request, unsettled } from '../opened.ts';
import { sharedServer } from '../postgres-server.ts';

function memberOf({ membership }: TokenStore): Membership {
  if (!membership) throw new Error('a store without a membership');
  return membership;
}

/** Has a router be silent since so long, by the database's clock. */
async function silence(place: Place, node: string, seconds: number): Promise<void> {
  const database = /\/([a-z0-9_]+)\?/.exec('url' in place ? place.url : '')?.[1] ?? '';
  const server = await sharedServer();
  await server.query(
    database,
    `UPDATE centreond_router SET beat = clock_timestamp() - make_interval(secs => $1)
      WHERE node = (SELECT number FROM centreond_node WHERE id = $2)`,
    [seconds, node],
  );
}

onPostgres(({ opened, place }) => {
  const among = (node: string, fingerprint = `the key of ${node}`) => ({
    node,
    router: { cluster: 'prod', fingerprint },
  });

  test('a heartbeat shows all routers of the cluster, and none of another', async () => {
    const at = await place();
    const a = memberOf(await opened(among('a'), at));
    const b = memberOf(await opened(among('b'), at));
    const other = memberOf(await opened({ node: 'c', router: { cluster: 'test' } }, at));
    await b.beat('tcp://b:5555', { open: 3 });
    const { routers, trust, clockSkewSeconds } = await a.beat('tcp://a:5555', {});
    expect(routers).toMatchObject([
      { id: 'a', state: 'up', endpoint: 'tcp://a:5555', fingerprint: 'the key of a', version: '0.0.0' },
      { id: 'b', state: 'up', endpoint: 'tcp://b:5555', load: '{"open":3}' },
    ]);
    expect(trust).toBe(0);
    expect(Math.abs(clockSkewSeconds)).toBeLessThan(2);
    expect((await other.beat('', {})).routers.map(({ id }) => id)).toEqual(['c']);
    await silence(at, 'b', 11);
    expect((await a.beat('', {})).routers[1]).toMatchObject({ id: 'b', state: 'silent', silentSeconds: 11 });
  });

  test('a router by itself sees itself only', async () => {
    const at = await place();
    const [a] = [await opened({ node: 'a' }, at), await opened({ node: 'b' }, at)];
    expect((await memberOf(a).beat('', {})).routers.map(({ id }) => id)).toEqual(['a']);
    await silence(at, 'b', 60);
    expect(await memberOf(a).takeOver()).toBeUndefined();
  });

  test('a router with the id of one that is up, and another key, is not let in', async () => {
    const at = await place();
    const first = await opened(among('a'), at);
    await expect(opened(among('a', 'another key'), at)).rejects.toMatchObject({
      code: 'STORE_UNUSABLE',
      message: expect.stringMatching(/a router a with another key is up on it; give one of the two another core\.id/),
    });
    await first.accept(request('t'), '{}');
    await silence(at, 'a', 11);
    await opened(among('a', 'another key'), at);
  });

  test('an earlier process of a router writes nothing once a later one has started', async () => {
    const at = await place();
    const died = Promise.withResolvers<Error>();
    const first = await opened({ ...among('a'), died: died.resolve }, at);
    await first.accept(request('a'), '{}');
    const second = await opened(among('a'), at);
    await second.accept(request('b'), '{}');
    await expect(first.accept(request('c'), '{}')).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringContaining('another process has taken the place of this router'),
    });
    expect((await died.promise).message).toContain('another process has taken the place of this router');
    expect(await second.find('c')).toBeUndefined();
    await expect(memberOf(first).beat('', {})).rejects.toThrow('another process has taken the place');
  });

  test('what is open at a silent router is taken over by one other, which shuts it out', async () => {
    const at = await place();
    const [a, b, c] = [await opened(among('a'), at), await opened(among('b'), at), await opened(among('c'), at)];
    await a.accept(request('one'), '{}');
    await a.accept(request('two'), '{}');
    await a.append(draft('two', 2));
    await memberOf(a).carry([{ node: 'poller', told: '{}' }], [], true);
    expect(await memberOf(b).takeOver()).toBeUndefined();
    expect(await memberOf(b).carried()).toEqual([{ router: 'a', node: 'poller', told: '{}' }]);
    await silence(at, 'a', 11);
    const taken = (await Promise.all([b, c].map((one) => memberOf(one).takeOver()))).filter((one) => one !== undefined);
    expect(taken).toEqual([{ router: 'a', tokens: ['one'] }]);
    const [open] = (
      await Promise.all([b, c].map(async (one) => ((await unsettled(one)).length > 0 ? one : [])))
    ).flat();
    if (!open) throw new Error('nobody has it');
    expect(await memberOf(open).openHere(['one', 'two'])).toMatchObject([{ token: 'one', owner: 'alice' }]);
    await expect(a.append(draft('one', 2))).rejects.toMatchObject({ code: 'STORE_FAILED' });
    await expect(memberOf(a).claim('one', 'b', 0)).resolves.not.toMatchObject({ token: 'one' });
    await expect(memberOf(a).beat('', {})).rejects.toThrow('another process has taken the place');
    await open.append(draft('one', 1));
    expect(await memberOf(b).carried()).toEqual([]);
    expect((await memberOf(b).beat('', {})).routers[0]).toMatchObject({ id: 'a', state: 'taken' });
    expect(await memberOf(c).takeOver()).toBeUndefined();
  });

  test('what is left open by a router that stops is taken over at once, and it comes back as if new', async () => {
    const at = await place();
    const [a, b] = [await opened(among('a'), at), await opened(among('b'), at)];
    await a.accept(request('one', { target: 'poller' }), '{}');
    await a.close();
    expect((await memberOf(b).beat('', {})).routers[0]).toMatchObject({ id: 'a', state: 'stopped', silentSeconds: 0 });
    expect(await memberOf(b).takeOver()).toEqual({ router: 'a', tokens: ['one'] });
    const again = await opened(among('a'), at);
    expect(await unsettled(again)).toEqual([]);
    await again.accept(request('two'), '{}');
    expect((await memberOf(b).beat('', {})).routers[0]).toMatchObject({ id: 'a', state: 'up' });
  });

  test('a request that was kept is taken by nobody who was told of it before', async () => {
    const at = await place();
    const [a, b] = [await opened(among('a'), at), await opened(among('b'), at)];
    await a.accept(request('one'), '{}');
    expect(await memberOf(b).keep('one')).toBeUndefined();
    expect(await memberOf(a).keep('one')).toBe(1);
    expect(await memberOf(b).claim('one', 'a', 0)).toBe('a');
    expect(await memberOf(a).keep('one')).toBe(2);
    expect(await memberOf(b).claim('one', 'a', 2)).toMatchObject({ token: 'one', hasStarted: true });
    expect(await memberOf(a).keep('one')).toBeUndefined();
    await silence(at, 'b', 11);
    expect(await memberOf(a).takeOver()).toEqual({ router: 'b', tokens: ['one'] });
    await expect(memberOf(b).keep('one')).resolves.toBeUndefined();
  });

  test('what may have run at a router that is gone is known, whoever takes it over, and after each restart', async () => {
    const at = await place();
    const [a, b] = [await opened(among('a'), at), await opened(among('b'), at)];
    await a.accept(request('there', { target: 'a' }), '{}');
    await a.accept(request('farther', { target: 'poller' }), '{}');
    await silence(at, 'a', 11);
    expect((await memberOf(b).takeOver())?.tokens.toSorted()).toEqual(['farther', 'there']);
    await b.close();
    const again = await opened(among('b'), at);
    const { requests } = await again.unsettled(0, 10, 1_000_000);
    expect(requests.map(({ token, hasStarted }) => [token, hasStarted])).toEqual([
      ['there', true],
      ['farther', undefined],
    ]);
    const c = await opened(among('c'), at);
    await silence(at, 'b', 11);
    expect((await memberOf(c).takeOver())?.tokens).toHaveLength(2);
    const open = await memberOf(c).openHere(['there', 'farther']);
    expect(new Map(open.map(({ token, hasStarted }) => [token, hasStarted]))).toEqual(
      new Map([
        ['there', true],
        ['farther', undefined],
      ]),
    );
  });

  test('a request is handed over once, and ends where it is', async () => {
    const at = await place();
    const [a, b, c] = [await opened(among('a'), at), await opened(among('b'), at), await opened(among('c'), at)];
    await a.accept(request('one'), '{}');
    expect(await memberOf(b).claim('one', 'a', 0)).toMatchObject({ token: 'one', action: 'WEATHER' });
    expect(await memberOf(b).claim('one', 'a', 0)).toBe('b');
    expect(await memberOf(c).claim('one', 'a', 0)).toBe('b');
    expect(await memberOf(a).holderOf('one')).toBe('b');
    expect(await memberOf(c).claim('none', 'a', 0)).toBeUndefined();
    const row = await b.append(draft('one', 120));
    expect(await memberOf(a).newsOf(new Map([['one', row.id - 1]]))).toEqual(new Map([['one', row.id]]));
    expect(await memberOf(a).newsOf(new Map([['one', row.id]]))).toEqual(new Map());
    await b.append(draft('one', 2));
    expect(await memberOf(a).holderOf('one')).toBeUndefined();
    await expect(a.append(draft('one', 1))).rejects.toMatchObject({ code: 'TOKEN_ENDED' });
  });

  test('a lock has one holder, until it lets go or leaves', async () => {
    const at = await place();
    const [a, b] = [await opened(among('a'), at), await opened(among('b'), at)];
    const [first, second] = [memberOf(a), memberOf(b)];
    expect([await first.lock('cron'), await second.lock('cron'), await second.lock('other')]).toEqual([
      true,
      false,
      true,
    ]);
    await first.unlock('cron');
    expect([await second.lock('cron'), await first.lock('cron')]).toEqual([true, false]);
    await b.close();
    await expect.poll(() => first.lock('cron')).toBe(true);
  });

  test('trust is written over the version that was read', async () => {
    const at = await place();
    const [a, b] = [memberOf(await opened(among('a'), at)), memberOf(await opened(among('b'), at))];
    expect(await a.readTrust()).toBeUndefined();
    expect([await a.writeTrust('{"a":1}', 0), await b.writeTrust('{"b":1}', 0)]).toEqual([true, false]);
    expect(await b.readTrust()).toEqual({ version: 1, record: '{"a":1}' });
    expect([await b.writeTrust('{"b":1}', 1), await a.writeTrust('{"a":2}', 1)]).toEqual([true, false]);
    expect(await a.readTrust()).toEqual({ version: 2, record: '{"b":1}' });
    expect((await a.beat('', {})).trust).toBe(2);
  });
});
