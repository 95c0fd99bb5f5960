import { describe, expect, test } from 'vitest';
import { CLOCK } from '../../../core/dist/clock.js';
import { Bucket, Buckets, Nonces } from '../../../core/dist/doors/limits.js';
import { TestClock } from './attacker.ts';

const passed = (bucket: Bucket, times: number, now: number) =>
  Array.from({ length: times }, () => bucket.take(now)).filter(Boolean).length;

describe('a bucket', () => {
  test('lets its burst through at once and its rate after that, never more than the burst', () => {
    const bucket = new Bucket(20, 100);
    expect(passed(bucket, 200, 5000)).toBe(100);
    expect(passed(bucket, 200, 5500)).toBe(10);
    expect(passed(bucket, 200, 5549)).toBe(0);
    expect(passed(bucket, 200, 5550)).toBe(1);
    expect(passed(bucket, 200, 1e9)).toBe(100);
  });
});

describe('buckets by key', () => {
  test('are apart, bounded, and forgotten when they are full again', () => {
    const buckets = new Buckets(1, 1, 2);
    expect(buckets.take('a', 0)).toBe(true);
    expect(buckets.take('a', 0)).toBe(false);
    expect(buckets.take('b', 500)).toBe(true);
    expect(buckets.take('c', 500)).toBe(false);
    buckets.sweep(1000);
    expect(buckets.size).toBe(1);
    expect(buckets.take('c', 1000)).toBe(true);
  });
});

describe('nonces', () => {
  test('are bounded for each key, and a full key refuses rather than forgets', () => {
    const clock = new TestClock();
    const nonces = new Nonces(1000, 2);
    expect(nonces.add('a', '1', clock.now(), clock)).toBe('new');
    expect(nonces.add('a', '2', clock.now(), clock)).toBe('new');
    expect(nonces.add('a', '3', clock.now(), clock)).toBe('full');
    expect(nonces.add('a', '1', clock.now(), clock)).toBe('seen');
    expect(nonces.add('b', '1', clock.now(), clock)).toBe('new');
    clock.advance(2001);
    nonces.sweep(clock);
    expect(nonces.size).toBe(0);
    expect(nonces.add('a', '3', clock.now(), clock)).toBe('new');
  });
});

test('the monotonic clock of the system goes on', async () => {
  const before = CLOCK.monotonic();
  await new Promise(setImmediate);
  expect(CLOCK.monotonic()).toBeGreaterThan(before);
  expect(Math.abs(CLOCK.now() - Date.now())).toBeLessThan(1000);
});
