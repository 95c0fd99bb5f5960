import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { configPage } from '../../core/config-page.ts';
import { Limits } from '../../core/dist/config/limits.js';
import { ROOT } from '../daemon-process.ts';

test('the page of the config file says what its schema says: npm run docs writes it', () => {
  expect(readFileSync(path.join(ROOT, 'config/README.md'), 'utf8')).toBe(configPage());
});

test('each key stands on the page once, with what it takes, its default and what it does', () => {
  const rows = [...configPage().matchAll(/^\| `([^`]+)` \| (.*) \| (.*) \| (.*) \|$/gm)];
  const keys = rows.map(([, key]) => key);
  expect(new Set(keys).size).toBe(keys.length);
  for (const [row, , takes, , about] of rows) {
    expect(`${row} ${takes}`).not.toMatch(/undefined|\[object|NaN/);
    expect([row, about !== '', takes !== '']).toEqual([row, true, true]);
  }
  expect(keys).toEqual(
    expect.arrayContaining(['core.id', 'core.external.listen', 'clients.authorized[].roles', 'plugins[].restart.max']),
  );
  // No limit is left out.
  const leaves = (value: object, above: string): string[] =>
    Object.entries(value).flatMap(([name, inner]) =>
      typeof inner === 'object' ? leaves(inner, `${above}.${name}`) : [`${above}.${name}`],
    );
  expect(keys).toEqual(expect.arrayContaining(leaves(Limits.parse({}), 'core.limits')));
});
