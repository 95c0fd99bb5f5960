import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { type DaemonProcess, ROOT } from '../daemon-process.ts';
import type { Counted, Order, Window } from './clients.ts';
import { KEYS } from './keys.ts';

const run = promisify(execFile);
const BYTES = 500;
/** The window of measurement begins when the code is compiled. */
const WARM_MS = 4000;
const RUN_LIMIT_MS = 180_000;

export interface Load {
  readonly clients: number;
  readonly inFlight: number;
  readonly seconds: number;
}

/** Counts what a router ends for clients in a process of their own, and the CPU time that a request costs it. */
export async function countOnce(daemon: DaemonProcess, load: Load): Promise<Window> {
  const order: Order = {
    ...{ address: daemon.endpoint, router: daemon.fingerprint, keys: KEYS, bytes: BYTES },
    ...{ ...load, action: 'ECHO', until: 'done', windows: [WARM_MS], pids: { router: daemon.pid } },
  };
  const script = path.join(import.meta.dirname, 'clients.ts');
  const { stdout } = await run(process.execPath, [script, JSON.stringify(order)], { cwd: ROOT, timeout: RUN_LIMIT_MS });
  const { windows } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Counted;
  const [window] = windows;
  if (!window) throw new Error('the clients counted nothing');
  return window;
}
