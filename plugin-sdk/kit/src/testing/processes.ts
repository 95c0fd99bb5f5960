import { readdir, readFile } from 'node:fs/promises';

/** The environment variable by which a host finds again whatever an instance started. */
export const MARK = 'CENTREOND_INSTANCE';

/** A live process. */
export interface Found {
  readonly pid: number;
  readonly command: string;
}

interface Process extends Found {
  readonly parent: number;
  readonly environment: string;
}

/** Every live process that this user may look at. Linux only; elsewhere none. */
async function processes(): Promise<Process[]> {
  const entries = await readdir('/proc').catch(() => []);
  const found = await Promise.all(
    entries
      .filter((entry) => /^\d+$/.test(entry))
      .map(async (entry): Promise<Process | undefined> => {
        try {
          const read = (file: string) => readFile(`/proc/${entry}/${file}`, 'latin1');
          const [stat, command, environment] = await Promise.all([read('stat'), read('cmdline'), read('environ')]);
          const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
          if (state === 'Z' || state === 'X') return undefined;
          return {
            pid: Number(entry),
            parent: Number(parent),
            command: command.replaceAll('\0', ' ').trim(),
            environment,
          };
        } catch {
          return undefined; // gone meanwhile, or another user's
        }
      }),
  );
  return found.filter((each) => each !== undefined);
}

/** The live processes whose environment bears `mark`. */
export async function markedProcesses(mark: string): Promise<Found[]> {
  const wanted = `${MARK}=${mark}`;
  const all = await processes();
  return all
    .filter(({ pid, environment }) => pid !== process.pid && environment.split('\0').includes(wanted))
    .map(({ pid, command }) => ({ pid, command }));
}

/** Those of `found` that still live, with what they run now: one may have been found before it became another program. */
export async function stillAlive(found: readonly Found[]): Promise<Found[]> {
  const pids = new Set(found.map(({ pid }) => pid));
  return (await processes()).filter(({ pid }) => pids.has(pid)).map(({ pid, command }) => ({ pid, command }));
}

/** The live processes that descend from `pid`, without itself. */
export async function descendantsOf(pid: number): Promise<Found[]> {
  const all = await processes();
  const found: Process[] = [];
  const parents = new Set([pid]);
  for (let grown = true; grown; ) {
    grown = false;
    for (const each of all) {
      if (parents.has(each.pid) || !parents.has(each.parent)) continue;
      parents.add(each.pid);
      found.push(each);
      grown = true;
    }
  }
  return found.map(({ pid: each, command }) => ({ pid: each, command }));
}

/** Signals a process, or with a negative number its group. One that is gone is no error. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
