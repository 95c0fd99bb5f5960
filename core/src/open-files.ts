import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';

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

/** How many files this process has open; undefined if that cannot be told. Takes about a microsecond for each. Linux only. */
export function openFileCount(): number | undefined {
  try {
    return readdirSync('/proc/self/fd').length - 1; // the listing itself was one
  } catch {
    return undefined;
  }
}

let softLimit: number | undefined;

/**
 * How many files this process may still open, at least: a new file gets the lowest free number, so above that one all are
 * free or were taken before. Infinity if there is no limit.
 */
export function filesLeft(): number {
  softLimit ??= openFileLimits()?.soft ?? Number.POSITIVE_INFINITY;
  try {
    const lowestFree = openSync('/dev/null', 'r');
    closeSync(lowestFree);
    return softLimit - lowestFree - 1;
  } catch {
    return 0;
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
