import v8 from 'node:v8';
import vm from 'node:vm';

/** What follows a start, such as the first requests, is over then. */
const AFTER_MS = 3000;

type Collect = (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;

let due: NodeJS.Timeout | undefined;
let collected = false;

/**
 * Collects, once, what the start of this thread left behind: up to half of what it takes, which V8 keeps for as long as there is
 * little to do. Call it at the end of the start, or of each start where several are made; the thread pauses for some tens of
 * milliseconds, seconds after the last call.
 */
export function collectStartGarbage(): void {
  if (collected) return;
  clearTimeout(due);
  due = setTimeout(() => {
    collected = true;
    // It stays set: flags are those of all threads, and another may be about to ask for the same.
    v8.setFlagsFromString('--expose-gc');
    const collect = vm.runInNewContext("typeof gc === 'function' ? gc : undefined") as Collect | undefined;
    collect?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  }, AFTER_MS);
  due.unref();
}
