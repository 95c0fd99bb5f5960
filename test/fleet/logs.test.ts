import { copyFileSync, globSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Client } from '@centreond/client';
import type { HistoryRow } from '@centreond/protocol';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../daemon-process.ts';
import { Fleet, fresh } from './fleet.ts';
import { median, report, seconds } from './report.ts';

const DELAY_MS = 100;
const ROUND_TRIP_MS = 2 * DELAY_MS;
const DAY_SECONDS = 86_400;

/** The rows of a token as a router has them. */
async function rowsOf(client: Client, token: string): Promise<string[]> {
  const rows = await client.query({ token });
  return rows.map(({ node, code, data }) => {
    const { n, error } = data as { n?: number; error?: string };
    return [node, code, n ?? error ?? ''].join(' ').trim();
  });
}

/** Writes rows 'from' to 'to' under a token into the log of a node. */
async function write(local: Client, token: string, from: number, to: number, padding = ''): Promise<void> {
  for (let n = from; n <= to; n++)
    await local.send('PUTLOG', { token, code: 50, data: { n, ...(padding && { padding }) } });
}

function numbered(node: string, from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => `${node} 50 ${from + i}`);
}

describe('one pushed and one pull node', () => {
  let fleet: Fleet;
  /** An admin, who sees what no client asked for. */
  let root: Client;
  beforeAll(async () => {
    fleet = await Fleet.start({ push: 1, pull: 1 });
    root = await fleet.local(fleet.central);
    report(`on ${fleet.network.description}`);
  });
  afterAll(async () => fleet?.close());
  afterEach(async () => {
    for (const { wire } of fleet.pollers) wire.delayMs = 0;
    await fleet.whenUp();
  });

  test.each(['push-1', 'pull-1'])(
    'a result of %s is seen centrally within two round trips of being written',
    async (id) => {
      const { machine, wire } = fleet.poller(id);
      const local = await fleet.local(machine);
      const lag = async (token: string) => {
        const at = async (client: Client) => {
          for await (const row of client.follow(token)) if (row.code === 2) return performance.now();
          throw new Error(`${token} did not finish`);
        };
        const both = Promise.all([at(local), at(fleet.alice)]);
        await fleet.alice.send('ONCE', { ms: 50 }, { target: id, token });
        const [written, seen] = await both;
        return seen - written;
      };
      const near: number[] = [];
      for (let i = 0; i < 9; i++) near.push(await lag(fresh(`near-${id}-${i}`)));
      wire.delayMs = DELAY_MS;
      const far: number[] = [];
      for (let i = 0; i < 9; i++) far.push(await lag(fresh(`far-${id}-${i}`)));
      const roundTrips = (median(far) - median(near)) / ROUND_TRIP_MS;
      report(`${id}: seen ${roundTrips.toFixed(2)} round trips after it was written (${seconds(median(far))})`);
      // Nothing can be faster than the wire.
      expect(roundTrips).toBeGreaterThan(0.4);
      expect(roundTrips).toBeLessThan(2);
    },
  );

  test.each(['push-1', 'pull-1'])(
    '%s gets a new database: what was here stays, what it writes comes, each row once',
    async (id) => {
      const { machine } = fleet.poller(id);
      const token = fresh(`rebuilt-${id}`);
      const first = await fleet.local(machine);
      await write(first, token, 1, 5);
      await until('the rows are central', async () => (await rowsOf(root, token)).length === 5);
      await first.close();
      await machine.end();
      for (const file of globSync(`${machine.database}*`)) rmSync(file);
      await machine.start();
      await fleet.whenUp();
      const second = await fleet.local(machine);
      // Fewer than before: their ids are those of the rows of the old database.
      await write(second, token, 6, 8);
      await until('the new rows are central', async () => (await rowsOf(root, token)).length === 8);
      expect(await rowsOf(root, token)).toEqual(numbered(id, 1, 8));
      expect((await fleet.alice.call('ONCE', { ms: 0, rows: 2 }, { target: id })).ok).toBe(true);
      await second.close();
    },
  );

  test.each(['push-1', 'pull-1'])(
    '%s gets an older copy of its database back: nothing written after is taken for what is here',
    async (id) => {
      const { machine } = fleet.poller(id);
      const token = fresh(`older-${id}`);
      const began = await fleet.local(machine);
      await write(began, token, 1, 3);
      await began.close();
      await machine.end();
      const copy = `${machine.database}.copy`;
      renameSync(machine.database, copy);
      copyFileSync(copy, machine.database);
      await machine.start();
      await fleet.whenUp();
      const lost = await fleet.local(machine);
      await write(lost, token, 4, 6);
      await until('the rows are central', async () => (await rowsOf(root, token)).length === 6);
      await lost.close();
      await machine.end();
      for (const file of globSync(`${machine.database}-*`)) rmSync(file);
      renameSync(copy, machine.database);
      await machine.start();
      await fleet.whenUp();
      const after = await fleet.local(machine);
      await write(after, token, 7, 9);
      await until('the newest rows are central', async () => (await rowsOf(root, token)).includes(`${id} 50 9`));
      expect(await rowsOf(root, token)).toEqual(numbered(id, 1, 9));
      await after.close();
    },
  );

  test.each(['push-1', 'pull-1'])('GETLOG with TARGET %s brings its log here first', async (id) => {
    const { machine, wire } = fleet.poller(id);
    const local = await fleet.local(machine);
    wire.delayMs = DELAY_MS;
    for (let n = 1; n <= 5; n++) {
      const token = fresh(`synced-${id}-${n}`);
      await write(local, token, 1, 3);
      const answer = await root.send('GETLOG', { token }, { target: id });
      expect((answer.data.result as unknown as HistoryRow[]).map(({ node }) => node)).toEqual([id, id, id]);
      expect(await rowsOf(root, token)).toEqual(numbered(id, 1, 3));
    }
    wire.cut();
    await until('it is seen', async () => (await fleet.stateOf(id)) !== 'up', 20_000);
    await expect(root.send('GETLOG', { token: 'any' }, { target: id })).rejects.toMatchObject({
      code: 'NODE_UNREACHABLE',
    });
    await wire.heal();
    await local.close();
  });
});

describe('a central that takes smaller messages than its nodes', () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.start({ push: 1, pull: 1, central: { core: { maxMessage: '64KiB' } } });
  });
  afterAll(async () => fleet?.close());

  test.each(['push-1', 'pull-1'])(
    'a row of %s that cannot be stored is told of in its place, and the log goes on',
    async (id) => {
      const local = await fleet.local(fleet.poller(id).machine);
      const root = await fleet.local(fleet.central);
      const token = fresh(`large-${id}`);
      await write(local, token, 1, 3);
      await write(local, token, 4, 4, 'x'.repeat(200_000));
      await write(local, token, 5, 600);
      const last = `${id} 50 600`;
      await until('the last row is central', async () => (await rowsOf(root, token)).at(-1) === last, 60_000);
      const rows = await rowsOf(root, token);
      const small = [...numbered(id, 1, 3), ...numbered(id, 5, 600)];
      expect(rows.filter((row) => small.includes(row))).toEqual(small);
      expect(rows.filter((row) => !small.includes(row))).toEqual([`${id} 50 TOO_LARGE`]);
      await root.close();
      await local.close();
    },
  );

  test.each(['push-1', 'pull-1'])('a request to %s whose outcome is too large ends, and says why', async (id) => {
    const outcome = await fleet.alice.call('LARGE', { bytes: 200_000 }, { target: id, timeoutMs: 30_000 });
    expect(outcome).toMatchObject({ ok: false, data: { error: 'TOO_LARGE' } });
    expect((await fleet.alice.call('ONCE', { ms: 0, rows: 3 }, { target: id })).ok).toBe(true);
  });
});

const FAKETIME = globSync('/usr/lib/*/faketime/libfaketimeMT.so.1')[0];

report(FAKETIME ? `clocks by ${FAKETIME}` : 'no libfaketime here: that clocks jump is not tried');
describe.skipIf(FAKETIME === undefined)('clocks under libfaketime', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'centreond-clock-'));
  const clock = (name: string) => {
    const file = path.join(folder, name);
    return {
      wrapper: [
        'env',
        `LD_PRELOAD=${FAKETIME}`,
        `FAKETIME_TIMESTAMP_FILE=${file}`,
        'FAKETIME_NO_CACHE=1',
        'FAKETIME_DONT_FAKE_MONOTONIC=1',
      ],
      /** Where the clock stands, in seconds from the right time. */
      set: (offset: number) => writeFileSync(file, `${offset < 0 ? '' : '+'}${offset}s\n`),
    };
  };
  const clocks = { central: clock('central'), pollers: clock('pollers') };
  let fleet: Fleet;
  beforeAll(async () => {
    for (const one of Object.values(clocks)) one.set(0);
    fleet = await Fleet.start({
      push: 1,
      pull: 1,
      central: { wrapper: clocks.central.wrapper },
      poller: { wrapper: clocks.pollers.wrapper },
    });
  });
  afterAll(async () => {
    await fleet?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test.each(['pollers', 'central'] as const)(
    'the clock of the %s jumps a day ahead, and two back: each row is here once and in order',
    async (whose) => {
      const root = await fleet.local(fleet.central);
      const writers: { id: string; local: Client; token: string }[] = [];
      for (const { id, machine } of fleet.pollers) {
        writers.push({ id, local: await fleet.local(machine), token: fresh(`jump-${whose}-${id}`) });
      }
      let written = 0;
      const more = async () => {
        for (const { local, token } of writers) await write(local, token, written + 1, written + 20);
        written += 20;
      };
      for (const offset of [0, DAY_SECONDS, -DAY_SECONDS, 0]) {
        clocks[whose].set(offset);
        await more();
        const all = async () => {
          const counts = await Promise.all(writers.map(async ({ token }) => (await rowsOf(root, token)).length));
          return counts.every((count) => count === written);
        };
        await until(`all rows are central with the clock at ${offset} s`, all, 30_000);
      }
      // With the right time again, a link that breaks comes back.
      for (const { wire } of fleet.pollers) wire.reset();
      await more();
      await fleet.whenUp();
      for (const { id, token } of writers) {
        await until(`all of ${token} are central`, async () => (await rowsOf(root, token)).length === written, 30_000);
        expect(await rowsOf(root, token)).toEqual(numbered(id, 1, written));
      }
      // The link may be seen to be broken only now.
      const reached = (id: string) => async () =>
        (await fleet.alice.call('ONCE', { ms: 0 }, { target: id }).catch(() => ({ ok: false }))).ok;
      for (const { id } of fleet.pollers) await until(`a request reaches ${id}`, reached(id));
      await Promise.all([root, ...writers.map(({ local }) => local)].map((client) => client.close()));
    },
  );

  test('a clock that is a minute ahead is told of by CONSTATUS', async () => {
    clocks.pollers.set(60);
    for (const { wire } of fleet.pollers) wire.reset();
    const skews = async () =>
      (await fleet.nodes()).map(({ clockSkewSeconds }) => Math.round(Number(clockSkewSeconds) / 10));
    await until('the clocks were compared', async () => (await skews()).every((tens) => tens === 6), 30_000);
  });
});
