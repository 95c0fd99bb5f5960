import { defineConfig } from 'vitest/config';

export default defineConfig({
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    root: import.meta.dirname,
    include: ['**/*.test.ts'],
    exclude: ['faults/**', 'fleet/**', 'fuzz/**', 'readme/**', 'bench/**'],
    // A hiccup of a shared machine is tried once more in CI; the report shows it.
    retry: process.env.CI ? 1 : 0,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
});
