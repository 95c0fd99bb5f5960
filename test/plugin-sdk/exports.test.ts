import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../daemon-process.ts';

const MOST = 50;

/** The names, types among them, that a source file exports, also by `export *` of a package's file. */
function exportsOf(file: string): string[] {
  const text = readFileSync(path.join(ROOT, file), 'utf8');
  const listed = [...text.matchAll(/^export (?:type )?\{([^}]*)\}/gms)].flatMap(([, names = '']) => names.split(','));
  const declared = [...text.matchAll(/^export (?:interface|type|const|class|function) (\w+)/gm)].map(
    ([, name]) => name,
  );
  const all = [...text.matchAll(/^export \* from '@centreond\/(\w+)\/(\w+)'/gm)].flatMap(([, folder, name]) =>
    exportsOf(`plugin-sdk/${folder}/src/${name}.ts`),
  );
  return [...listed.map((name) => name.trim().replace(/^type /, '')), ...declared, ...all].filter(
    (name): name is string => name !== undefined && name !== '',
  );
}

test('a plugin finds what it needs among fifty names', () => {
  const names = exportsOf('plugin-sdk/sdk/src/index.ts');
  expect(new Set(names).size).toBe(names.length);
  expect(names).toEqual(expect.arrayContaining(['Plugin', 'Action', 'inject', 'CONFIG', 'Actions', 'HistoryRow']));
  expect(names.length).toBeLessThanOrEqual(MOST);
});
