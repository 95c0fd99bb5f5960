import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { ownName } from '../../../core/dist/cli/own-name.js';

const folder = mkdtempSync(path.join(tmpdir(), 'centreond-name-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A folder with a program `centreond`. */
function bin(name: string, mode = 0o755): string {
  const made = path.join(folder, name);
  mkdirSync(made, { recursive: true });
  writeFileSync(path.join(made, 'centreond'), '');
  chmodSync(path.join(made, 'centreond'), mode);
  return made;
}

test('it is centreond where that is a program of the machine', () => {
  expect(ownName({ PATH: `/nowhere:${bin('usr/bin')}` })).toBe('centreond');
});

test('it is npx centreond where npx runs it, or it is in a folder that only npm adds to PATH', () => {
  expect(ownName({ PATH: bin('usr/bin'), npm_command: 'exec' })).toBe('npx centreond');
  expect(ownName({ PATH: bin('app/node_modules/.bin') })).toBe('npx centreond');
  expect(ownName({ PATH: bin('data', 0o600) })).toBe('npx centreond');
  expect(ownName({})).toBe('npx centreond');
});
