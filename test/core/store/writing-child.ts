/**
 * A process that writes through a store until it is killed: FILE SEED, or the URL of a database in the place of FILE. A line on stdout for each thing that the store
 * said is on disk (`accept TOKEN ID`, `append TOKEN ID CODE`) or refused (`refused CODE`).
 */
import { writeSync } from 'node:fs';
import { Limits } from '../../../core/dist/config/limits.js';
import { openStore } from '../../../core/dist/store/open-store.js';

const [, , file = '', seed = '1'] = process.argv;
const silent = { info: () => {}, warn: () => {}, error: () => {} };
const store = await openStore({
  ...(/^postgresql:/.test(file)
    ? { driver: 'postgres' as const, url: file, router: { fingerprint: 'a key', version: '0.0.0', cluster: '' } }
    : { file }),
  node: 'central',
  synchronous: 'full',
  retentionSeconds: 7 * 24 * 3600,
  maxBytes: 1024 ** 3,
  reads: Limits.parse({}).reads,
  clock: { now: () => Date.now(), monotonic: () => performance.now() },
  log: silent,
});
const pause = new Int32Array(new SharedArrayBuffer(4));
/** Written before anything else happens, so that a kill loses no line; the pipe may be full for a moment. */
function say(line: string): void {
  for (;;) {
    try {
      writeSync(1, `${line}\n`);
      return;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}

/** A linear congruential generator: the same seed, the same decisions. */
let state = Number(seed) >>> 0;
function below(limit: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * limit);
}

let made = 0;
async function work(): Promise<void> {
  for (;;) {
    const token = `${seed}-${made++}`;
    const etime = Math.floor(Date.now() / 1000);
    const data = JSON.stringify({ text: 'x'.repeat(below(3000)) });
    try {
      const request = { token, owner: 'alice', action: 'WEATHER', target: '', data, envelope: '', etime };
      const accepting = store.accept(request, '{}');
      // Half of them have a row before they are on disk, as early requests do.
      const isEarly = below(2) === 0;
      accepting.catch(() => {});
      const early = isEarly ? [store.append({ token, code: 120, etime, data }, accepting)] : [];
      for (const row of early) row.catch(() => {});
      const accepted = await accepting;
      if (!accepted.known) say(`accept ${token} ${accepted.row.id}`);
      for (const row of early) say(`append ${token} ${(await row).id} 120`);
      for (let more = below(3); more > 0; more--) {
        const row = await store.append({ token, code: 120, etime, data });
        say(`append ${token} ${row.id} 120`);
      }
      if (below(4) === 0) continue;
      const row = await store.append({ token, code: 2, etime, data });
      say(`append ${token} ${row.id} 2`);
    } catch (error) {
      say(`refused ${error instanceof Error && 'code' in error ? error.code : error}`);
      // A disk that is full now may be full for a while.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}
await store.unsettled(0, 1000, 1e6);
say('open');
await Promise.all(Array.from({ length: 20 }, work));
