// A worker thread: ends the process of a fuzzer whose case does not end, and says which case it was.
import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';

/** How long one case may take, in milliseconds. */
const LIMIT_MS = 60_000;
const EVERY_MS = 1000;

export interface Watched {
  /** The number of the case that runs. */
  readonly current: Int32Array;
  /** Names a case by its number. */
  readonly name: string;
}

const { current, name } = workerData as Watched;
let last = -1;
let since = Date.now();
setInterval(() => {
  const now = current[0] as number;
  if (now !== last) {
    last = now;
    since = Date.now();
  } else if (Date.now() - since > LIMIT_MS) {
    writeSync(2, `${name} CASE=${now} has not ended within ${LIMIT_MS / 1000} s\n`);
    process.kill(process.pid, 'SIGKILL');
  }
}, EVERY_MS);
