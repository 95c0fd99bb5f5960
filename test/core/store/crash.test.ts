import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { eachDriver } from './drivers.ts';
import { holds, idsIn, writing } from './writing.ts';

eachDriver(({ opened, place }) => {
  test('a router that is killed at any moment has all that it said was on disk, and nothing half', async () => {
    const at = await place();
    const seed = Number(process.env.STORE_CRASH_SEED ?? Date.now() % 1_000_000);
    const said: string[] = [];
    for (let round = 0; round < 3; round++) {
      const highest = Math.max(0, ...idsIn(said));
      const run = writing('file' in at ? at.file : at.url, seed + round);
      // Seeded too: somewhere between the first lines and well into the work.
      const enough = 1 + (((seed + round) * 7919) % 500);
      await run.until((lines) => lines.length > enough);
      await run.end();
      said.push(...run.lines);
      expect(Math.min(...idsIn(run.lines), Number.MAX_SAFE_INTEGER), `seed ${seed}`).toBeGreaterThan(highest);
    }
    const store = await opened({}, at);
    await holds(store, said);
    if (!('file' in at)) return;
    const db = new Database(at.file, { readonly: true });
    expect(db.pragma('integrity_check', { simple: true })).toBe('ok');
    db.close();
  });
});
