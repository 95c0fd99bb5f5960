import { FakeClock } from '@centreond/plugin-kit';
import { expect, test } from 'vitest';
import { FailedLogins } from '../../plugins/http/src/logins.ts';

test('an address waits after ten failed logins within a minute, until that minute is over', async () => {
  const clock = new FakeClock();
  const logins = new FailedLogins(clock);
  for (let i = 0; i < 9; i++) logins.failed('10.0.0.1');
  expect(logins.waitMs('10.0.0.1')).toBe(0);
  logins.failed('10.0.0.1');
  expect(logins.waitMs('10.0.0.1')).toBe(60_000);
  expect(logins.waitMs('10.0.0.2')).toBe(0);
  await clock.advance(59_999);
  expect(logins.waitMs('10.0.0.1')).toBe(1);
  await clock.advance(1);
  expect(logins.waitMs('10.0.0.1')).toBe(0);
  logins.failed('10.0.0.1');
  expect(logins.waitMs('10.0.0.1')).toBe(0);
});

test('of more than ten thousand addresses the one that failed longest ago is forgotten', () => {
  const logins = new FailedLogins(new FakeClock());
  for (let i = 0; i < 10; i++) logins.failed('first');
  for (let i = 0; i < 9_999; i++) logins.failed(`other ${i}`);
  expect(logins.waitMs('first')).toBeGreaterThan(0);
  logins.failed('one more');
  expect(logins.waitMs('first')).toBe(0);
});
