import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { openStore } from '../../core/dist/store/open-store.js';
import type { RequestFilter, TokenStore } from '../../core/dist/store/token-store.js';
import { allRows, draft, options, request, START, TestClock } from '../core/store/opened.ts';
import { noPostgres, PostgresServer } from '../core/store/postgres-server.ts';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';

const BIN = path.join(ROOT, 'core/bin/centreond.js');

/** What a daemon keeps in its file after a long life. */
async function fill(store: TokenStore, clock: TestClock): Promise<void> {
  await store.put(draft('noted', 120, { type: 'NOTE' }), { owner: 'alice' });
  await store.put(draft('taken', 120), { owner: 'alice', own: request('putlog', { action: 'PUTLOG' }) });
  await store.accept(request('finished'), '{"at":"first"}');
  await store.append(draft('finished', 120, { type: 'OTHER', data: '{"nul":"\u0000\u0001"}' }));
  await store.append(draft('finished', 2));
  await store.accept(request('failed', { owner: 'bob', envelope: '{"deadline":5}' }), '{}');
  await store.append(draft('failed', 1, { data: '{"error":"NO_WAY","message":"é"}' }));
  await store.accept(request('taken', { action: 'LATER' }), '{}');
  await store.append(draft('taken', 2));
  await store.accept(request('open', { data: JSON.stringify({ long: 'x'.repeat(9000) }) }), '{}');
  await store.accept(request('away', { target: 'paris' }), '{}');
  await store.accept(request('still-away', { target: 'lyon', owner: 'bob' }), '{}');
  const row = (node: string, originId: number, token: string, code: number) => ({
    ...{ node, epoch: `of ${node}`, originId, token, code, type: 'WEATHER', etime: START - 3, data: '{"far":true}' },
  });
  const about = { node: 'paris', epoch: 'of paris', from: 0, last: 40 };
  const rows = [row('paris', 7, 'away', 0), row('paris', 9, 'away', 2), row('behind', 3, 'nobodys', 2)];
  const late = [...rows, row('paris', 11, 'away', 1)];
  await store.adopt({ ...about, rows: late, aside: [{ originId: 12, reason: 'no JSON', text: '{"broken' }] });
  await store.inherit('paris', 'lutetia');
  await store.append({ token: '', type: 'DAEMON', code: 0, etime: START, data: '{"started":true}' });
  clock.seconds += 60;
  for (const [type, key] of [
    ['cron', 'b'],
    ['cron', 'a/é'],
    ['acl', 'z'],
  ] as const)
    await store.state.set(type, { key, value: JSON.stringify({ key }) }, 1e6);
  await store.pin('alice', 'key one');
  await store.pin('alice', 'key two');
  await store.pin('bob', 'key three');
  await store.renewEpoch(1000);
  await store.accept(request('after-restore'), '{}');
}

/** A page without the routers at which requests are open: only a database that several share says that. */
function listed({ requests, more }: Awaited<ReturnType<TokenStore['requests']>>) {
  return { requests: requests.map(({ router: _, ...request }) => request), more };
}

/** All that a store can be asked. */
async function answersOf(store: TokenStore): Promise<unknown> {
  const page = { limit: 1000, maxBytes: 1e8 };
  const rows = await allRows(store);
  const tokens = [...new Set(rows.map(({ token }) => token)), 'putlog', 'unknown'];
  const lists: Partial<RequestFilter>[] = [
    ...[{}, { state: 'open' }, { state: 'failed' }, { state: 'finished' }, { owner: 'bob' }, { node: 'paris' }],
    ...[{ action: 'LATER' }, { node: '' }, { since: START + 30 }, { until: START + 30 }, { token: 'failed' }],
  ] as Partial<RequestFilter>[];
  const unsettled = await store.unsettled(0, 1000, 1e8);
  return {
    ...{ rows, tokens, unsettled, epoch: store.epoch, end: await store.end() },
    filtered: await Promise.all(
      [
        { owner: 'alice' },
        { owner: 'bob', target: 'paris' },
        { code: 2 },
        { counting: true },
        { etime: START - 2 },
      ].map((filter) => store.query({ ...filter, ...page })),
    ),
    text: await store.queryText(page),
    log: await store.log(0, 1000, 1e8),
    known: await Promise.all(tokens.map((token) => store.find(token))),
    lists: await Promise.all(lists.map(async (filter) => listed(await store.requests({ ...filter, as: '', ...page })))),
    cursors: (await store.cursors()).toSorted((a, b) => (a.node < b.node ? -1 : 1)),
    foreign: await store.foreignRow({ node: 'paris', epoch: 'of paris', upTo: 100, characters: 5 }),
    state: await Promise.all(['cron', 'acl', 'none'].map((type) => store.state.list(type, '', '', 1e6))),
    pinned: await Promise.all(['alice', 'bob', 'nobody'].map((identity) => store.pinned(identity))),
    ...{ former: await store.formerEpochs(), purged: await store.purgedUpTo() },
  };
}

describe.skipIf(noPostgres)('centreond store copy --to postgres', () => {
  const server = new PostgresServer();
  beforeAll(() => server.start());
  afterAll(() => server.stop());

  /** A daemon that does not run, with a history that `make` has made, and a new database whose URL is in a file beside its config. */
  async function withHistory(make = fill) {
    const daemon = new DaemonProcess();
    onTestFinished(() => daemon.dispose());
    const config = daemon.writeConfig();
    mkdirSync(path.dirname(daemon.database), { recursive: true, mode: 0o700 });
    const clock = new TestClock();
    const inFile = async <T>(work: (store: TokenStore) => Promise<T>) => {
      const store = await openStore(options({ file: daemon.database, clock }));
      return work(store).finally(() => store.close());
    };
    await inFile((store) => make(store, clock));
    const database = await server.database();
    const url = server.tcpUrl(database);
    const inDatabase = async <T>(work: (store: TokenStore) => Promise<T>) => {
      const store = await openStore(options({ url, clock }));
      return work(store).finally(() => store.close());
    };
    writeFileSync(path.join(daemon.folder, 'postgres-url'), `${url}\n`, { mode: 0o600 });
    const words = ['store', 'copy', '--to', 'postgres', '--url', 'file:postgres-url', '--config', config];
    const copy = async (...more: string[]) => {
      const done = await daemon.cli(...words, ...more);
      for (const secret of [server.password, encodeURIComponent(server.password)])
        expect(done.stdout + done.stderr).not.toContain(secret);
      return done;
    };
    return { daemon, config, database, url, words, copy, inFile, inDatabase };
  }

  const query = async (database: string, text: string) => (await server.query(database, text))[0]?.[0];

  /** What is noted as the bytes in use is what rows, requests and entries come to. */
  const expectBytes = async (database: string) => {
    const texts = (...columns: string[]) => columns.map((column) => `octet_length(${column})`).join(' + ');
    const counted = await query(
      database,
      `SELECT (SELECT sum(280 + ${texts('token', 'data')}) FROM centreond_history)
        + (SELECT sum(420 + ${texts('token', 'owner', 'action', 'target', 'envelope', 'data')}) FROM centreond_request)
        + (SELECT sum(${texts('key', 'value')}) FROM centreond_state)`,
    );
    expect(await query(database, 'SELECT sum(bytes) FROM centreond_writer')).toBe(counted);
  };

  test('has a router answer from PostgreSQL what it answered from its file, and go on with the next id', async () => {
    const { daemon, database, copy, inFile, inDatabase } = await withHistory();
    const before = await inFile(answersOf);
    const done = await copy();
    expect(done.stderr).toBe('');
    expect(done.code).toBe(0);
    expect(done.stdout).toMatch(/REQUESTS +ROWS +STATE +LOGS +ASIDE +KEYS +SHA-256/);
    const digests = [...done.stdout.matchAll(/ (9) +(\d+) +(3) +(2) +(2) +(2) +([0-9a-f]{64})$/gm)];
    expect(digests).toHaveLength(2);
    expect(digests[1]?.slice(1)).toEqual(digests[0]?.slice(1));
    expect(done.stdout).toContain('store: { driver: postgres, url: "file:./postgres-url" }');
    expect(done.stdout).toMatch(/Trust and keys stay in var/);
    expect(await inDatabase(answersOf)).toEqual(before);

    const next = (store: TokenStore) => store.accept(request('next'), '{}');
    const row = await inFile(next);
    expect(await inDatabase(next)).toEqual(row);
    await expectBytes(database);
    expect(statSync(daemon.database).size).toBeGreaterThan(0);
  });
  test('says the same when it is run again, begins again where the daemon ran meanwhile, and leaves a database in use alone', async () => {
    const { copy, inFile, inDatabase } = await withHistory();
    const first = await copy('--json');
    expect(first.code).toBe(0);
    expect(JSON.parse(first.stdout)).toMatchObject({ file: { requests: 9, entries: 3 } });
    expect((await copy('--json')).stdout).toBe(first.stdout);

    await inFile((store) => store.append(draft('open', 2)));
    const second = await copy('--json');
    expect(second.code).toBe(0);
    const { file, database } = JSON.parse(second.stdout) as Record<'file' | 'database', object>;
    expect(database).toEqual(file);
    expect(file).not.toEqual((JSON.parse(first.stdout) as { file: object }).file);
    expect(await inDatabase(answersOf)).toEqual(await inFile(answersOf));

    const third = await copy();
    expect(third.code).toBe(1);
    expect(third.stderr).toMatch(/^COPY_TARGET_USED: The database postgresql:.* holds the history of central already/);
  });

  test('goes on after kill -9 wherever that came, and no router starts on what is not whole', async () => {
    const many = async (store: TokenStore, clock: TestClock) => {
      await fill(store, clock);
      const data = JSON.stringify({ text: 'y'.repeat(300) });
      for (let from = 0; from < 40_000; from += 2000) {
        const calls = Array.from({ length: 2000 }, (_, i) => {
          const accepted = store.accept(request(`t${from + i}`, { data }), data);
          return i % 10 === 0 ? [accepted] : [accepted, store.append(draft(`t${from + i}`, 2, { data }), accepted)];
        });
        await Promise.all(calls.flat());
      }
    };
    const { daemon, database, words, copy, inFile, inDatabase, url } = await withHistory(many);
    const rows = async (): Promise<number> => {
      const there = "SELECT to_regclass('centreond_history') IS NOT NULL";
      if (!(await query(database, there))) return 0;
      return Number(
        await query(
          database,
          'SELECT (SELECT count(*) FROM centreond_history) + (SELECT count(*) FROM centreond_request)',
        ),
      );
    };
    for (const reached of [1, 30_000, 60_000, 110_000, 116_000]) {
      const child = spawn(process.execPath, [BIN, ...words], { cwd: daemon.folder, stdio: 'ignore' });
      const ended = new Promise((resolve) => child.once('close', (_, signal) => resolve(signal)));
      await until(`${reached} rows and requests are there`, async () => (await rows()) >= reached);
      child.kill('SIGKILL');
      expect(await ended).toBe('SIGKILL');
      await expect(openStore(options({ url }))).rejects.toMatchObject({
        code: 'STORE_UNUSABLE',
        message: expect.stringMatching(
          /history of central is being copied into it and is not whole; run `centreond store copy` again/,
        ),
      });
    }
    const done = await copy('--json');
    expect(done.stderr).toBe('');
    const { file, database: copied } = JSON.parse(done.stdout) as Record<'file' | 'database', object>;
    expect(copied).toEqual(file);
    await expectBytes(database);
    expect(await inDatabase((store) => store.unsettled(0, 10_000, 1e8))).toEqual(
      await inFile((store) => store.unsettled(0, 10_000, 1e8)),
    );
    expect(await inDatabase((store) => store.end())).toBe(await inFile((store) => store.end()));
  });

  test('is an error where the database came to differ, and begins from the start the next time', async () => {
    const { database, copy, url } = await withHistory();
    expect((await copy()).code).toBe(0);
    await server.query(database, "UPDATE centreond_history SET data = '{}' WHERE id = 4");
    const differs = await copy();
    expect(differs.code).toBe(1);
    expect(differs.stderr).toMatch(/^COPY_DIFFERS: postgresql:.* does not hold what var\/history\.sdb does/);
    await expect(openStore(options({ url }))).rejects.toMatchObject({ code: 'STORE_UNUSABLE' });
    expect((await copy()).code).toBe(0);
  });

  test('refuses a running daemon, a database of somebody else, one that is not there, and a secret that is open', async () => {
    const { daemon, config, database, copy } = await withHistory();
    const other = await withHistory((store) => store.accept(request('theirs'), '{}').then(() => undefined));
    const theirs = (store: TokenStore) => store.find('theirs');
    const url = (text: string) => writeFileSync(path.join(daemon.folder, 'postgres-url'), text);
    url(other.url);
    expect((await other.copy()).code).toBe(0);
    const copied = await copy();
    expect(copied.stderr).toMatch(/^COPY_TARGET_USED: .* holds a copy of another history, of central, already/);
    expect(await other.inDatabase(theirs)).toMatchObject({ state: 'open' });
    const used = await copy();
    expect(used).toMatchObject({ code: 1, stdout: '' });
    expect(used.stderr).toMatch(/^COPY_TARGET_USED: .* holds the history of central already and stays as it is/);
    expect(await other.inDatabase(theirs)).toMatchObject({ state: 'open' });

    url(server.tcpUrl('nowhere'));
    expect((await copy()).stderr).toMatch(/^STORE_UNUSABLE: .*there is no database nowhere .*or correct --url/);
    url('a word');
    expect((await copy()).stderr).toMatch(/^STORE_UNUSABLE: .*--url is not a URL of PostgreSQL; write it as/);
    url(server.tcpUrl(database));
    chmodSync(path.join(daemon.folder, 'postgres-url'), 0o644);
    expect(await copy()).toMatchObject({ code: 2, stderr: expect.stringMatching(/^SECRET_UNUSABLE: --url refers to/) });
    chmodSync(path.join(daemon.folder, 'postgres-url'), 0o600);
    const unsaid = await daemon.cli('store', 'copy', '--to', 'postgres', '--config', config);
    expect(unsaid).toMatchObject({ code: 2, stderr: expect.stringMatching(/^USAGE: --url names the database/) });

    await daemon.start();
    const running = await copy();
    expect(running.code).toBe(1);
    expect(running.stderr).toMatch(
      /^COPY_DAEMON_RUNS: The daemon with pid \d+ works on .*var, and a history is copied only while nobody writes to it\. Stop it/,
    );
    expect(await query(database, "SELECT to_regclass('centreond_history') IS NULL")).toBe(true);
    expect(await daemon.end()).toBe(0);
  });

  test('has nothing to copy where no daemon ran, and copies the table of the original with what is null in it', async () => {
    const { daemon, copy, inDatabase, inFile } = await withHistory();
    const db = new Database(daemon.database);
    db.exec('INSERT INTO centreond_history (id, token, code, etime, ctime, data) VALUES (5000, NULL, 0, 7, 8, NULL)');
    db.close();
    expect((await copy()).code).toBe(0);
    expect(await inDatabase(allRows)).toEqual(await inFile(allRows));
    const empty = new DaemonProcess();
    onTestFinished(() => empty.dispose());
    const none = await empty.cli(
      'store',
      'copy',
      '--to',
      'postgres',
      '--url',
      server.tcpUrl('any'),
      '--config',
      empty.writeConfig(),
    );
    expect(none).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^NOTHING_TO_COPY: There is no history to copy in/),
    });
  });

  test('takes the URL of a config that names the database already, where the daemon then goes on with its key and requests', async () => {
    const { daemon } = await withHistory();
    await daemon.start();
    const { fingerprint } = daemon;
    expect(await daemon.end()).toBe(0);
    daemon.settings.core = { store: { driver: 'postgres', url: 'file:./postgres-url' } };
    const copied = await daemon.cli('store', 'copy', '--to', 'postgres', '--config', daemon.writeConfig());
    expect(copied.stderr).toBe('');
    expect(copied.stdout).not.toContain('Write into');
    await daemon.start();
    const listed = await daemon.cli('requests', '--owner', 'alice', '--json');
    const tokens = [...listed.stdout.matchAll(/"token":"([^"]+)"/g)].map(([, token]) => token);
    expect(tokens).toEqual(['after-restore', 'away', 'open', 'finished', 'taken']);
    expect(daemon.fingerprint).toBe(fingerprint);
    expect(await daemon.end()).toBe(0);
  });
});

test.runIf(process.env.CI)('PostgreSQL is there to be tested with', () => expect(noPostgres).toBeUndefined());
