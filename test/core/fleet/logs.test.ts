import { copyFileSync } from 'node:fs';
import path from 'node:path';
import { failure, faultOf, type JsonObject, parseData } from '@centreond/protocol';
import Database from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { toldRows } from '../../../core/dist/fleet/fleet-actions.js';
import { LogStreams } from '../../../core/dist/fleet/log-streams.js';
import { Logs, type ToldLog } from '../../../core/dist/fleet/logs.js';
import { PeerRequests } from '../../../core/dist/fleet/peer-requests.js';
import { Leaving, type Peer } from '../../../core/dist/router/peer.js';
import { Verbs } from '../../../core/dist/router/verbs.js';
import type { TokenStore } from '../../../core/dist/store/token-store.js';
import { until } from '../../daemon-process.ts';
import { allRows, DAY, draft, folder, opened, request, TestClock } from '../store/opened.ts';

const SILENT = { debug() {}, info() {}, warn() {}, error() {} } as never;

interface TestPeer extends Peer {
  open: boolean;
  leave(): void;
}

function peer(identity: string, send: (message: string) => void = () => {}): TestPeer {
  const leaving = new Leaving();
  return {
    onLeft: (listener) => leaving.add(listener),
    leave() {
      this.open = false;
      leaving.over();
    },
    identity,
    roles: new Set(['node'] as const),
    grant: { identity, fingerprint: '', roles: ['node'] },
    open: true,
    backlog: 0,
    send,
  };
}

/** A router that takes logs into `store`. */
async function taking(
  store: TokenStore,
  monotonic = () => performance.now(),
  adopt: TokenStore['adopt'] = (page) => store.adopt(page),
) {
  const logs = new Logs({
    id: 'central',
    store,
    clock: { monotonic },
    log: SILENT,
    fault: (_text, data) => (faultOf(data, 28) ? 'INVALID_DATA' : undefined),
    renewed: () => {},
    adopt,
  });
  await logs.start();
  return logs;
}

const own = (node: string) => ({ node, speaksFor: (other: string) => other === node });

/** A session by which the node's log goes up, that can be cut before or after a message was taken. */
class Session {
  readonly #verbs = new Verbs(SILENT);
  readonly requests = new PeerRequests(this.#verbs);
  readonly up: TestPeer;
  readonly down: TestPeer;
  readonly messages: ToldLog[] = [];
  /** What to do about a message: `lost` on the way there, or its answer on the way back. */
  fate: (message: ToldLog) => 'arrives' | 'lost' | 'unanswered' | JsonObject = () => 'arrives';

  constructor(logs: Logs, node = 'paris') {
    this.down = peer(node);
    this.up = peer('central', (text) => {
      const [, token = ''] = /^\[SETLOGS\] \[([^\]]*)\]/.exec(text) ?? [];
      const message = parseData(text.slice(text.indexOf('{'))) as unknown as ToldLog;
      this.messages.push(message);
      const fate = this.fate(message);
      if (typeof fate === 'object') this.#answer(token, 1, fate);
      if (fate === 'lost' || typeof fate === 'object') return;
      logs.take(this.down, own(node), message).then(
        (taken) => fate === 'arrives' && this.#answer(token, 0, { ...taken }),
        (error) => this.#answer(token, 1, error.toData()),
      );
    });
  }

  #answer(token: string, code: number, data: object): void {
    const ack = Buffer.from(`[ACK] [${token}] ${JSON.stringify({ code, data })}`);
    if (this.up.open) this.#verbs.receive(this.up, ack, () => {});
  }

  cut(): void {
    this.down.open = false;
    this.up.leave();
    this.down.leave();
  }
}

const message = (from: number, to: number, more: object = {}): ToldLog => ({
  epoch: 'one',
  rows: Array.from({ length: to - from }, (_, i) => ({
    id: from + i + 1,
    token: 'there',
    type: 'DONE',
    node: 'paris',
    code: 0,
    etime: 5,
    data: from + i + 1,
    ...more,
  })),
  last: to,
});
const ids = async (store: TokenStore) => (await allRows(store)).map(({ data }) => Number(data));

describe('the log of a node', () => {
  test('moves its cursor only where it has no gap, and stores each row once', async () => {
    const store = await opened();
    const logs = await taking(store);
    const session = peer('paris');
    const take = async (told: ToldLog) => (await logs.take(session, own('paris'), told)).last;
    // What came before the first message of a session is not known from that message.
    expect(await take(message(0, 3))).toBe(0);
    expect(await take(message(3, 5))).toBe(0);
    // The empty message says where the session begins.
    expect(await take(message(0, 0))).toBe(0);
    expect(await take(message(0, 5))).toBe(5);
    expect(await take(message(5, 6))).toBe(6);
    expect(await ids(store)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(logs.cursorOf('paris')).toBe(6);
    expect(logs.counters).toMatchObject({ rows: 6, known: 5 });
    // Another database of the node begins anew.
    expect(await take({ ...message(0, 0), epoch: 'two' })).toBe(0);
    expect(await take({ ...message(0, 2), epoch: 'two' })).toBe(2);
    expect(await ids(store)).toEqual([1, 2, 3, 4, 5, 6, 1, 2]);
    expect(await store.cursors()).toEqual([{ node: 'paris', epoch: 'two', last: 2 }]);
  });

  test('asked for page by page closes a gap', async () => {
    const store = await opened();
    const logs = await taking(store);
    await logs.take(peer('paris'), own('paris'), message(3, 5));
    expect(await logs.takeAnswer(own('paris'), message(0, 4), 0)).toMatchObject({ stored: 3, known: 1, last: 4 });
    expect(await logs.takeAnswer(own('paris'), message(4, 5), 4)).toMatchObject({ stored: 0, known: 1, last: 5 });
    expect(await logs.takeAnswer(own('paris'), message(7, 9), 7)).toMatchObject({ stored: 2, last: 5 });
  });

  test('is brought by one session at a time, for 60 s after its last word or until it is over', async () => {
    let now = 0;
    const store = await opened();
    const logs = await taking(store, () => now);
    const [first, second] = [peer('paris'), peer('paris')];
    await logs.take(first, own('paris'), message(0, 1));
    now = 59_000;
    await expect(logs.take(second, own('paris'), message(0, 1))).rejects.toMatchObject({ code: 'BUSY' });
    await logs.take(first, own('paris'), message(1, 2));
    now = 100_000;
    await expect(logs.take(second, own('paris'), message(0, 1))).rejects.toMatchObject({ code: 'BUSY' });
    now = 120_000;
    await logs.take(second, own('paris'), message(0, 1));
    await expect(logs.take(first, own('paris'), message(2, 3))).rejects.toMatchObject({ code: 'BUSY' });
    second.leave();
    await logs.take(first, own('paris'), message(2, 3));
    // Whoever carries the node now need not wait for who carried it before.
    logs.carriedBy('paris', first, true);
    await expect(logs.take(second, own('paris'), message(0, 1))).rejects.toMatchObject({ code: 'BUSY' });
    logs.carriedBy('paris', second, true);
    await logs.take(second, own('paris'), message(0, 1));
  });

  test('waits where a message could not be stored: what comes behind it is not taken before it', async () => {
    const store = await opened();
    let isFull = false;
    const adopt: typeof store.adopt = async (page) => {
      if (isFull) throw failure('STORE_FAILED', { reason: 'the disk is full' });
      return store.adopt(page);
    };
    const logs = await taking(store, undefined, adopt);
    const session = peer('paris');
    const take = async (told: ToldLog) => (await logs.take(session, own('paris'), told)).last;
    expect(await take(message(0, 0))).toBe(0);
    expect(await take(message(0, 2))).toBe(2);
    isFull = true;
    await expect(take(message(2, 4))).rejects.toMatchObject({ code: 'STORE_FAILED' });
    await expect(take(message(4, 6))).rejects.toMatchObject({ code: 'STORE_FAILED' });
    isFull = false;
    await expect(take(message(6, 8))).rejects.toThrow('has to come first');
    expect(await ids(store)).toEqual([1, 2]);
    // Either it comes again by itself …
    expect(await take(message(2, 4))).toBe(2);
    expect(await ids(store)).toEqual([1, 2, 3, 4]);
    isFull = true;
    await expect(take(message(4, 6))).rejects.toMatchObject({ code: 'STORE_FAILED' });
    isFull = false;
    // … or the node asks where its log stands, and goes on from there …
    expect(await take(message(0, 0))).toBe(2);
    expect(await take(message(2, 6))).toBe(6);
    isFull = true;
    await expect(take(message(6, 8))).rejects.toMatchObject({ code: 'STORE_FAILED' });
    isFull = false;
    // … or it is read from the node.
    expect(await logs.takeAnswer(own('paris'), message(6, 8), 6)).toMatchObject({ stored: 2, last: 8 });
    await take(message(8, 9));
    expect(await ids(store)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test('has rows of nodes behind it, which are the same row whoever brings them', async () => {
    const store = await opened();
    const logs = await taking(store);
    const relayed = (id: number) => ({
      ...message(0, 1).rows[0],
      id,
      origin: { epoch: 'lyon-1', id: 7 },
      node: 'lyon',
    });
    const relay = (name: string) => ({ node: name, speaksFor: (other: string) => other === name || other === 'lyon' });
    const bring = (name: string, id: number) =>
      logs.take(peer(name), relay(name), { epoch: name, rows: [relayed(id) as never], last: id });
    expect(await bring('north', 3)).toMatchObject({ stored: 1 });
    expect(await bring('south', 40)).toMatchObject({ stored: 0, known: 1 });
    const direct = { ...message(0, 1).rows[0], id: 7, node: 'lyon' };
    expect(
      await logs.take(peer('lyon'), own('lyon'), { epoch: 'lyon-1', rows: [direct as never], last: 7 }),
    ).toMatchObject({ known: 1 });
    // Of a node that it may not speak for, and of this router itself.
    expect(
      await logs.take(peer('paris'), own('paris'), { epoch: 'p', rows: [relayed(1) as never], last: 1 }),
    ).toMatchObject({ refused: [{ id: 1, error: 'FORBIDDEN' }] });
    expect(await logs.take(peer('nice'), own('nice'), message(0, 1, { node: 'central' }))).toMatchObject({ known: 1 });
  });

  test('sets aside what cannot be stored, and goes on', async () => {
    const file = path.join(folder(), 'history.sdb');
    const store = await opened({ file });
    const logs = await taking(store);
    let deep: unknown = 1;
    for (let i = 0; i < 40; i++) deep = [deep];
    await store.accept(request('mine', { target: 'paris' }), '{}');
    const rows = message(0, 4, { token: 'mine' }).rows.map((row, i) =>
      i === 0 ? { ...row, data: deep as never } : { ...row, code: i === 3 ? 0 : 2 },
    );
    const session = peer('paris');
    await logs.take(session, own('paris'), message(0, 0));
    expect(await logs.take(session, own('paris'), { epoch: 'one', rows, last: 4 })).toEqual({
      stored: 2,
      known: 0,
      refused: [
        { id: 1, error: 'INVALID_DATA' },
        { id: 3, error: 'TOKEN_ENDED' },
      ],
      last: 4,
    });
    expect((await allRows(store)).map(({ node, code }) => [node, code])).toEqual([
      ['central', 0],
      ['paris', 2],
      ['paris', 0],
    ]);
    const db = new Database(file, { readonly: true });
    onTestFinished(() => void db.close());
    expect(db.prepare('SELECT origin_id, reason FROM centreond_aside ORDER BY origin_id').all()).toEqual([
      { origin_id: 1, reason: 'INVALID_DATA' },
      { origin_id: 3, reason: 'its token mine has ended here' },
    ]);
  });
});

describe('a stream of a log', () => {
  /** Writes `count` rows of their numbers from `from` on. */
  async function write(store: TokenStore, from: number, count: number): Promise<void> {
    await Promise.all(
      Array.from({ length: count }, (_, i) => store.append({ ...draft('job', 100), data: String(from + i) })),
    );
  }
  const there = async (store: TokenStore) =>
    (await allRows(store)).filter(({ code }) => code === 100).map(({ data }) => Number(data));
  const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

  test('brings each row once and in order over any number of cuts', { timeout: 60_000 }, async () => {
    const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
    let state = seed;
    const random = () => {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
      return state / 2 ** 31;
    };
    const [node, central] = [await opened({ node: 'paris' }), await opened()];
    const logs = await taking(central);
    await node.accept(request('job'), '{}');
    const link = (sound = false) => {
      const session = new Session(logs);
      let broken = false;
      // Where one message is lost, so are all after it.
      session.fate = () => {
        if (sound) return 'arrives';
        broken ||= random() < 0.1;
        return broken ? 'lost' : random() < 0.1 ? 'unanswered' : 'arrives';
      };
      const streams = new LogStreams({ store: node, requests: session.requests, log: SILENT, rowsOf: toldRows });
      streams.serve(session.up);
      return { session, streams };
    };
    let { session, streams } = link();
    const cut = (sound = false) => {
      session.cut();
      ({ session, streams } = link(sound));
    };
    let written = 0;
    for (let round = 0; round < 40; round++) {
      const count = Math.floor(random() * 400);
      await write(node, written, count);
      written += count;
      if (random() < 0.7) cut();
    }
    cut(true);
    await until(`all is there (SEED=${seed})`, async () => logs.cursorOf('paris') === (await node.end()));
    expect(await there(central), `SEED=${seed}`).toEqual(upTo(written));
    await streams.flush(5000);
    expect(logs.cursorOf('paris')).toBe(await node.end());
    session.cut();
  });

  test('leaves a note in the place of a row that the router cannot take, and goes on', async () => {
    const [node, central] = [await opened({ node: 'paris' }), await opened()];
    const logs = await taking(central);
    await central.accept(request('job', { target: 'paris' }), '{}');
    await node.accept(request('job'), '{}');
    await write(node, 0, 300);
    await node.append({ token: 'job', code: 2, etime: 5, data: JSON.stringify('x'.repeat(300_000)) });
    await node.accept(request('next'), '{}');
    const session = new Session(logs);
    const limit = 20_000;
    session.fate = (told) => {
      const bytes = JSON.stringify(told).length;
      return bytes > limit ? { ...failure('TOO_LARGE', { bytes, limit }).toData() } : 'arrives';
    };
    const streams = new LogStreams({ store: node, requests: session.requests, log: SILENT, rowsOf: toldRows });
    streams.serve(session.up);
    await until('all is there', async () => logs.cursorOf('paris') === (await node.end()));
    expect(await there(central)).toEqual(upTo(300));
    const end = (await allRows(central)).find(({ code }) => code === 1);
    expect(end).toMatchObject({ token: 'job', node: 'paris', data: expect.stringContaining('TOO_LARGE') });
    expect(await central.find('job')).toMatchObject({ state: 'ended' });
    session.cut();
  });

  /** Streams the node's log until all of it is at the router. */
  async function bring(node: TokenStore, logs: Logs): Promise<void> {
    const session = new Session(logs);
    const streams = new LogStreams({ store: node, requests: session.requests, log: SILENT, rowsOf: toldRows });
    streams.serve(session.up);
    await streams.flush(10_000);
    expect(logs.epochOf('paris')).toBe(node.epoch);
    expect(logs.cursorOf('paris')).toBe(await node.end());
    session.cut();
  }

  /** A node whose log has the rows from 0 to `saved` - 1 in a snapshot, and those from there to `brought` - 1 at `logs` too. */
  async function restored(logs: readonly Logs[], saved: number, brought: number): Promise<TokenStore> {
    const file = path.join(folder(), 'history.sdb');
    const copy = path.join(folder(), 'copy.sdb');
    const node = await opened({ file, node: 'paris' });
    await node.accept(request('job'), '{}');
    await write(node, 0, saved);
    const db = new Database(file, { readonly: true });
    db.prepare('VACUUM INTO ?').run(copy);
    db.close();
    await write(node, saved, brought - saved);
    for (const one of logs) await bring(node, one);
    await node.close();
    copyFileSync(copy, file);
    return opened({ file, node: 'paris' });
  }

  for (const { name, saved, brought, more } of [
    { name: 'fewer rows than the router has', saved: 37, brought: 50, more: 2 },
    { name: 'as many rows as the router has', saved: 37, brought: 50, more: 13 },
    { name: 'more rows than the router has', saved: 37, brought: 50, more: 40 },
    { name: 'one row in the place of another', saved: 49, brought: 50, more: 1 },
    { name: 'nothing', saved: 37, brought: 50, more: 0 },
  ]) {
    test(`a database put back from a snapshot, which then wrote ${name}, loses none of its rows and sends none twice`, async () => {
      const central = await opened();
      const logs = await taking(central);
      const node = await restored([logs], saved, brought);
      const { epoch } = node;
      await write(node, 1000, more);
      await bring(node, logs);
      expect(node.epoch).not.toBe(epoch);
      const written = Array.from({ length: more }, (_, i) => 1000 + i);
      expect(await there(central)).toEqual([...upTo(brought), ...written]);
      // What it writes later gets there too, under the same epoch.
      const renewed = node.epoch;
      await write(node, 2000, 2);
      await bring(node, logs);
      expect(node.epoch).toBe(renewed);
      expect(await there(central)).toEqual([...upTo(brought), ...written, 2000, 2001]);
    });
  }

  test('a database put back from a snapshot brings its new rows to each of two routers once', async () => {
    const stores = [await opened(), await opened()];
    const [first, second] = [await taking(stores[0] as TokenStore), await taking(stores[1] as TokenStore)];
    const node = await restored([first, second], 37, 50);
    const { epoch } = node;
    // The second router has been reached again, and knows of no difference, when the first one is.
    const session = new Session(second);
    new LogStreams({ store: node, requests: session.requests, log: SILENT, rowsOf: toldRows }).serve(session.up);
    await until('the second router was asked', () => node.epoch !== epoch);
    const renewed = node.epoch;
    await bring(node, first);
    expect(node.epoch).toBe(renewed);
    await write(node, 1000, 20);
    await bring(node, first);
    await until('all is there', async () => second.cursorOf('paris') === (await node.end()));
    const written = Array.from({ length: 20 }, (_, i) => 1000 + i);
    for (const store of stores) expect(await there(store)).toEqual([...upTo(50), ...written]);
    session.cut();
  });

  test('a log that has rows which the router took as a note, or under other keys, keeps its epoch', async () => {
    const [node, central] = [await opened({ node: 'paris' }), await opened()];
    const logs = await taking(central);
    await node.accept(request('job'), '{}');
    const { epoch } = node;
    const session = new Session(logs);
    session.fate = ({ rows }) =>
      JSON.stringify(rows).length > 20_000 ? { ...failure('TOO_LARGE', { bytes: 1, limit: 1 }).toData() } : 'arrives';
    const streams = new LogStreams({ store: node, requests: session.requests, log: SILENT, rowsOf: toldRows });
    streams.serve(session.up);
    const texts = [
      '{"b":1.0,"a":[1e2,-0,12345678901234567890]}',
      '{"2":1,"1":2,"e":"\\u00e9\\ud800","s":" \\/ "}',
      `"${'\u{1F600}'.repeat(4000)}"`,
      JSON.stringify('x'.repeat(30_000)),
    ];
    for (const data of texts) {
      await node.append({ ...draft('job', 100), data });
      await until('all is there', async () => logs.cursorOf('paris') === (await node.end()));
      await bring(node, await taking(central));
      expect(node.epoch, data.slice(0, 80)).toBe(epoch);
    }
    session.cut();
  });

  test('a log whose rows were purged while its node was cut off, but for those of an open request, keeps its epoch', async () => {
    const clock = new TestClock();
    const [node, central] = [await opened({ node: 'paris', clock, retentionSeconds: DAY }), await opened()];
    const logs = await taking(central);
    const { epoch } = node;
    for (const token of ['held', 'job']) await node.accept(request(token), '{}');
    await write(node, 0, 20);
    await bring(node, logs);
    await write(node, 20, 20);
    await node.append(draft('job', 2));
    clock.seconds += 10 * DAY;
    await node.accept(request('newest'), '{}');
    expect((await node.purge()).rows).toBeGreaterThan(40);
    await bring(node, logs);
    expect(node.epoch).toBe(epoch);
    const tokens = (await allRows(central)).map(({ token }) => token);
    expect(tokens.filter((token) => token === 'held')).toHaveLength(1);
    expect(tokens.filter((token) => token === 'newest')).toHaveLength(1);
  });

  test('waits longer after each refusal until the router has stored its rows', async () => {
    const [node, central] = [await opened({ node: 'paris' }), await opened()];
    const logs = await taking(central);
    await node.accept(request('job'), '{}');
    const refusedAt: number[] = [];
    const session = new Session(logs);
    let isFull = true;
    session.fate = ({ rows }) => {
      if (rows.length === 0 || !isFull) return 'arrives';
      refusedAt.push(performance.now());
      return { ...failure('STORE_FAILED', { reason: 'the disk is full' }).toData() };
    };
    const streams = new LogStreams({ store: node, requests: session.requests, log: SILENT, rowsOf: toldRows });
    streams.serve(session.up);
    await until('five refusals', () => refusedAt.length >= 5);
    const waits = refusedAt.slice(1).map((at, i) => at - (refusedAt[i] ?? 0));
    // Half of the longest wait at least: 200 ms, then twice as long each time.
    for (const [i, waited] of waits.entries()) expect(waited).toBeGreaterThan(95 * 2 ** i);
    isFull = false;
    await until('all is there', async () => logs.cursorOf('paris') === (await node.end()));
    isFull = true;
    const before = refusedAt.length;
    await write(node, 0, 1);
    await until('two more refusals', () => refusedAt.length >= before + 2);
    expect((refusedAt[before + 1] ?? 0) - (refusedAt[before] ?? 0)).toBeLessThan(1500);
    session.cut();
  });
});
