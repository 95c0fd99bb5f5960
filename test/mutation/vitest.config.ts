// Runs tests on the sources, one of which has mutants in it. The command `run.ts` sets the environment that this reads.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { defineConfig, type Plugin } from 'vitest/config';

const ROOT = path.join(import.meta.dirname, '../..');
const BUILT = /^(.*\/(?:core|plugin-sdk\/[a-z]+))\/dist\/(.*)\.js$/;

const { MUTATION_SUBJECT: subject = '', MUTATION_FOLDER: folder = '' } = process.env;
const subjectPath = path.join(ROOT, subject);

/** Imports of what is built get its source, and the file with mutants stands in the place of its source. */
const sources: Plugin = {
  name: 'sources',
  enforce: 'pre',
  async resolveId(name, importer) {
    if (!name.startsWith('.') && !name.startsWith('@centreond/')) return undefined;
    const resolved = await this.resolve(name, importer, { skipSelf: true });
    const [, room, file] = BUILT.exec(resolved?.id ?? '') ?? [];
    return room === undefined ? resolved : `${room}/src/${file}.ts`;
  },
  load(id) {
    return id === subjectPath ? readFileSync(path.join(folder, 'mutated.ts'), 'utf8') : undefined;
  },
};

export default defineConfig({
  plugins: [sources],
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    root: path.join(ROOT, 'test'),
    setupFiles: ['each-file.ts'],
    include: ['core/**/*.test.ts', 'plugin-sdk/**/*.test.ts'],
    runner: path.join(import.meta.dirname, 'tries.ts'),
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 1,
    // The cache's keys do not know of the mutants: each subject has its own.
    fsModuleCachePath: path.join(folder, 'cache'),
  },
});
