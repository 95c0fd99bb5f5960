import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { errorsPage } from '../../core/errors-page.ts';
import { ROOT } from '../daemon-process.ts';

test('the page of error codes says what the two tables say: npm run docs writes it', () => {
  expect(readFileSync(path.join(ROOT, 'core/ERRORS.md'), 'utf8')).toBe(errorsPage());
});

test('each code stands on the page once, with a sentence that has no hole', () => {
  const page = errorsPage();
  expect(page).not.toMatch(/undefined|\[object|NaN/);
  const codes = [...page.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, code]) => code);
  expect(new Set(codes).size).toBe(codes.length);
});
