import { defineConfig } from 'vitest/config';
import { BUILT } from './built.ts';
import { Verdicts } from './verdicts.ts';

// What shows times shows those of its zone.
process.env.TZ = 'UTC';

/** Folders whose tests have commands of their own. */
const SUITES = ['e2e', 'faults', 'cluster', 'fleet', 'fuzz', 'readme', 'bench'];

/** Files that have a process of their own: they measure its memory, or load modules of the build again and again. */
const APART = ['plugin-sdk/channel-aead', 'plugin-sdk/exchange', 'plugins/acl-million'].map(
  (name) => `${name}.test.ts`,
);

const root = import.meta.dirname;
const oxc = { decorator: { legacy: true, emitDecoratorMetadata: true } };
const limits = { testTimeout: 60_000, hookTimeout: 60_000 };

export default defineConfig({
  test: {
    root,
    maxWorkers: 2,
    reporters: ['default', new Verdicts()],
    projects: [
      {
        oxc,
        test: {
          name: 'together',
          root,
          ...limits,
          include: ['**/*.test.ts'],
          exclude: [...SUITES.map((name) => `${name}/**`), 'core/store/postgres/**', ...APART],
          setupFiles: ['each-file.ts'],
          isolate: false,
          server: { deps: { external: [BUILT] } },
        },
      },
      { oxc, test: { name: 'apart', root, ...limits, include: APART, isolate: true } },
    ],
  },
});
