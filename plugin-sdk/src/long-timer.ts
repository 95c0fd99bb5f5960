/** The longest time that setTimeout takes: beyond it a timer fires at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** Calls `run` once after `ms`, however long that is. Disposing the result before that cancels it. `unref`: it keeps no process up. */
export function after(ms: number, run: () => void, { unref = false } = {}): Disposable {
  let left = ms;
  let timer: NodeJS.Timeout | undefined;
  const arm = () => {
    const step = Math.min(left, LONGEST_MS);
    left -= step;
    timer = setTimeout(() => (left > 0 ? arm() : run()), step);
    if (unref) timer.unref();
  };
  arm();
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}
