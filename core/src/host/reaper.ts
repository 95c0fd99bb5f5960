import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';

/** The environment variable by which whatever an instance started is found again. */
export const MARK = 'CENTREOND_INSTANCE';

/**
 * Signals the process group of `pid`, whose leader may be gone already. Returns false if some of it may not be signalled: a plugin
 * started something as another user.
 */
export function killGroup(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EPERM') return false;
    if (code !== 'ESRCH') throw error;
  }
  return true;
}

/**
 * Kills every process whose environment bears a mark that starts with `mark`: what left its process group, or outlived
 * a daemon that was killed. Linux only; elsewhere it finds nothing. Resolves with how many it killed.
 */
export async function reap(mark: string): Promise<number> {
  const wanted = `${MARK}=${mark}`;
  let killed = 0;
  let entries: string[];
  try {
    entries = await readdir('/proc');
  } catch {
    return 0;
  }
  for (const entry of entries) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      const environment = await readFile(`/proc/${entry}/environ`, 'latin1');
      if (!environment.split('\0').some((variable) => variable.startsWith(wanted))) continue;
      process.kill(pid, 'SIGKILL');
      killed++;
    } catch {
      // Gone meanwhile, or another user's: not ours to end.
    }
  }
  return killed;
}

/** Resident memory of a process in bytes; null where it cannot be told. */
export function memoryOf(pid: number): number | null {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]) * 4096;
  } catch {
    return null;
  }
}

/**
 * Sets how far the session that `pid` leads gives way to others (-20 to 19). Where the kernel schedules by session this is
 * what counts, whatever its processes say of themselves; elsewhere, or where it may not be set, nothing changes.
 */
export function sessionGivesWay(pid: number, niceness: number): void {
  try {
    writeFileSync(`/proc/${pid}/autogroup`, String(niceness));
  } catch {
    // Not this kernel's way, not permitted so soon again, or the process is gone: the plugin runs as it would without.
  }
}

/** How many processes descend from `pid`, itself included; 0 where that cannot be told. */
export async function descendants(pid: number): Promise<number> {
  const children = new Map<number, number[]>();
  const entries = await readdir('/proc').catch(() => []);
  for (const entry of entries) {
    const stat = /^\d+$/.test(entry) ? await readFile(`/proc/${entry}/stat`, 'latin1').catch(() => '') : '';
    if (stat === '') continue;
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 4).split(' ')[0]);
    const siblings = children.get(parent);
    if (siblings) siblings.push(Number(entry));
    else children.set(parent, [Number(entry)]);
  }
  let count = 0;
  for (const waiting = [pid]; waiting.length > 0; count++) waiting.push(...(children.get(waiting.pop() ?? 0) ?? []));
  return entries.length === 0 ? 0 : count;
}

/**
 * Starts a warden: a shell that waits until this process is gone, however it went, and then, after `graceSeconds` for those
 * that notice by themselves, kills whatever still bears the mark. It ends when it is killed; Linux only.
 */
export function startWarden(mark: string, graceSeconds: number): ChildProcess {
  const script = [
    'while read -r _; do :; done',
    `sleep ${graceSeconds}`,
    `for f in $(grep -las '${MARK}=${mark}' /proc/[0-9]*/environ); do f=\${f%/environ}; kill -9 "\${f#/proc/}"; done`,
  ].join('\n');
  const warden = spawn('/bin/sh', ['-c', script], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  warden.on('error', () => {}); // no shell: orphans are then found at the next start
  warden.unref();
  return warden;
}
