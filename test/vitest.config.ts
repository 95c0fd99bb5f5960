import { defineConfig } from 'vitest/config';

export default defineConfig({
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    root: import.meta.dirname,
    include: ['**/*.test.ts'],
    exclude: ['faults/**', 'fleet/**', 'fuzz/**', 'readme/**', 'bench/**'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
});
