import { expect, test } from 'vitest';
import { rowLines } from '../../../core/dist/cli/print.js';
import { RowTitles } from '../../../core/dist/cli/row-titles.js';

const ACTIONS = (name: string) => [{ reply: 'row' as const, name, finished: 0, failed: 0 }];
const TITLES = new RowTitles([
  { type: 'action', actions: ACTIONS('COMMAND'), codes: { OUTPUT: 100 }, codeTitles: { OUTPUT: 'output' } },
  {
    type: 'cron',
    actions: ACTIONS('ADDCRON'),
    codes: { SKIPPED: 110, MISSED: 111 },
    codeTitles: { SKIPPED: 'run skipped', GONE: 'of no code' },
  },
]);
const row = (type: string, code: number, token = 't') => ({
  id: 1,
  token,
  type,
  node: 'central',
  code,
  etime: 0,
  ctime: 0,
  data: {},
});

test('a row has the title that the plugin of its action gives to its code', () => {
  expect(TITLES.of(row('COMMAND', 100))).toBe('output');
  expect(TITLES.of(row('COMMAND', 110)), 'another plugin’s code').toBeUndefined();
  expect(TITLES.of(row('ADDCRON', 111)), 'a code without a title').toBeUndefined();
  expect(TITLES.of(row('SPIN', 100)), 'an action that is not known').toBeUndefined();
});

test('a row that a plugin wrote under a token of its own has that plugin’s title', () => {
  expect(TITLES.of(row('PUTLOG', 110, 'cron:nightly:1'))).toBe('run skipped');
  expect(TITLES.of(row('COMMAND', 110, 'cron:nightly:1'))).toBe('run skipped');
  expect(TITLES.of(row('COMMAND', 100, 'cron:nightly:1'))).toBe('output');
  expect(TITLES.of(row('PUTLOG', 110, ':cron'))).toBeUndefined();
});

test('the title stands beside the code, and without one the row is progress', () => {
  expect(rowLines(row('COMMAND', 100), TITLES)).toContain('central  COMMAND  output (100)\n');
  expect(rowLines(row('COMMAND', 101), TITLES)).toContain('central  COMMAND  progress (101)\n');
  expect(rowLines(row('COMMAND', 2), TITLES)).toContain('finished (2)');
});
