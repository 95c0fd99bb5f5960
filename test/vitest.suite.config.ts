import { defineConfig } from 'vitest/config';

const IS_E2E = process.env.SUITE === 'e2e';

export default defineConfig({
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    root: import.meta.dirname,
    include: ['{e2e,faults,fleet,fuzz,readme}/**/*.test.ts'],
    exclude: [],
    // Only the fleet's suite, with twenty daemons on one machine, is tried once more in CI; the report shows it.
    retry: process.env.CI && process.env.SUITE === 'fleet' ? 1 : 0,
    testTimeout: IS_E2E ? 60_000 : 600_000,
    hookTimeout: IS_E2E ? 60_000 : 600_000,
    // One file at a time, but for e2e: what the others measure or kill must not disturb another.
    fileParallelism: IS_E2E,
    maxWorkers: 2,
  },
});
