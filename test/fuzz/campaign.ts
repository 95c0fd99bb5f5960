import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { expect } from 'vitest';
import { seedOfRun } from '../faults/ledger.ts';
import { report } from '../fleet/report.ts';
import { Dice } from './dice.ts';

/** What one fuzzer tries. */
export interface Campaign<Case, Result = void> {
  readonly name: string;
  /** How many cases of the ten million of a long run are its. */
  readonly cases: number;
  /** Makes the case of a seed: the same one each time. */
  make(dice: Dice): Case;
  /** What is tried, and timed. Throws if a promise is broken. It may be run again with the same case. */
  run(one: Case): Result | Promise<Result>;
  /** Throws if the result is not what it must be. It is not timed. */
  check?(one: Case, result: Result): void;
  /** The case for a message. */
  show(one: Case): string;
}

/** All cases of a long run. */
export const LONG_RUN = 10_000_000;
/** A short run has one in so many of them. */
const SHORT_PART = 200;
/** No case takes longer than 50 ms of an idle processor; twice that where others compute. Milliseconds. */
const SLOW_MS = 100;
/** A case that was slow is run again: what was slow once had to wait, or paid for garbage of others. */
const SLOW_TRIES = 5;
/** The part of the cases, and the number at least, after which the heap is compared: code is compiled and pools are filled then. */
const WARM_UP = 0.1;
const LEAST_WARM_UP = 1500;
/** The heap may grow by this much after the warm-up, in bytes: less than half a byte for each case of a long run. */
const GROWTH = 4 * 1024 * 1024;
/** How long cases run before others get their turn, in milliseconds. */
const TURN_MS = 200;
const TIMEOUT_MS = 6 * 3600 * 1000;

const seed = seedOfRun();
setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** The title of a fuzzer's test. */
export function titled(promise: string): string {
  return `${promise} (SEED=${seed})`;
}

/** For tests of {@link fuzz}. */
export const options = { timeout: TIMEOUT_MS };

/**
 * Runs the cases of a campaign: many with --long, CASES of all fuzzers together if it is set, one with CASE=number. Fails with the
 * case whose promise is broken, or that is slow; fails if the heap grew.
 */
export async function fuzz<Case, Result = void>(campaign: Campaign<Case, Result>): Promise<void> {
  const { name, make } = campaign;
  const { CASE, CASES, LONG } = process.env;
  if (CASE !== undefined) {
    const one = make(diceOf(Number(CASE)));
    report(campaign.show(one));
    campaign.check?.(one, await campaign.run(one));
    return;
  }
  const all = CASES ? Number(CASES) : LONG ? LONG_RUN : LONG_RUN / SHORT_PART;
  const count = Math.ceil((campaign.cases * all) / LONG_RUN);
  const current = new Int32Array(new SharedArrayBuffer(4));
  const watch = new Worker(new URL('./hang-watch.ts', import.meta.url), {
    workerData: { current, name: `fuzzer ${name}, SEED=${seed}` },
  });
  const stopwatch = new Stopwatch(campaign);
  const began = performance.now();
  let turn = began;
  const warm = Math.max(LEAST_WARM_UP, Math.floor(count * WARM_UP));
  let before: number | undefined;
  try {
    for (let i = 0; i < count; i++) {
      current[0] = i;
      if (i === warm) before = await heap();
      await stopwatch.run(i);
      if (performance.now() - turn < TURN_MS) continue;
      await new Promise((resolve) => setImmediate(resolve));
      turn = performance.now();
    }
  } finally {
    await watch.terminate();
  }
  const seconds = (performance.now() - began) / 1000;
  const growth = before === undefined ? 0 : (await heap()) - before;
  const memory =
    before === undefined ? 'too few for its heap' : `heap ${Math.round(growth / 1024)} KiB after its warm-up`;
  const rate = Math.round(count / seconds);
  report(`${name}: ${count} cases, ${rate} a second, the slowest ${stopwatch.slowest.toFixed(1)} ms, ${memory}`);
  expect(growth).toBeLessThan(GROWTH);
}

function diceOf(number: number): Dice {
  return new Dice(seed + Math.imul(number, 0x9e3779b1));
}

/** Bytes that live objects take, those outside of the heap included. */
async function heap(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    gc();
    // What native objects hold is released in a turn of its own.
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Runs cases and takes their time. */
class Stopwatch<Case, Result> {
  slowest = 0;

  constructor(private readonly campaign: Campaign<Case, Result>) {}

  async run(number: number): Promise<void> {
    const { campaign } = this;
    const one = campaign.make(diceOf(number));
    let took: number;
    try {
      const began = performance.now();
      const running = campaign.run(one);
      const result = running instanceof Promise ? await running : running;
      took = performance.now() - began;
      campaign.check?.(one, result);
    } catch (error) {
      throw new Error(this.#named(number, one, String(error)), { cause: error });
    }
    if (took <= SLOW_MS) this.slowest = Math.max(this.slowest, took);
    else await this.#again(number, one);
  }

  async #again(number: number, one: Case): Promise<void> {
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < SLOW_TRIES && least > SLOW_MS; i++) {
      const began = process.threadCpuUsage();
      await this.campaign.run(one);
      const { user, system } = process.threadCpuUsage(began);
      least = Math.min(least, (user + system) / 1000);
    }
    this.slowest = Math.max(this.slowest, least);
    if (least > SLOW_MS) throw new Error(this.#named(number, one, `it took ${least} ms`));
  }

  #named(number: number, one: Case, what: string): string {
    const { name, show } = this.campaign;
    return `${what}\nRun it alone: SEED=${seed} CASE=${number} npm run test:fuzz -- test/fuzz/${name}\n${show(one).slice(0, 4000)}`;
  }
}
