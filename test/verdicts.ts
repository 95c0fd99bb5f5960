import type { Reporter, TestCase, TestModule } from 'vitest/node';

/** Where a test is: its file, the blocks around it and its name. */
const placeOf = (test: TestCase) => `${test.module.relativeModuleId} > ${test.fullName}`;

/**
 * Names each test that passed only when it was tried again as FLAKY. Under CI a run fails that skipped a test, since what it
 * promises was not shown; without, the summary counts it.
 */
export class Verdicts implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const all = modules.flatMap((module) => [...module.children.allTests()]);
    for (const test of all) {
      const { flaky, retryCount = 0 } = test.diagnostic() ?? {};
      if (flaky) process.stdout.write(`FLAKY ${placeOf(test)}: it passed at try ${retryCount + 1}\n`);
    }
    const skipped = all.filter((test) => test.result().state === 'skipped');
    if (!process.env.CI || skipped.length === 0) return;
    process.exitCode = 1;
    for (const test of skipped) {
      const result = test.result();
      const note = result.state === 'skipped' && result.note !== undefined ? `: ${result.note}` : '';
      process.stdout.write(`SKIPPED ${placeOf(test)}${note}\n`);
    }
    process.stdout.write(`CI fails: ${skipped.length} tests were skipped, which shows nothing of what they promise.\n`);
  }
}
