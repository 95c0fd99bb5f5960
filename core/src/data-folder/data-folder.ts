import { chmod, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { reasonOf } from '@centreond/protocol';
import Database from 'better-sqlite3';
import { fault } from '../errors.ts';

/** How long to wait for the pid of a daemon that has just taken the folder, in steps. */
const PID_STEPS = 10;
const PID_STEP_MS = 20;

/**
 * The folder of everything that the daemon keeps, held by one process at a time. The hold is a lock of the kernel on the
 * file `lock`, by SQLite: it ends with the process, however that ends, and holds between containers that share the folder.
 * `run/daemon.pid` is for people only.
 */
export class DataFolder {
  // Referenced for as long as the folder is held: SQLite gives the lock back when this is collected.
  readonly #lock: Database.Database;

  private constructor(
    readonly path: string,
    lock: Database.Database,
  ) {
    this.#lock = lock;
  }

  /** Makes the folder (0700) and takes it. Throws DATA_DIR_TAKEN while another process has it, or DATA_DIR_UNUSABLE. */
  static async take(folder: string): Promise<DataFolder> {
    try {
      for (const part of ['', 'run', 'keys', 'plugins']) {
        const made = path.join(folder, part);
        await makeFolder(made);
        await chmod(made, 0o700);
      }
    } catch (error) {
      throw fault('DATA_DIR_UNUSABLE', { path: folder, reason: reasonOf(error) });
    }
    const lock = await locked(folder);
    await writeFile(pidFileOf(folder), `${process.pid}\n`, { mode: 0o600 });
    return new DataFolder(folder, lock);
  }

  file(...parts: string[]): string {
    return path.join(this.path, ...parts);
  }

  /** Gives the folder back. May be called again. */
  async release(): Promise<void> {
    if (!this.#lock.open) return;
    await rm(pidFileOf(this.path), { force: true });
    this.#lock.close();
  }
}

async function locked(folder: string): Promise<Database.Database> {
  const file = path.join(folder, 'lock');
  let lock: Database.Database | undefined;
  try {
    // SQLite makes it with the mode that the umask leaves.
    await writeFile(file, '', { flag: 'a', mode: 0o600 });
    lock = new Database(file, { timeout: 0 });
    lock.exec('BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock?.close();
    if (!(error instanceof Database.SqliteError && error.code === 'SQLITE_BUSY')) {
      throw fault('DATA_DIR_UNUSABLE', { path: folder, reason: reasonOf(error) });
    }
    const pid = await holderOf(folder);
    const holder = pid === undefined ? 'Another daemon' : `The daemon with pid ${pid}`;
    throw fault('DATA_DIR_TAKEN', { path: folder, holder });
  }
}

/** Makes a folder and what is missing above it. Node's own `recursive` never ends below /proc, which says ENOENT for ever. */
async function makeFolder(folder: string): Promise<void> {
  const missing: string[] = [];
  let at = folder;
  while (!(await exists(at))) {
    missing.push(at);
    at = path.dirname(at);
  }
  for (let next = missing.pop(); next !== undefined; next = missing.pop()) {
    await mkdir(next, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}

async function exists(folder: string): Promise<boolean> {
  try {
    await stat(folder);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}

/** The pid of the process that says in the folder that it holds it; undefined if there is none. */
export async function daemonOf(folder: string): Promise<number | undefined> {
  const pid = Number(await readFile(pidFileOf(folder), 'utf8').catch(() => ''));
  return pid > 0 && (await exists(`/proc/${pid}`).catch(() => true)) ? pid : undefined;
}

/** The pid of the process that holds the folder; undefined if it has not written that yet. */
async function holderOf(folder: string): Promise<number | undefined> {
  for (let step = 0; step < PID_STEPS; step++) {
    const pid = await daemonOf(folder);
    if (pid !== undefined) return pid;
    await new Promise((resolve) => setTimeout(resolve, PID_STEP_MS));
  }
  return undefined;
}

function pidFileOf(folder: string): string {
  return path.join(folder, 'run', 'daemon.pid');
}
