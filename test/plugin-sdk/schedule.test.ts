import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Schedule, scheduleFault, timeZoneOf } from '@centreond/plugin-sdk/schedule';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

const JANUARY = [Date.UTC(2026, 0, 1) - 1, Date.UTC(2026, 0, 31, 23, 59, 59)] as const;
const daysOf = (pattern: string) =>
  new Schedule(pattern, 'UTC').between(...JANUARY, 32).map((at) => new Date(at).getUTCDate());

describe('a day of month and a weekday together', () => {
  // January 2026 begins with a Thursday; its Sundays are 4, 11, 18, 25.
  test.each([
    // Both fields must match if one of them begins with *.
    ['0 9 */2 * 1', [5, 19]],
    ['0 4 1-7 * */7', [4]],
    ['0 0 */10,2 * 0', [11]],
    ['0 0 1,2,3 * */2', [1, 3]],
    ['0 0 * * 1', [5, 12, 19, 26]],
    ['0 0 ? * 1', [5, 12, 19, 26]],
    ['0 0 15 * *', [15]],
    ['0 0 15 * ?', [15]],
    // With seconds in front, the same two fields count.
    ['0 0 9 */2 * 1', [5, 19]],
    ['0 0 9 13 * 5', [2, 9, 13, 16, 23, 30]],
    // Else one of them is enough.
    ['0 0 13 * 5', [2, 9, 13, 16, 23, 30]],
    ['0 0 1,*/10 * 0', [1, 4, 11, 18, 21, 25, 31]],
    ['0 0 1-7 * 7', [1, 2, 3, 4, 5, 6, 7, 11, 18, 25]],
    ['0 0 1-31 * 1', Array.from({ length: 31 }, (_, i) => i + 1)],
    ['0 0 10 1 sat,sun', [3, 4, 10, 11, 17, 18, 24, 25, 31]],
    ['@weekly', [4, 11, 18, 25]],
    ['@monthly', [1]],
  ])('%s is due on the days that Vixie cron has', (pattern, days) => {
    expect(daysOf(pattern)).toEqual(days);
  });

  test('agrees with Vixie cron over random fields', () => {
    const field = (low: number, high: number) => {
      const number = fc.integer({ min: low, max: high });
      const part = fc.oneof(
        number.map(String),
        fc.tuple(number, number).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
        fc
          .tuple(number, number, fc.integer({ min: 1, max: 4 }))
          .map(([a, b, n]) => `${Math.min(a, b)}-${Math.max(a, b)}/${n}`),
        fc.integer({ min: 1, max: 7 }).map((n) => `*/${n}`),
        fc.constant('*'),
      );
      return fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join(','));
    };
    fc.assert(
      fc.property(field(1, 31), field(0, 7), (dom, dow) => {
        expect(daysOf(`0 0 ${dom} * ${dow}`), `0 0 ${dom} * ${dow}`).toEqual(vixieDays(dom, dow));
      }),
      { numRuns: 300 },
    );
  });
});

/** The days of January 2026 on which Vixie cron's two sets of bits and its two flags let a job run. */
function vixieDays(dom: string, dow: string): number[] {
  const days = bitsOf(dom, 1, 31);
  const weekdays = bitsOf(dow, 0, 7);
  if (weekdays.has(7)) weekdays.add(0);
  const starred = dom.startsWith('*') || dow.startsWith('*');
  return Array.from({ length: 31 }, (_, i) => i + 1).filter((day) => {
    const hits = [days.has(day), weekdays.has(new Date(Date.UTC(2026, 0, day)).getUTCDay())];
    return starred ? hits.every(Boolean) : hits.some(Boolean);
  });
}

function bitsOf(field: string, low: number, high: number): Set<number> {
  const bits = new Set<number>();
  for (const part of field.split(',')) {
    const [, range = '', step = '1'] = /^([^/]*)(?:\/(\d+))?$/.exec(part) ?? [];
    const [first, last = first] = range === '*' ? [low, high] : range.split('-').map(Number);
    for (let n = first ?? 0; n <= (last ?? 0); n += Number(step)) bits.add(n);
  }
  return bits;
}

test('a fault of a schedule is a clause that says what is wrong', () => {
  const fault = (pattern: string, zone = 'UTC') => scheduleFault(pattern, zone, Date.UTC(2026, 0, 1));
  expect(fault('0 9 * * 1')).toBeUndefined();
  expect(fault('0 9 * *')).toMatch(/five or six fields/);
  expect(fault('0 25 * * *')).toMatch(/hour: 25/);
  expect(fault('0 0 30 2 *')).toBe('never comes due');
  // Both must match, and no 30th is in February.
  expect(fault('0 0 30 2 */2')).toBe('never comes due');
  expect(fault('0 9 * * 1', 'Nowhere/Land')).toMatch(/Nowhere\/Land is not known/);
});

describe('the time zone of a process', () => {
  test.each([
    ['Europe/Paris', 'Europe/Paris'],
    [':Europe/Paris', 'Europe/Paris'],
    ['EST5EDT', 'EST5EDT'],
    ['UTC', 'UTC'],
    ['/usr/share/zoneinfo/Europe/Paris', 'Europe/Paris'],
    [':/usr/share/zoneinfo/posix/Europe/Paris', 'Europe/Paris'],
  ])('is what TZ=%s names', (TZ, zone) => {
    expect(timeZoneOf({ TZ })).toEqual({ zone });
  });

  test.each([
    ['', /^TZ is empty, which names no time zone; set TZ to a name/],
    [':', /^TZ is ":", which names no time zone/],
    ['CET-1CEST', /^TZ is CET-1CEST, a rule of POSIX and not the name of a time zone; set TZ to a name such as/],
    ['<+01>-1', /^TZ is <\+01>-1, a rule of POSIX/],
    ['UTC0', /^TZ is UTC0, a rule of POSIX/],
    ['Nowhere/Land', /^TZ is Nowhere\/Land, a time zone that is not known here/],
    ['+01:00', /^TZ is \+01:00, a time zone that is not known here/],
    ['/no/such/zone', /^TZ is \/no\/such\/zone, and there is no file \/no\/such\/zone/],
  ])('is refused by name with TZ=%j', (TZ, fault) => {
    expect(timeZoneOf({ TZ })).toEqual({ fault: expect.stringMatching(fault) });
  });

  test('is that of the machine where TZ is not set', () => {
    expect(timeZoneOf({})).toEqual({ zone: Intl.DateTimeFormat().resolvedOptions().timeZone });
  });

  test('is that of a link to a file of zones, and none of a copy of one', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'zone-'));
    try {
      const [link, copy] = [path.join(folder, 'link'), path.join(folder, 'copy')];
      symlinkSync('/usr/share/zoneinfo/Asia/Tokyo', link);
      writeFileSync(copy, 'TZif2');
      expect(timeZoneOf({ TZ: `:${link}` })).toEqual({ zone: 'Asia/Tokyo' });
      expect(timeZoneOf({ TZ: copy })).toEqual({
        fault: expect.stringContaining(`${copy} is not a link to a time zone that has a name`),
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
