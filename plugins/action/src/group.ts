import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

/** How long SIGKILL may take before what is left is given up, and reported. */
const KILL_LIMIT_MS = 5_000;
const POLL_MS = 20;
/** Many commands that end together share one look at the process table: it is good for so long, or five times its cost. */
const TABLE_MS = 10;

interface Entry {
  readonly pid: number;
  readonly group: number;
  readonly session: number;
}

let table: { readonly entries: readonly Entry[]; readonly at: number; readonly until: number } | undefined;

/** The living process of this number by /proc; undefined for none and for a zombie. */
function processOf(pid: number): Entry | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined; // it has ended
  }
  const [state, , group, session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return state === 'Z' || state === 'X' ? undefined : { pid, group: Number(group), session: Number(session) };
}

/** The processes that lived at some time since `since`, or undefined where there is no /proc to tell. */
function processes(since: number): readonly Entry[] | undefined {
  if (process.platform !== 'linux') return undefined;
  const at = performance.now();
  if (table && table.at >= since && table.until > at) return table.entries;
  const entries = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => processOf(Number(name)))
    .filter((entry) => entry !== undefined);
  const now = performance.now();
  table = { entries, at, until: now + Math.max(TABLE_MS, 5 * (now - at)) };
  return entries;
}

function send(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    // EPERM: it is there, and belongs to another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The processes that a command started: those of its process group and, when it is stopped, of its whole session. */
export class ProcessGroup {
  #leaderEnded: number | undefined;
  #gone = false;

  /** `pid` is a running child that leads a session of its own. */
  constructor(readonly pid: number) {}

  /** To be called when the child's end is known, at once: from here on its number is not held by it alone. */
  leaderEnded(): void {
    this.#leaderEnded = performance.now();
  }

  /** Signals the group; 0 only asks. Returns whether any process is left in it, zombies included. */
  signal(signal: NodeJS.Signals | 0): boolean {
    if (this.#gone) return false;
    // The kernel gives a number away only when no group bears it: a new process of this number means the group is gone.
    if (this.#leaderEnded !== undefined) this.#gone = send(this.pid, 0) || !send(-this.pid, signal);
    else send(-this.pid, signal);
    return !this.#gone;
  }

  /** Kills group and session now, without waiting: for when this very process ends. */
  kill(): void {
    this.#sweep('SIGKILL');
  }

  /**
   * SIGTERM, after `graceMs` SIGKILL, to the group and to the other groups of its session (which only Linux can tell).
   * Resolves with true when nothing of it lives, with false when SIGKILL did not help for 5 s.
   */
  async end(graceMs: number): Promise<boolean> {
    this.#sweep('SIGTERM');
    this.#sweep('SIGCONT'); // a stopped process takes the SIGTERM only then
    const killFrom = performance.now() + graceMs;
    let killed: number | undefined;
    while (this.#lives()) {
      const now = performance.now();
      if (killed !== undefined && now > killed + KILL_LIMIT_MS) return false;
      if (now > killFrom) {
        this.#sweep('SIGKILL');
        killed ??= performance.now();
      }
      await pause(POLL_MS);
    }
    return true;
  }

  #sweep(signal: NodeJS.Signals): void {
    for (const group of this.#otherGroups()) send(-group, signal);
    this.signal(signal);
  }

  #otherGroups(): Set<number> {
    const groups = new Set<number>();
    // A session's number is held like a group's; a new leader of it would be a process of that number.
    if (this.#leaderEnded !== undefined && send(this.pid, 0)) return groups;
    for (const { pid, group, session } of processes(0) ?? []) {
      if (session !== this.pid || group === this.pid || groups.has(group)) continue;
      const now = processOf(pid); // the table may be old, and the number another's by now
      if (now?.session === session && now.group === group) groups.add(group);
    }
    return groups;
  }

  #lives(): boolean {
    if (this.#leaderEnded === undefined) return true;
    if (send(this.pid, 0)) return false;
    const entries = processes(this.#leaderEnded);
    if (!entries) return this.signal(0);
    if (entries.some(({ group, session }) => group === this.pid || session === this.pid)) return true;
    // Only zombies answer to it now, or one that forked past the look at the table: the kernel misses none.
    this.signal('SIGKILL');
    return false;
  }
}
