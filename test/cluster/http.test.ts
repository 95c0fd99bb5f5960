import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { noPostgres } from '../core/store/postgres-server.ts';
import { ROOT } from '../daemon-process.ts';
import { Cluster } from './cluster.ts';
import { freePort } from './free-port.ts';
import { noNats } from './nats-server.ts';

const SECRET = 'the-secret-of-grafana';
const SEEN = { timeout: 30_000 };

describe.skipIf(noPostgres ?? noNats)('HTTP at one router of a cluster', () => {
  test('speaks for all of them, and says when NATS is away', async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'centreond-http-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const secret = path.join(folder, 'secret');
    writeFileSync(secret, SECRET, { mode: 0o600 });
    const listen = `127.0.0.1:${await freePort()}`;
    const http = {
      package: path.join(ROOT, 'plugins/http'),
      allowCallers: true,
      config: { listen, tokens: [{ name: 'grafana', secret: `file:${secret}`, roles: ['admin'] }] },
    };
    const cluster = await Cluster.start({ routers: 2, nodes: 1, plugins: [http] });
    onTestFinished(() => cluster.close());
    const ask = (url: string) => fetch(`http://${listen}${url}`, { headers: { authorization: `Bearer ${SECRET}` } });
    const json = async (url: string) => (await ask(url)).json();
    const metrics = async () => (await (await ask('/metrics')).text()).split('\n');
    const [, second] = cluster.routers;
    if (!second) throw new Error('there are two routers');
    const { token } = await cluster.client(second).send('ONCE', { ms: 60_000 });

    const up = (id: string, self: boolean, open: number) => ({ id, self, open, state: 'up', nodes: 1, nats: true });
    await expect
      .poll(() => json('/api/routers'), SEEN)
      .toMatchObject({
        cluster: 'test',
        natsAway: null,
        routers: [up('central-a', true, 0), up('central-b', false, 1)],
      });
    const { nodes } = (await json('/api/nodes')) as { nodes: { id: string; router?: string }[] };
    expect(nodes.map(({ id, router }) => [id, router])).toEqual([
      ['node-a1', undefined],
      ['node-b1', 'central-b'],
    ]);
    expect(await json('/api/requests?state=open')).toMatchObject({ requests: [{ token, router: 'central-b' }] });
    expect(await json('/readyz')).toEqual({ ok: true, nats: 'up' });
    expect(await metrics()).toContain('centreond_cluster_routers{cluster="test",state="up"} 2');

    await cluster.nats.kill();
    await expect.poll(() => json('/readyz'), SEEN).toEqual({ ok: true, nats: 'away' });
    expect(await metrics()).toContain('centreond_cluster_nats_up{cluster="test"} 0');
    const away = { natsAway: expect.any(String), routers: [{ nats: false }, { nats: false }] };
    await expect.poll(() => json('/api/routers'), SEEN).toMatchObject(away);
    await second.end('SIGKILL');
    const gone = { routers: [{ state: 'up' }, { state: expect.stringMatching(/silent|taken/) }] };
    await expect.poll(() => json('/api/routers'), SEEN).toMatchObject(gone);
  });
});
