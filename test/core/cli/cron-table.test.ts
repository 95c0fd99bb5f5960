import { expect, test } from 'vitest';
import { cronText, type Listed } from '../../../core/dist/cli/cron.js';

const NOW = Date.UTC(2026, 10, 29, 12);
const definition = (change: Partial<Listed>): Listed => ({
  id: 'backup',
  schedule: '30 2 * * *',
  timeZone: 'Europe/Paris',
  action: 'COMMAND',
  enabled: true,
  nextRun: '2026-11-30T01:30:00.000Z',
  lastRun: null,
  running: [],
  ...change,
});
const run = (outcome: string, error: string | null = null) => ({
  at: '2026-11-29T09:55:00.000Z',
  token: 'cron:probe:2026-11-29T09:55:00Z',
  outcome,
  endedAt: null,
  error,
});
const text = (width: number | undefined, ...definitions: Listed[]) =>
  cronText(definitions, { width, now: NOW, paint: (_, part) => part });

test('shows each definition with its zone, what is due next first, and says what went wrong', () => {
  expect(
    text(
      undefined,
      definition({ id: 'off', enabled: false, nextRun: null }),
      definition({ lastRun: run('finished') }),
      definition({
        id: 'probe',
        schedule: '*/5 * * * * *',
        timeZone: 'UTC',
        action: 'PROBE',
        target: 'paris-1',
        nextRun: '2026-11-29T12:00:05.000Z',
        lastRun: run('refused', 'NODE_UNREACHABLE'),
      }),
      definition({ id: 'many', running: ['a', 'b'], lastRun: run('running') }),
    ),
  ).toBe(
    [
      'ID      SCHEDULE       ZONE          ACTION   TARGET   NEXT +00:00          LAST       DUE',
      'probe   */5 * * * * *  UTC           PROBE    paris-1  2026-11-29 12:00:05  refused    2 h ago',
      'backup  30 2 * * *     Europe/Paris  COMMAND  -        2026-11-30 01:30     finished   2 h ago',
      'many    30 2 * * *     Europe/Paris  COMMAND  -        2026-11-30 01:30     2 running  2 h ago',
      'off     30 2 * * *     Europe/Paris  COMMAND  -        not enabled          -          -',
      '',
      '1 definition failed last:',
      'probe: NODE_UNREACHABLE; centreond log cron:probe:2026-11-29T09:55:00Z',
      '',
    ].join('\n'),
  );
});

test('fits a terminal of 80 columns, with the id, the next run and the outcome', () => {
  const long = definition({
    id: 'the-nightly-backup-of-all-the-databases-of-the-house',
    schedule: '0,15,30,45 8-18 1-7,15-21 1,4,7,10 mon-fri',
    timeZone: 'America/Argentina/ComodRivadavia',
    target: 'a-node-with-a-name-that-is-long-enough-to-be-cut',
    lastRun: run('finished'),
  });
  const lines = text(80, long, definition({})).trimEnd().split('\n');
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
  expect(lines.find((line) => line.startsWith('the-'))).toMatch(/2026-11-30 01:30 {2}finished/);
});

test('says how to have a definition where there is none', () => {
  expect(text(80)).toContain('centreond call ADDCRON');
});

test('shows what would steer a terminal as text', () => {
  const shown = text(undefined, definition({ target: `a${String.fromCharCode(27)}[31m` }));
  expect([...shown].filter((character) => character !== '\n' && /\p{Cc}/u.test(character))).toEqual([]);
});
