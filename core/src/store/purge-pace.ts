/** Nothing younger than this is ever purged, in seconds. */
export const MIN_AGE = 24 * 3600;
/** Above this part of the size limit the oldest rows go, until the lower one is reached. */
export const START_AT = 0.95;
export const STOP_AT = 0.9;
/** The clock of a purge moves at most so many times as fast as time really passes, forwards and backwards. */
const FASTEST = 24;

/** Where the clock of a purge comes to from `before` while `passed` seconds pass and the wall clock says `wall`. */
export function paced(before: number, wall: number, passed: number): number {
  const reach = FASTEST * passed;
  return Math.min(Math.max(wall, before - reach), before + reach);
}
