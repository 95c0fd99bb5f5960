// A vitest runner with three passes. `reach` notes which mutants each test runs; `kill` tries each test once for each of them, in one
// process; `load` runs the tests as usual, with the mutant that the file `active` names there from the start.
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type RunnerTestCase, TestRunner } from 'vitest';

/** What one test file reaches, as the pass `reach` writes it. */
export interface Reach {
  readonly file: string;
  /** Mutants that run while the file is loaded or in its `beforeAll`: trying them again takes a new process. */
  readonly loading: readonly string[];
  readonly tests: readonly ReachingTest[];
}

export interface ReachingTest {
  readonly id: string;
  readonly name: string;
  /** Milliseconds of one try. */
  readonly took: number;
  /** How often it runs each mutant. */
  readonly hits: Readonly<Record<string, number>>;
  /** It fails when it runs a second time in one process: its mutants are tried in new ones. */
  readonly once: boolean;
}

/** One line of the file `verdicts`. `doubted`: a test failed without a mutant afterwards; `alive`: a mutant that `load` did not kill. */
export type Verdict =
  | { mutant: string; test: string; how: 'failed' | 'timed out' }
  | { doubted: string; name: string; because: string | undefined }
  | { alive: string };

/** What instrumented code shares with its runner, in the global `__stryker__`. */
interface Switchboard {
  activeMutant?: string | undefined;
  currentTestId?: string | undefined;
  hitCount?: number | undefined;
  hitLimit?: number | undefined;
  mutantCoverage?: { static: Record<string, number>; perTest: Record<string, Record<string, number>> };
}

/** The least number of times that a mutant may run in a test; beyond that, and 100 times what it does, it loops. */
const LEAST_HITS = 10_000;
/** The least time that a test has with a mutant, in milliseconds; it has 20 times what it takes without one. */
const LEAST_MS = 6000;

// Tests replace both.
const { setTimeout: startTimer, clearTimeout: stopTimer, setImmediate: startImmediate } = globalThis;

class TimedOut extends Error {}

export default class Tries extends TestRunner {
  readonly #folder = process.env.MUTATION_FOLDER ?? '';
  readonly #pass = process.env.MUTATION_PASS;
  readonly #board: Switchboard = {};
  readonly #killed = new Set<string>();
  readonly #tests: ReachingTest[] = [];
  #reach: Reach | undefined;
  #plan: string[] = [];
  #limit = 0;
  #began = 0;
  #took = 0;
  #firstFailed = false;
  #stray: unknown;

  constructor(config: ConstructorParameters<typeof TestRunner>[0]) {
    super(config);
    Object.assign(globalThis, { __stryker__: this.#board });
    if (this.#pass === 'load') {
      this.#board.activeMutant = readFileSync(path.join(this.#folder, 'active'), 'utf8');
      this.#board.hitCount = 0;
      this.#board.hitLimit = 100 * LEAST_HITS;
    }
    if (this.#pass === 'kill') {
      this.#board.activeMutant = '';
      for (const verdict of readVerdicts(this.#folder)) if ('mutant' in verdict) this.#killed.add(verdict.mutant);
      process.on('unhandledRejection', (error) => {
        this.#stray ??= error;
      });
    }
  }

  override onCollectStart(file: Parameters<TestRunner['onCollectStart']>[0]): void {
    super.onCollectStart(file);
    const name = path.join(this.#folder, `reach-${file.id}.json`);
    if (this.#pass === 'kill') this.#reach = JSON.parse(readFileSync(name, 'utf8')) as Reach;
  }

  override async onBeforeRunTask(test: RunnerTestCase): Promise<void> {
    await super.onBeforeRunTask(test);
    // A second try without mutants shows whether the test can be tried more than once.
    if (this.#pass === 'reach') test.repeats = 1;
    if (this.#pass !== 'kill') return;
    const reaching = this.#reach?.tests.find(({ id }) => id === test.id);
    const mutants = reaching && !reaching.once ? Object.keys(reaching.hits) : [];
    this.#plan = mutants.filter((mutant) => !this.#killed.has(mutant));
    this.#limit = Math.max(LEAST_MS, 20 * (reaching?.took ?? 0));
    if (this.#plan.length === 0) test.mode = 'skip';
    // The last two tries are without a mutant: the first of them may meet what the last mutant left behind.
    else test.repeats = this.#plan.length + 1;
  }

  override onBeforeTryTask(test: RunnerTestCase, options: { retry: number; repeats: number }): void {
    super.onBeforeTryTask(test, options);
    this.#began = performance.now();
    if (this.#pass === 'reach') this.#board.currentTestId = options.repeats === 0 ? test.id : 'again';
    if (this.#pass !== 'kill') return;
    const mutant = this.#plan[options.repeats] ?? '';
    const hits = this.#reach?.tests.find(({ id }) => id === test.id)?.hits[mutant] ?? 0;
    this.#stray = undefined;
    this.#board.hitCount = 0;
    this.#board.hitLimit = Math.max(LEAST_HITS, 100 * hits);
    this.#board.activeMutant = mutant;
    writeFileSync(path.join(this.#folder, 'current'), JSON.stringify({ mutant, test: test.name }));
  }

  async runTask(test: RunnerTestCase): Promise<void> {
    const running = Promise.resolve(TestRunner.getTestFn(test)?.());
    if (this.#pass !== 'kill') return running;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = startTimer(() => reject(new TimedOut(`no end within ${this.#limit} ms`)), this.#limit);
    });
    try {
      await Promise.race([running, late]);
    } finally {
      stopTimer(timer);
    }
  }

  override async onAfterRetryTask(test: RunnerTestCase, options: { retry: number; repeats: number }): Promise<void> {
    if (this.#pass === 'reach') this.#noteReach(test, options.repeats);
    if (this.#pass !== 'kill') return;
    // Rejections that nobody handles are told in the next turn.
    await new Promise<void>((resolve) => void startImmediate(resolve));
    this.#board.activeMutant = '';
    const { result } = test;
    const [error] = result?.errors ?? [];
    const failed = result?.state === 'fail' || this.#stray !== undefined;
    const mutant = this.#plan[options.repeats];
    if (failed && options.repeats > this.#plan.length)
      this.#say({ doubted: test.id, name: test.name, because: error?.message });
    else if (failed && mutant !== undefined) {
      this.#killed.add(mutant);
      this.#say({ mutant, test: test.id, how: error?.name === 'TimedOut' ? 'timed out' : 'failed' });
    }
    if (!result) return;
    result.state = 'pass';
    delete result.errors;
  }

  override async onAfterRunSuite(suite: Parameters<TestRunner['onAfterRunSuite']>[0]): Promise<void> {
    await super.onAfterRunSuite(suite);
    if (this.#pass !== 'reach' || !('filepath' in suite)) return;
    const loading = Object.keys(this.#board.mutantCoverage?.static ?? {});
    const reach: Reach = { file: suite.file.filepath, loading, tests: this.#tests };
    writeFileSync(path.join(this.#folder, `reach-${suite.id}.json`), JSON.stringify(reach));
  }

  #noteReach(test: RunnerTestCase, repeat: number): void {
    const failed = test.result?.state === 'fail';
    this.#board.currentTestId = undefined;
    if (repeat === 0) {
      this.#took = performance.now() - this.#began;
      this.#firstFailed = failed;
      return;
    }
    const hits = this.#board.mutantCoverage?.perTest[test.id] ?? {};
    this.#tests.push({ id: test.id, name: test.name, took: this.#took, hits, once: failed });
    if (this.#firstFailed || !test.result) return;
    test.result.state = 'pass';
    delete test.result.errors;
  }

  #say(verdict: Verdict): void {
    appendFileSync(path.join(this.#folder, 'verdicts'), `${JSON.stringify(verdict)}\n`);
  }
}

/** The verdicts of a run so far. */
export function readVerdicts(folder: string): Verdict[] {
  const file = path.join(folder, 'verdicts');
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Verdict);
}
