import path from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { PurgeClock } from '../../../core/dist/store/sqlite/purge-clock.js';
import { prepareDatabase } from '../../../core/dist/store/sqlite/schema.js';
import type { TokenStore } from '../../../core/dist/store/token-store.js';
import { allRows, DAY, draft, folder, opened, request, START, TestLog } from './opened.ts';

/** A wall clock that may be wrong, and the time that really passes. */
class WrongClock {
  wall = START;
  passed = 0;
  now(): number {
    return this.wall * 1000;
  }
  monotonic(): number {
    return this.passed * 1000;
  }
  pass(seconds: number): void {
    this.wall += seconds;
    this.passed += seconds;
  }
}

async function settled(store: TokenStore, token: string): Promise<void> {
  await store.accept(request(token), '{}');
  await store.append(draft(token, 2));
}

describe("the purge's clock", () => {
  function database() {
    const db = new Database(path.join(folder(), 'history.sdb'));
    onTestFinished(() => void db.close());
    prepareDatabase(db);
    return db;
  }

  test('follows the wall clock, forwards at most 24 times as fast as time passes', () => {
    const clock = new PurgeClock(database());
    expect(clock.tick(START, 0)).toBe(START);
    expect(clock.tick(START + 60, 60)).toBe(START + 60);
    expect(clock.tick(START + 30 * DAY, 120)).toBe(START + 60 + 24 * 60);
    expect(clock.tick(START + 180, 180)).toBe(START + 180);
  });

  test('forgets a wall clock that was in 1970 for a minute within as much again', () => {
    const clock = new PurgeClock(database());
    clock.tick(START, 0);
    expect(clock.tick(60, 60)).toBe(START - 24 * 60);
    expect(clock.tick(START + 120, 120)).toBe(START);
    expect(clock.tick(START + 180, 180)).toBe(START + 180);
  });

  test('does not advance over a restart by what the wall clock says alone', () => {
    const db = database();
    new PurgeClock(db).tick(START, 1000);
    const again = new PurgeClock(db);
    expect(again.tick(START + 30 * DAY, 5)).toBe(START);
    expect(again.tick(START + 30 * DAY, 65)).toBe(START + 24 * 60);
  });

  test('begins at the newest row in a database of an older centreond', () => {
    const db = database();
    db.prepare('INSERT INTO centreond_history (id, ctime) VALUES (1, ?)').run(START);
    expect(new PurgeClock(db).tick(START + 30 * DAY, 0)).toBe(START);
  });
});

test('a wall clock that is 30 days ahead for ten minutes, also over a restart, costs no row', async () => {
  const file = path.join(folder(), 'history.sdb');
  const clock = new WrongClock();
  const first = await opened({ file, clock });
  await settled(first, 'a');
  await settled(first, 'b');
  await first.purge();
  clock.wall += 30 * DAY;
  for (let minute = 0; minute < 5; minute++) {
    clock.pass(60);
    expect(await first.purge()).toEqual({ rows: 0, requests: 0 });
  }
  await first.close();
  const second = await opened({ file, clock });
  for (let minute = 0; minute < 5; minute++) {
    expect(await second.purge()).toEqual({ rows: 0, requests: 0 });
    clock.pass(60);
  }
  clock.wall -= 30 * DAY;
  expect(await second.purge()).toEqual({ rows: 0, requests: 0 });
  expect(await allRows(second)).toHaveLength(4);
  expect(await second.accept(request('a'), '{}')).toMatchObject({ known: true });
});

test('a purge is logged with its numbers', async () => {
  const clock = new WrongClock();
  const log = new TestLog();
  const store = await opened({ clock, log });
  await settled(store, 'old');
  await store.purge();
  clock.pass(8 * DAY);
  await settled(store, 'young');
  await store.purge();
  expect(log.lines).toEqual([expect.stringMatching(/^info: 2 rows and 1 requests were purged/)]);
});
