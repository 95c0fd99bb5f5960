import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';

/** The environment variable by which whatever an instance started is found again. */
export const MARK = 'CENTREOND_INSTANCE';
/** The environment variable that names the folder of notes to a plugin. */
export const NOTES = 'CENTREOND_RUNNING';
/**
 * Divides the mark of an instance from the number of a command. A command's processes are ended with its instance only while its mark
 * is the name of a note: what a command that has ended left behind belongs to nobody.
 */
const COMMAND = '#';

/** A process that was ended. */
export interface Reaped {
  readonly pid: number;
  /** Its command line. */
  readonly command: string;
}

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
 * Kills what left the process group of an instance, or outlived a daemon that was killed: every process whose environment bears a mark
 * that starts with `mark`, except what commands without a note in the folder `notes` left behind. Removes the notes of these marks.
 * Call it only once the instances of these marks are gone. Linux only; elsewhere it finds nothing. Resolves with what it killed.
 */
export async function reap(mark: string, notes: string): Promise<Reaped[]> {
  const killed = await killMarked((its) => its.startsWith(mark) && !its.includes(COMMAND));
  // Only now: an instance that outlived its daemon may have noted a command until it was killed.
  const noted = new Set((await namesIn(notes)).filter((name) => name.startsWith(mark)));
  if (noted.size > 0) killed.push(...(await killMarked((its) => noted.has(its))));
  await Promise.all([...noted].map((name) => rm(path.join(notes, name), { force: true })));
  return killed;
}

async function killMarked(isMeant: (mark: string) => boolean): Promise<Reaped[]> {
  const killed: Reaped[] = [];
  for (const entry of await namesIn('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      const its = markIn(await readFile(`/proc/${entry}/environ`, 'latin1'));
      if (its === undefined || !isMeant(its)) continue;
      const command = (await readFile(`/proc/${entry}/cmdline`, 'utf8')).replaceAll('\0', ' ').trim();
      process.kill(pid, 'SIGKILL');
      killed.push({ pid, command });
    } catch {
      // Gone meanwhile, or another user's: not ours to end.
    }
  }
  return killed;
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function markIn(environment: string): string | undefined {
  const wanted = `${MARK}=`;
  return environment
    .split('\0')
    .find((variable) => variable.startsWith(wanted))
    ?.slice(wanted.length);
}

/** The processes as a sentence part, the first few by their command. */
export function reapedText(reaped: readonly Reaped[]): string {
  const shown = reaped.slice(0, 3).map(({ pid, command }) => `'${command.slice(0, 80)}' (pid ${pid})`);
  return shown.join(', ') + (reaped.length > 3 ? ` and ${reaped.length - 3} more` : '');
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
 * that notice by themselves, kills what `reap` would. It ends when it is killed; Linux only.
 */
export function startWarden(mark: string, notes: string, graceSeconds: number): ChildProcess {
  const script = [
    'while read -r _; do :; done',
    `sleep ${graceSeconds}`,
    `end() { for f; do f=\${f%/environ}; kill -9 "\${f#/proc/}"; done; }`,
    `end $(grep -lasz '^${MARK}=${mark}[^${COMMAND}]*$' /proc/[0-9]*/environ)`,
    `end $(ls "$1" | sed -n 's/^${mark}/${MARK}=&/p' | grep -laszxFf - /proc/[0-9]*/environ)`,
  ].join('\n');
  const warden = spawn('/bin/sh', ['-c', script, 'sh', notes], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  warden.on('error', () => {}); // no shell: orphans are then found at the next start
  warden.unref();
  return warden;
}
