import { expect, test } from 'vitest';
import { type Listed, requestsText } from '../../../core/dist/cli/requests.js';

const NOW = Date.UTC(2026, 10, 28, 12) / 1000;
const TOKEN = '01a220ea-86be-7fa6-9a3c-f8ba8a96268d';
const listed = (change: Partial<Listed>): Listed => ({
  id: 1,
  token: TOKEN,
  owner: '@local',
  action: 'COMMAND',
  target: '',
  acceptedAt: NOW - 60,
  endedAt: NOW - 58,
  code: 2,
  error: null,
  data: {},
  ...change,
});
const text = (width: number | undefined, ...changes: Partial<Listed>[]) =>
  requestsText(changes.map(listed), { width, now: NOW * 1000, paint: (_, part) => part });

test('shows when, who, what, where, how it ended and how long it took, a line each', () => {
  expect(
    text(
      undefined,
      { endedAt: null, code: null, target: 'paris' },
      { code: 1, error: 'TIMEOUT', acceptedAt: NOW - 100_000, endedAt: NOW - 99_000, owner: 'alice' },
    ),
  ).toBe(
    [
      'WHEN +00:00          WHO     ACTION   TARGET  STATE    TOOK    TOKEN',
      `11:59:00             @local  COMMAND  paris   open     1 min   ${TOKEN}`,
      `2026-11-27 08:13:20  alice   COMMAND  -       TIMEOUT  16 min  ${TOKEN}`,
      '',
    ].join('\n'),
  );
});

test('keeps the token whole on a terminal of 80 columns: it is copied from there', () => {
  const lines = text(80, { code: 1, error: 'COMMAND_NOT_STARTED' }).split('\n');
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  expect(lines[1]).toContain(TOKEN);
});

test('shows what would steer a terminal as text', () => {
  const shown = text(undefined, { owner: `a${String.fromCharCode(27)}[31m`, target: `b${String.fromCharCode(0x9b)}` });
  expect([...shown].filter((character) => character !== '\n' && /\p{Cc}/u.test(character))).toEqual([]);
});
