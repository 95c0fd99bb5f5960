import net from 'node:net';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { allRows, draft, request, TestLog } from '../core/store/opened.ts';
import { noPostgres, PostgresServer } from '../core/store/postgres-server.ts';
import { holds, Load, opened } from './store-load.ts';

const ROUNDS = process.env.LONG ? 20 : 3;
const BACK_MS = 5000;

/** What a proxy does with the next COMMIT. `answer`: the server gets it, and its answer is lost. `commit`: it is lost itself. */
type Loss = 'answer' | 'commit' | undefined;

const COMMIT = Buffer.from('COMMIT\0');

/** A way to a server on which a COMMIT, or its answer, may be lost, and the connection with it. */
class LossyWay {
  next: Loss;
  lost = 0;
  readonly #server: net.Server;

  constructor(port: number) {
    this.#server = net.createServer((near) => {
      const far = net.connect(port, '127.0.0.1');
      let isMute = false;
      const drop = () => {
        near.destroy();
        far.destroy();
      };
      near.on('data', (data: Buffer) => {
        if (this.next === undefined || !data.includes(COMMIT)) {
          far.write(data);
          return;
        }
        this.lost++;
        if (this.next === 'answer') far.write(data);
        else setImmediate(drop);
        isMute = true;
        this.next = undefined;
      });
      far.on('data', (data) => {
        if (isMute) drop();
        else near.write(data);
      });
      for (const socket of [near, far]) socket.on('error', drop).on('close', drop);
    });
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void this.#server.close());
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('no port was given');
    return address.port;
  }
}

describe.skipIf(noPostgres)('PostgreSQL', () => {
  const server = new PostgresServer(['fsync=on']);
  beforeAll(async () => void (await server.start()));
  afterAll(() => server.stop());

  test('that is killed under load and started again has all that was acknowledged, and is used again within 5 s', async () => {
    const store = await opened(server.url(await server.database()));
    for (let round = 0; round < ROUNDS; round++) {
      const load = new Load(store, `round${round}`);
      await vi.waitFor(() => expect(load.ended.size).toBeGreaterThan(100), { timeout: 30_000 });
      await server.kill();
      await expect(store.accept(request(`probe${round}`), '{}')).rejects.toMatchObject({ code: 'STORE_FAILED' });
      await server.start();
      const back = performance.now();
      const { size } = load.ended;
      await vi.waitFor(() => expect(load.ended.size).toBeGreaterThan(size), { timeout: 30_000, interval: 10 });
      expect(performance.now() - back).toBeLessThan(BACK_MS);
      await load.stop();
      await holds(store, load);
    }
  });

  test('may end the connections of a router, which opens others and loses nothing', async () => {
    const database = await server.database();
    const store = await opened(server.url(database));
    const load = new Load(store, 'terminated');
    for (let round = 0; round < ROUNDS; round++) {
      const { size } = load.ended;
      await vi.waitFor(() => expect(load.ended.size).toBeGreaterThan(size + 100), { timeout: 30_000 });
      await server.query(
        database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'centreond%'",
      );
      // A read that finds its connection gone is made with another one.
      expect(await store.find('nobody')).toBeUndefined();
    }
    const { size } = load.ended;
    await vi.waitFor(() => expect(load.ended.size).toBeGreaterThan(size), { timeout: 30_000 });
    await load.stop();
    await holds(store, load);
  });

  test('that has committed and whose answer is lost has its calls answered as done, once', async () => {
    const proxy = new LossyWay(server.port);
    const url = server.tcpUrl(await server.database(), { port: await proxy.listen() });
    const store = await opened(url);
    for (let round = 0; round < ROUNDS; round++) {
      proxy.next = 'answer';
      expect(await store.accept(request(`t${round}`), '{}')).toMatchObject({ known: false });
      proxy.next = 'answer';
      expect(await store.append(draft(`t${round}`, 2))).toMatchObject({ code: 2 });
      await expect(store.append(draft(`t${round}`, 1))).rejects.toMatchObject({ code: 'TOKEN_ENDED' });
    }
    expect(proxy.lost).toBe(2 * ROUNDS);
    expect((await allRows(store)).map(({ code }) => code)).toEqual(Array.from({ length: ROUNDS }, () => [0, 2]).flat());
  });

  test('that never got the commit has its calls refused, and nothing of them', async () => {
    const proxy = new LossyWay(server.port);
    const url = server.tcpUrl(await server.database(), { port: await proxy.listen() });
    const store = await opened(url);
    proxy.next = 'commit';
    await expect(store.accept(request('t'), '{}')).rejects.toMatchObject({ code: 'STORE_FAILED' });
    expect(await store.find('t')).toBeUndefined();
    await vi.waitFor(() => store.accept(request('t'), '{}'), { timeout: BACK_MS, interval: 10 });
    expect(await allRows(store)).toMatchObject([{ token: 't', code: 0 }]);
  });

  test('that is away for long refuses at once with a sentence, and says so in the log once', async () => {
    const log = new TestLog();
    const store = await opened(server.url(await server.database()), log);
    await store.accept(request('before'), '{}');
    await server.kill();
    await vi.waitFor(async () => {
      const started = performance.now();
      await expect(store.accept(request('t'), '{}')).rejects.toMatchObject({
        code: 'STORE_FAILED',
        message: expect.stringMatching(/PostgreSQL/),
      });
      expect(performance.now() - started).toBeLessThan(100);
    });
    await expect(store.find('before')).rejects.toMatchObject({ code: 'HISTORY_UNREADABLE' });
    await server.start();
    await vi.waitFor(() => store.accept(request('after'), '{}'), { timeout: BACK_MS, interval: 10 });
    expect(await store.find('before')).toMatchObject({ state: 'open' });
    expect(log.lines.filter((line) => line.startsWith('info: the token store is back'))).toHaveLength(1);
    expect(log.lines.join('\n')).not.toContain(server.password);
  });
});

test.runIf(process.env.CI)('PostgreSQL is there to be tested with', () => expect(noPostgres).toBeUndefined());
