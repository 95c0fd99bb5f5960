import path from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { PurgeClock } from '../../../../core/dist/store/sqlite/purge-clock.js';
import { prepareDatabase } from '../../../../core/dist/store/sqlite/schema.js';
import { DAY, folder, START } from '../opened.ts';

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
