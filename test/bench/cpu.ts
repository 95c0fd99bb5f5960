import { readdirSync, readFileSync } from 'node:fs';

const TICK_MICROS = 10_000;

/** CPU time that a process has used, user and system, in microseconds. */
export function cpuMicros(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_MICROS;
}

/** The child of `pid` whose command line contains `text`. Throws if there is none. */
export function childOf(pid: number, text: string): number {
  for (const name of readdirSync('/proc')) {
    const child = Number(name);
    if (!Number.isInteger(child)) continue;
    try {
      const [, parent] = /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${child}/status`, 'latin1')) ?? [];
      if (Number(parent) === pid && readFileSync(`/proc/${child}/cmdline`, 'latin1').includes(text)) return child;
    } catch {} // it is gone
  }
  throw new Error(`${pid} has no child ${text}`);
}
