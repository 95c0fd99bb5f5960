import { defineConfig } from 'vitest/config';

// What shows times shows those of its zone.
process.env.TZ = 'UTC';

/** Folders whose tests have commands of their own. */
const SUITES = ['e2e', 'faults', 'fleet', 'fuzz', 'readme', 'bench'];

export default defineConfig({
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    root: import.meta.dirname,
    include: ['**/*.test.ts'],
    exclude: SUITES.map((name) => `${name}/**`),
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
});
