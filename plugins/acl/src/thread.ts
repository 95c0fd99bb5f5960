// The thread that owns the database while it works on it: SQLite blocks the thread that it runs in.
import { parentPort, workerData } from 'node:worker_threads';
import { GrantDatabase, NoLongerWanted } from './database.ts';
import { perform, TaskFault } from './grants.ts';
import type { Order, Report, ThreadSettings } from './task.ts';

const { file, busyMs } = workerData as ThreadSettings;
if (!parentPort) throw new Error('this file is the thread of the plugin acl, and not started by hand');
const port = parentPort;

port.on('message', ({ id, task, flag }: Order) => {
  const report = (what: Report) => port.postMessage(what);
  const unwanted = new Int32Array(flag);
  const check = () => {
    if (Atomics.load(unwanted, 0) !== 0) throw new NoLongerWanted();
  };
  const warn = (warning: string) => report({ id, warning });
  try {
    check();
    using grants = new GrantDatabase({ file, busyMs, check, warn });
    report({ id, counts: perform(task, grants, warn) });
  } catch (error) {
    report({ id, fault: faultOf(error) });
  }
});

function faultOf(error: unknown): { code: string; reason: string } {
  if (error instanceof NoLongerWanted) return { code: 'NO_LONGER_WANTED', reason: 'it is no longer wanted' };
  if (error instanceof TaskFault) return { code: error.code, reason: error.message };
  const { code = 'UNKNOWN', message = String(error) } = error as { code?: string; message?: string };
  return { code, reason: message };
}
