import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from './daemon-process.ts';

/** What each source file below `folder` imports. */
function importsOf(folder: string): { file: string; imports: string[] }[] {
  return globSync('**/*.ts', { cwd: path.join(ROOT, folder) }).map((file) => {
    const text = readFileSync(path.join(ROOT, folder, file), 'utf8');
    const imports = [...text.matchAll(/(?:from|import)\s*\(?'([^']+)'/g)].map(([, name = '']) => name);
    return { file: `${folder}/${file}`, imports };
  });
}

function offenders(folder: string, isWrong: (imported: string) => boolean): string[] {
  const all = importsOf(folder);
  expect(all.length).toBeGreaterThan(0);
  return all.flatMap(({ file, imports }) => imports.filter(isWrong).map((name) => `${file} imports ${name}`));
}

test('the SDK imports nothing of the core, nor of any plugin', () => {
  expect(offenders('plugin-sdk/src', (name) => name.startsWith('@centreond/') || name.includes('/core/'))).toEqual([]);
});

test('the core imports no plugin, and of the SDK only what it exports', () => {
  const sdk = /^@centreond\/plugin-sdk(\/|$)/;
  expect(offenders('core/src', (name) => name.startsWith('@centreond/') && !sdk.test(name))).toEqual([]);
  expect(offenders('core/src', (name) => name.startsWith('.') && name.includes('plugin-sdk'))).toEqual([]);
});

test('a bundled plugin imports the SDK and its own dependencies: no core, no other plugin, no door of its own', () => {
  for (const plugin of globSync('plugins/*', { cwd: ROOT })) {
    const { dependencies = {}, peerDependencies = {} } = JSON.parse(
      readFileSync(path.join(ROOT, plugin, 'package.json'), 'utf8'),
    ) as { dependencies?: object; peerDependencies?: object };
    const own = [...Object.keys(dependencies), ...Object.keys(peerDependencies)];
    const isOwn = (name: string) =>
      /^node:|^\.\/|^\.\.\/(?!\.\.)/.test(name) || own.some((one) => name === one || name.startsWith(`${one}/`));
    expect(own.filter((name) => name.startsWith('@centreond/'))).toEqual(['@centreond/plugin-sdk']);
    expect(offenders(`${plugin}/src`, (name) => !isOwn(name))).toEqual([]);
  }
});

test('the tables of errors and of status codes import nothing', () => {
  const tables = importsOf('plugin-sdk/src').filter(({ file }) => /\/(errors|status)\.ts$/.test(file));
  expect(tables.map(({ imports }) => imports)).toEqual([[], []]);
});
