import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { request, TestLog } from '../core/store/opened.ts';
import { noPostgres, PostgresServer } from '../core/store/postgres-server.ts';
import { report, seconds } from '../fleet/report.ts';
import { holds, Load, opened } from './store-load.ts';
import { Way } from './way.ts';

const BACK_MS = 5000;

describe.skipIf(noPostgres)('a standby of PostgreSQL that takes the place of the server that was killed', () => {
  const primary = new PostgresServer(['fsync=on']);
  let standby: PostgresServer;
  let database: string;
  beforeAll(async () => {
    await primary.start();
    database = await primary.database();
    standby = await primary.standby();
  }, 60_000);
  afterAll(async () => {
    await Promise.all([primary.stop(), standby?.stop()]);
  });

  test('has all that was acknowledged, where commits waited for it, and is used within 5 s', async () => {
    const way = new Way(primary.port);
    onTestFinished(() => way.close());
    const log = new TestLog();
    const store = await opened(primary.tcpUrl(database, { port: await way.listen() }), log);
    const load = new Load(store, 'failover');
    await vi.waitFor(() => expect(load.ended.size).toBeGreaterThan(200), { timeout: 30_000 });
    await primary.kill();
    await expect(store.accept(request('between'), '{}')).rejects.toMatchObject({ code: 'STORE_FAILED' });
    await standby.promote();
    way.target = standby.port;
    const back = performance.now();
    const { size } = load.ended;
    await vi.waitFor(() => expect(load.ended.size).toBeGreaterThan(size), { timeout: 30_000, interval: 10 });
    const used = performance.now() - back;
    await vi.waitFor(() => expect(load.ended.size).toBeGreaterThan(size + 100), { timeout: 30_000 });
    await load.stop();
    report(`a standby took over: ${size} requests before, used ${seconds(used)} after it was promoted`);
    await holds(store, load);
    expect(used).toBeLessThan(BACK_MS);
    expect(log.lines.join('\n')).not.toContain('does not have the last');
  });
});

test.runIf(process.env.CI)('PostgreSQL is there to be tested with', () => expect(noPostgres).toBeUndefined());
