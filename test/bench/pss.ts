import { readFileSync } from 'node:fs';

/** Proportional set size of a process, in bytes: pages that it shares count in part. */
export function pssOf(pid: number): number {
  const [, kib] = /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1')) ?? [];
  return Number(kib) * 1024;
}
