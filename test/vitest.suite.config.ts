import { defineConfig } from 'vitest/config';
import { BUILT } from './built.ts';
import { Verdicts } from './verdicts.ts';

const { SUITE = '' } = process.env;
const IS_E2E = SUITE === 'e2e';

/** The suite of which two files run at once. What the others cut, kill and time must not disturb another. */
const PAIRED = 'e2e';

const root = import.meta.dirname;
const limits = { testTimeout: IS_E2E ? 60_000 : 600_000, hookTimeout: IS_E2E ? 60_000 : 600_000 };

function project(name: string, include: readonly string[], exclude: readonly string[], maxWorkers: number) {
  return {
    oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
    test: {
      name,
      root,
      include: [...include],
      exclude: [...exclude],
      ...limits,
      // Only the fleet's suite, with twenty daemons on one machine, is tried once more in CI; each that is, is printed as FLAKY.
      retry: process.env.CI && SUITE === 'fleet' ? 1 : 0,
      // The files of the cluster's suite share a server.
      isolate: SUITE !== 'cluster',
      maxWorkers,
      setupFiles: ['each-file.ts'],
      // The fuzz suite puts other modules in the place of some that are built.
      ...(SUITE !== 'fuzz' && { server: { deps: { external: [BUILT] } } }),
    },
  };
}

export default defineConfig({
  test: {
    root,
    reporters: ['default', new Verdicts()],
    projects:
      SUITE === 'cluster'
        ? // The store's tests, on PostgreSQL, among them.
          [project('cluster', ['cluster/**/*.test.ts', 'core/store/**/*.test.ts'], ['core/store/sqlite/**'], 1)]
        : [
            project('paired', [`${PAIRED}/**/*.test.ts`], [], 2),
            project('alone', ['{faults,fleet,fuzz,readme}/**/*.test.ts'], [], 1),
          ],
  },
});
