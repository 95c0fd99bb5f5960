import { readFileSync } from 'node:fs';
import path from 'node:path';
import { defineConfig, type Plugin } from 'vitest/config';

const ROOT = path.join(import.meta.dirname, '../..');
const SDK = /^@centreond\/plugin-sdk(?:\/(.*))?$/;
const BUILT = /^(.*\/(?:core|plugin-sdk))\/dist\/(.*)\.js$/;

const { exports: exported } = JSON.parse(readFileSync(path.join(ROOT, 'plugin-sdk/package.json'), 'utf8')) as {
  exports: Record<string, { default?: string }>;
};

/** The source of a file that is built. */
function sourceOf(file: string): string | undefined {
  const [, room, name] = BUILT.exec(file) ?? [];
  return room === undefined ? undefined : `${room}/src/${name}.ts`;
}

/** Imports of what is built get its source, which Stryker has mutated. */
const sources: Plugin = {
  name: 'sources',
  enforce: 'pre',
  resolveId(name, importer) {
    const sdk = SDK.exec(name);
    if (sdk) {
      const file = exported[sdk[1] === undefined ? '.' : `./${sdk[1]}`]?.default;
      return file === undefined ? undefined : sourceOf(path.join(ROOT, 'plugin-sdk', file));
    }
    if (!name.startsWith('.') || importer === undefined) return undefined;
    return sourceOf(path.resolve(path.dirname(importer), name));
  },
};

export default defineConfig({
  plugins: [sources],
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    root: path.join(ROOT, 'test'),
    include: [
      'core/router/authorize.test.ts',
      'core/router/ladder.test.ts',
      'core/router/ladder-steps.test.ts',
      'plugin-sdk/channel-*.test.ts',
    ],
    testTimeout: 30_000,
    maxWorkers: 2,
  },
});
