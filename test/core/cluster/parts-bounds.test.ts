import { describe, expect, test } from 'vitest';
import { Parts } from '../../../core/dist/cluster/parts.js';

const MIB = 2 ** 20;
const PIECE = Buffer.alloc(16 * MIB);

/** Parts on a clock of their own. */
function onClock() {
  const clock = { now: 0 };
  return { clock, parts: new Parts(() => clock.now) };
}

const begin = (parts: Parts, from: string, name: string, bytes = PIECE) => parts.take(from, name, 0, 2, bytes);
const end = (parts: Parts, from: string, name: string) => parts.take(from, name, 1, 2, Buffer.from('.'));

describe('messages that are not whole yet', () => {
  test('give way to later ones of their router beyond 64 MiB, the oldest first', () => {
    const { parts } = onClock();
    for (const name of ['1', '2', '3', '4', '5']) begin(parts, 'b', name);
    expect(end(parts, 'b', '1')).toBeUndefined();
    expect(end(parts, 'b', '3')?.length).toBe(PIECE.length + 1);
    expect(end(parts, 'b', '5')?.length).toBe(PIECE.length + 1);
  });

  test('take 256 MiB at most, of however many routers', () => {
    const { clock, parts } = onClock();
    for (let i = 0; i < 40; i++) {
      clock.now = i;
      begin(parts, `router ${i}`, '1');
      expect(parts.bytes).toBeLessThanOrEqual(256 * MIB);
    }
    expect(end(parts, 'router 0', '1')).toBeUndefined();
    expect(end(parts, 'router 23', '1')).toBeUndefined();
    expect(end(parts, 'router 25', '1')?.length).toBe(PIECE.length + 1);
    expect(end(parts, 'router 39', '1')?.length).toBe(PIECE.length + 1);
  });

  test('are dropped after a minute', () => {
    const { clock, parts } = onClock();
    begin(parts, 'b', 'lost');
    clock.now = 30_000;
    begin(parts, 'b', 'later');
    clock.now = 60_001;
    parts.sweep();
    expect(parts.bytes).toBe(PIECE.length);
    expect(end(parts, 'b', 'lost')).toBeUndefined();
    expect(end(parts, 'b', 'later')?.length).toBe(PIECE.length + 1);
  });

  test('take nothing once they are whole, lost a part, began again, or their router is gone', () => {
    const { parts } = onClock();
    begin(parts, 'b', 'whole');
    end(parts, 'b', 'whole');
    expect(parts.bytes).toBe(0);
    begin(parts, 'b', 'gap');
    parts.take('b', 'gap', 2, 4, PIECE);
    expect(parts.bytes).toBe(0);
    begin(parts, 'b', 'again');
    begin(parts, 'b', 'again');
    expect(parts.bytes).toBe(PIECE.length);
    parts.drop('b');
    expect(parts.bytes).toBe(0);
  });
});
