import { defineConfig } from 'vitest/config';

export default defineConfig({
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    root: import.meta.dirname,
    include: ['{faults,fleet,fuzz,readme}/**/*.test.ts'],
    exclude: [],
    // Only the fleet's suite, with twenty daemons on one machine, is tried once more in CI; the report shows it.
    retry: process.env.CI && process.env.SUITE === 'fleet' ? 1 : 0,
    testTimeout: 600_000,
    hookTimeout: 600_000,
    // One file at a time: what they measure or kill must not disturb another.
    fileParallelism: false,
  },
});
