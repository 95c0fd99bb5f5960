import { closeSync, openSync, readFileSync } from 'node:fs';

/** Below this many, a router with a fleet runs out of descriptors. */
export const OPEN_FILES_WANTED = 4096;

/** The variable that holds the soft limit which this process was started with, before Node raised it to the hard one. */
export const SOFT_LIMIT = 'CENTREOND_SOFT_NOFILE';

/** How many files a process may open; Infinity if there is no limit. */
export interface OpenFileLimits {
  readonly soft: number;
  readonly hard: number;
}

/** The limits of a process, this one unless named; undefined if they cannot be read. Linux only. */
export function openFileLimits(pid: number | 'self' = 'self'): OpenFileLimits | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/limits`, 'latin1');
  } catch {
    return undefined;
  }
  const [, soft, hard] = /^Max open files\s+(\S+)\s+(\S+)/m.exec(text) ?? [];
  if (soft === undefined || hard === undefined) return undefined;
  const number = (word: string) => (word === 'unlimited' ? Number.POSITIVE_INFINITY : Number(word));
  return { soft: number(soft), hard: number(hard) };
}

let softLimit: number | undefined;

/**
 * Whether the next file would get one of the last `reserve` numbers that this process may give. It gets the lowest free one, so
 * those who open files only while this is false leave those numbers to everybody else.
 */
export function isShortOfFiles(reserve: number): boolean {
  softLimit ??= openFileLimits()?.soft ?? Number.POSITIVE_INFINITY;
  try {
    const next = openSync('/dev/null', 'r');
    closeSync(next);
    return next >= softLimit - reserve;
  } catch {
    return true;
  }
}

/**
 * The soft limit that this process was started with: what its launcher noted in `env`, or what its parent has, which a
 * process inherits. Never more than its own.
 */
export function softLimitBefore(
  env: Readonly<Record<string, string | undefined>>,
  own: OpenFileLimits,
  parent: OpenFileLimits | undefined,
): number {
  const noted = Number(env[SOFT_LIMIT] || Number.NaN);
  return Math.min(own.soft, noted > 0 ? noted : (parent?.soft ?? own.soft));
}
