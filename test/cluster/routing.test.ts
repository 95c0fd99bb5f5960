import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { keyPairOf } from '@centreond/protocol/channel';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noPostgres } from '../core/store/postgres-server.ts';
import { until } from '../daemon-process.ts';
import { rsaKey } from '../rsa-keys.ts';
import { Cluster } from './cluster.ts';
import type { Router } from './member.ts';
import { noNats } from './nats-server.ts';

describe.skipIf(noPostgres ?? noNats)('two routers of a cluster', () => {
  let cluster: Cluster;
  let a: Router;
  let b: Router;
  let number = 0;
  const token = () => `routing-${++number}`;

  beforeAll(async () => {
    cluster = await Cluster.start({ routers: 2, nodes: 1 });
    [a, b] = cluster.routers as [Router, Router];
  });
  afterAll(() => cluster?.close());

  test('each tells of both, and of who carries which node', async () => {
    for (const router of [a, b]) {
      const routers = async () => (await cluster.admin(router).send('GETROUTERS', {})).data;
      // A heartbeat says how many nodes a router has.
      await expect.poll(routers, { timeout: 10_000 }).toMatchObject({
        cluster: 'test',
        natsAway: null,
        routers: [
          { id: a.id, state: 'up', self: router === a, nodes: 1, nats: true },
          { id: b.id, state: 'up', self: router === b, nodes: 1, nats: true },
        ],
      });
    }
    const { data } = await cluster.admin(a).send('CONSTATUS', {});
    const [mine, others] = ['node-a1', 'node-b1'].map((id) =>
      (data.nodes as { id: string }[]).find((one) => one.id === id),
    );
    expect(mine).toMatchObject({ state: 'up', kind: 'pull' });
    expect(mine).not.toHaveProperty('router');
    expect(others).toMatchObject({ state: 'up', router: b.id });
    expect((data.nodes as { id: string }[]).map(({ id }) => id)).toEqual(['node-a1', 'node-b1']);
  });

  test('a request with the other as its target runs there, and is followed here', async () => {
    const one = token();
    expect(await cluster.client(a).call('ECHO', { a: 1 }, { target: b.id, token: one })).toMatchObject({ ok: true });
    const seen = await cluster.client(b).query({ token: one });
    expect(seen.map(({ code, node }) => `${code} ${node}`)).toEqual(['0 central-a', `2 ${b.id}`]);
  });

  test('what is answered in the ACK is answered by the other', async () => {
    const { data } = await cluster.admin(a).send('INFORMATION', {}, { target: b.id });
    expect(data.id).toBe(b.id);
    await expect(cluster.client(a).send('KEYS', {}, { target: b.id })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    const { data: keys } = await cluster.admin(a).send('KEYS', {}, { target: b.id });
    expect(keys).toBeDefined();
  });

  test('DATA of 3 MiB goes to a node of the other, and back', async () => {
    const text = 'x'.repeat(3 * 1024 * 1024);
    const { data } = await cluster.client(a).call('ECHO', { text }, { target: 'node-b1', timeoutMs: 30_000 });
    expect((data as { text?: string }).text?.length).toBe(text.length);
  });

  test('a request is cancelled at the router where it is not open', async () => {
    const one = token();
    const ends = cluster.client(a).call('ONCE', { ms: 60_000, rows: 0 }, { token: one, timeoutMs: 30_000 });
    await until('it runs', async () => (await cluster.client(b).query({ token: one })).length > 0);
    const { data } = await cluster.client(b).call('CANCEL', { token: one });
    expect(data).toEqual({ token: one, cancelled: true });
    expect(await ends).toMatchObject({ ok: false, data: { error: 'CANCELLED' } });
  });

  test('a token is one request in the whole cluster', async () => {
    const one = token();
    await cluster.client(a).call('ECHO', { a: 1 }, { token: one });
    const again = await cluster.client(b).call('ECHO', { a: 1 }, { token: one });
    expect(again).toMatchObject({ ok: true });
    await expect(cluster.client(b).call('ECHO', { a: 2 }, { token: one })).rejects.toMatchObject({
      code: 'TOKEN_REUSED',
    });
  });

  test('the log of a node of the other is brought to the history when it is asked for', async () => {
    const one = token();
    await cluster.client(b).call('ECHO', {}, { token: one, target: 'node-b1' });
    const { data } = await cluster.client(a).send('GETLOG', { token: one }, { target: 'node-b1' });
    expect((data.result as { code: number }[]).map(({ code }) => code)).toContain(2);
  });

  test('who is let in at one is let in at the other, and who is shut out leaves both', async () => {
    const fingerprint = keyPairOf(rsaKey()).thumbprint;
    await cluster.admin(a).call('ACCEPTKEY', { fingerprint, identity: 'carol', roles: ['client'] });
    const keysAt = async (router: Router) =>
      ((await cluster.admin(router).send('KEYS', {})).data.keys as { identity?: string; state: string }[]).find(
        ({ identity }) => identity === 'carol',
      )?.state;
    await until('it is known at the other', async () => (await keysAt(b)) === 'accepted');
    await cluster.admin(b).call('REVOKEKEY', { key: 'carol' });
    await until('it is shut out', async () => (await keysAt(a)) === 'revoked');
  });

  test('a join code names both', async () => {
    const { data } = await cluster.admin(a).send('JOIN', { identity: 'poller-9' });
    expect(data).toMatchObject({ others: [{ address: b.endpoint, fingerprint: b.fingerprint }] });
    expect(existsSync(path.join(a.folder, 'var/keys/trust.json'))).toBe(true);
    await until('the token is open at the other', () =>
      readFileSync(path.join(b.folder, 'var/keys/trust.json'), 'utf8').includes('poller-9'),
    );
  });
});
