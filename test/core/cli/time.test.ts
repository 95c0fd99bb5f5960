import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { momentOf, momentText, whenText } from '../../../core/dist/cli/time.js';

const MODULE = fileURLToPath(new URL('../../../core/dist/cli/time.js', import.meta.url));
/** What an expression over the module gives where the time zone is `zone`. */
const inZone = (zone: string, expression: string): unknown =>
  JSON.parse(
    execFileSync(
      process.execPath,
      ['-e', `import('${MODULE}').then((t) => console.log(JSON.stringify(${expression})))`],
      {
        encoding: 'utf8',
        env: { TZ: zone, PATH: process.env.PATH },
      },
    ),
  );
const at = (text: string) => Date.parse(text) / 1000;
const NOW = Date.parse('2026-11-28T09:36:32Z');

test('a moment is shown in the time of this machine, with how far that is ahead of UTC', () => {
  const zones = { 'Europe/Paris': '10:36:32 +01:00', 'America/St_Johns': '06:06:32 -03:30', UTC: '09:36:32 +00:00' };
  for (const [zone, text] of Object.entries(zones)) {
    expect(inZone(zone, `t.momentText(${NOW / 1000})`)).toBe(`2026-11-28 ${text}`);
  }
  expect(inZone('Europe/Paris', `t.momentText(${at('2026-07-01T00:00:00Z')})`)).toBe('2026-07-01 02:00:00 +02:00');
});

test('in a table it is the time, with the day where that is another', () => {
  expect(whenText(NOW / 1000, NOW / 1000)).toBe(momentText(NOW / 1000).slice(11, 19));
  const before = NOW / 1000 - 3 * 86_400;
  expect(whenText(before, NOW / 1000)).toBe(momentText(before).slice(0, 19));
});

test('what people write is a duration, a day, or a moment with or without a zone', () => {
  const paris = (text: string) => inZone('Europe/Paris', `t.momentOf('--since', ${JSON.stringify(text)}, ${NOW})`);
  expect(paris('24h')).toBe(NOW / 1000 - 86_400);
  expect(paris('today')).toBe(at('2026-11-27T23:00:00Z'));
  expect(paris('yesterday')).toBe(at('2026-11-26T23:00:00Z'));
  expect(paris('2026-11-28')).toBe(at('2026-11-27T23:00:00Z'));
  expect(paris('2026-11-28T12:00')).toBe(at('2026-11-28T11:00:00Z'));
  expect(paris('2026-11-28 12:00:30')).toBe(at('2026-11-28T11:00:30Z'));
  expect(paris('2026-11-28T12:00:00Z')).toBe(at('2026-11-28T12:00:00Z'));
  expect(paris('2026-11-28 12:00:00 +05:30')).toBe(at('2026-11-28T06:30:00Z'));
  // What is shown can be written.
  expect(momentOf('--since', momentText(NOW / 1000))).toBe(NOW / 1000);
  for (const odd of ['2026-13-40', 'tomorrow', '2026-11-28T25:00', '2026', '2026-11-28x']) {
    expect(() => momentOf('--since', odd)).toThrow(`--since ${odd}`);
  }
});
