import { expect, test } from 'vitest';
import type { TokenStore } from '../../../core/dist/store/token-store.js';
import { eachDriver } from './drivers.ts';
import { allRows, DAY, draft, request, START, TestLog } from './opened.ts';

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

eachDriver(({ opened, place }) => {
  test('a wall clock that is 30 days ahead for ten minutes, also over a restart, costs no row', async () => {
    const at = await place();
    const clock = new WrongClock();
    const first = await opened({ clock }, at);
    await settled(first, 'a');
    await settled(first, 'b');
    await first.purge();
    clock.wall += 30 * DAY;
    for (let minute = 0; minute < 5; minute++) {
      clock.pass(60);
      expect(await first.purge()).toEqual({ rows: 0, requests: 0 });
    }
    await first.close();
    const second = await opened({ clock }, at);
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
});
