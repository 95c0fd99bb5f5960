import { randomFillSync } from 'node:crypto';

const POOL = Buffer.alloc(10 * 512);
let used = POOL.length;
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** A new UUIDv7: unique, and in the order of time, which keeps the token index of a large history fast. */
export function newToken(now: number = Date.now()): string {
  if (used === POOL.length) {
    randomFillSync(POOL);
    used = 0;
  }
  const time = now.toString(16).padStart(12, '0');
  const r = (i: number) => POOL[used + i] as number;
  const hex = (i: number) => HEX[r(i)] as string;
  const a = HEX[(r(0) & 0x0f) | 0x70] as string;
  const b = HEX[(r(2) & 0x3f) | 0x80] as string;
  const token = `${time.slice(0, 8)}-${time.slice(8)}-${a}${hex(1)}-${b}${hex(3)}-${hex(4)}${hex(5)}${hex(6)}${hex(7)}${hex(8)}${hex(9)}`;
  used += 10;
  return token;
}
