import { describe, expect, test } from 'vitest';
import { Supervisor } from '../../../core/dist/host/supervisor.js';

/** A supervisor whose delays are as long as they can be, and the clock that it reads. */
function supervised(max = 3, withinMs = 60_000) {
  const clock = { time: 0, now: () => clock.time };
  return { clock, supervisor: new Supervisor({ max, withinMs }, clock, () => 1) };
}

describe('the supervisor of an instance', () => {
  test('doubles the delay with each exit, up to half a minute', () => {
    const { supervisor } = supervised(100);
    const delays = Array.from({ length: 12 }, () => supervisor.exited());
    expect(delays.slice(0, 4)).toEqual([100, 200, 400, 800]);
    expect(delays.at(-1)).toBe(30_000);
  });

  test('spreads the delays over the upper half, so that instances that end together do not start together', () => {
    const shortest = new Supervisor({ max: 3, withinMs: 1000 }, { now: () => 0 }, () => 0);
    expect([shortest.exited(), shortest.exited()]).toEqual([50, 100]);
  });

  test('sets an instance aside once it ended more often than allowed within the period', () => {
    const { supervisor } = supervised(2);
    expect([supervisor.exited(), supervisor.exited(), supervisor.exited()]).toEqual([100, 200, 'quarantine']);
    expect(supervisor.recentExits).toBe(3);
  });

  test('does not count exits from before the period', () => {
    const { clock, supervisor } = supervised(2, 1000);
    for (let i = 0; i < 10; i++) {
      expect(supervisor.exited()).not.toBe('quarantine');
      clock.time += 600;
    }
  });

  test('begins again with the shortest delay after an instance was ready for the whole period, and not before', () => {
    const { clock, supervisor } = supervised(100, 1000);
    supervisor.exited();
    supervisor.ready();
    clock.time += 999;
    expect(supervisor.exited()).toBe(200);
    supervisor.ready();
    clock.time += 1000;
    expect(supervisor.exited()).toBe(100);
  });

  test('does not count the time before the last start as healthy', () => {
    const { clock, supervisor } = supervised(100, 1000);
    supervisor.ready();
    clock.time += 2000;
    supervisor.exited();
    clock.time += 2000;
    // It never became ready since.
    expect(supervisor.exited()).toBe(200);
  });

  test('forgets every exit when the operator takes the instance back into service', () => {
    const { supervisor } = supervised(1);
    supervisor.exited();
    expect(supervisor.exited()).toBe('quarantine');
    supervisor.reset();
    expect(supervisor.recentExits).toBe(0);
    expect(supervisor.exited()).toBe(100);
  });
});
