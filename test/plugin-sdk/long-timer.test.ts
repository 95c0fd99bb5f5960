import { expect, test, vi } from 'vitest';
import { after } from '../../plugin-sdk/protocol/dist/long-timer.js';

const DAY = 24 * 3600 * 1000;

test('a time longer than setTimeout takes is waited for, and can be called off', () => {
  vi.useFakeTimers();
  const called: string[] = [];
  after(60 * DAY, () => called.push('sixty'));
  using _ = after(50 * DAY, () => called.push('fifty'));
  _[Symbol.dispose]();
  after(10, () => called.push('ten'));
  vi.advanceTimersByTime(59 * DAY);
  expect(called).toEqual(['ten']);
  vi.advanceTimersByTime(DAY);
  expect(called).toEqual(['ten', 'sixty']);
  vi.useRealTimers();
});
