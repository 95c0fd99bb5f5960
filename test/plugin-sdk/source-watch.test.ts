import { cpSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SourceWatch } from '../../plugin-sdk/kit/dist/build/source-watch.js';
import { until } from '../daemon-process.ts';
import { tempFolder } from './temp-package.ts';

describe('a watch on the sources of a package', () => {
  let folder: string;
  let watch: SourceWatch;
  const told: string[][] = [];
  const failed: unknown[] = [];
  const at = (file: string) => path.join(folder, file);
  beforeEach(() => {
    told.length = 0;
    failed.length = 0;
    folder = tempFolder();
    mkdirSync(at('src/deep'), { recursive: true });
    mkdirSync(at('dist'));
    for (const file of ['src/index.ts', 'src/deep/other.ts', 'package.json', 'README.md']) writeFileSync(at(file), '1');
    watch = new SourceWatch(
      folder,
      (files) => told.push(files),
      (error) => failed.push(error),
    );
  });
  afterEach(() => {
    watch[Symbol.dispose]();
    expect(failed).toEqual([]);
  });

  async function tells(files: string[]): Promise<void> {
    await until(`it tells of ${files}`, () => told.length > 0, 5000);
    expect(told.splice(0)).toEqual([files]);
  }

  test('sees one file saved atomically again and again', async () => {
    for (let i = 0; i < 5; i++) {
      writeFileSync(at('src/.index.ts.tmp'), `version ${i}`);
      renameSync(at('src/.index.ts.tmp'), at('src/index.ts'));
      await tells(['src/index.ts']);
    }
    writeFileSync(at('src/index.ts'), 'in place, afterwards');
    await tells(['src/index.ts']);
  });

  test('sees a file that is renamed, and one in a folder that is new', async () => {
    renameSync(at('src/deep/other.ts'), at('src/deep/renamed.ts'));
    await tells(['src/deep/other.ts', 'src/deep/renamed.ts']);
    mkdirSync(at('src/new/folder'), { recursive: true });
    writeFileSync(at('src/new/folder/a.ts'), '1');
    await tells(['src/new/folder/a.ts']);
    writeFileSync(at('src/new/folder/a.ts'), '22');
    await tells(['src/new/folder/a.ts']);
  });

  test('sees changes after the folder of the sources was replaced, as a checkout does', async () => {
    cpSync(at('src'), at('was'), { recursive: true });
    rmSync(at('src'), { recursive: true });
    renameSync(at('was'), at('src'));
    await tells(['src/deep/other.ts', 'src/index.ts']);
    writeFileSync(at('src/deep/other.ts'), '22');
    await tells(['src/deep/other.ts']);
  });

  test('tells of neither what a build writes, nor what an editor writes and removes, nor other files', async () => {
    for (const file of ['dist/index.js', 'plugin.manifest.json', 'README.md', 'src/.index.ts.swp', 'src/index.ts~']) {
      writeFileSync(at(file), 'x');
    }
    writeFileSync(at('src/4913'), '');
    rmSync(at('src/4913'));
    // What comes last is told alone, so the others were seen and dropped.
    writeFileSync(at('package.json'), '22');
    await tells(['package.json']);
  });
});
