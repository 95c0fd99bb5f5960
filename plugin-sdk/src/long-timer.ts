/** The longest time that setTimeout takes: beyond it a timer fires at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** Calls `run` once after `ms`, however long that is. Disposing the result before keeps it from being called. */
export function after(ms: number, run: () => void): Disposable {
  let left = ms;
  let timer: NodeJS.Timeout | undefined;
  const arm = () => {
    const step = Math.min(left, LONGEST_MS);
    left -= step;
    timer = setTimeout(() => (left > 0 ? arm() : run()), step);
  };
  arm();
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}
