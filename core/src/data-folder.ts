import { chmod, mkdir, readFile, rm, stat } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { reasonOf } from '@centreond/plugin-sdk';
import { fault } from './errors.ts';
import { writePrivateFile } from './private-file.ts';

/** The folder of everything that the daemon keeps, held by one daemon at a time. */
export class DataFolder {
  private constructor(
    /** Absolute. */
    readonly path: string,
    private readonly pidFile: string,
    private readonly lock: net.Server | undefined,
  ) {}

  /**
   * Makes the folder (0700) and takes it. Throws DATA_DIR_TAKEN if another live daemon has it, and DATA_DIR_UNUSABLE if it cannot
   * be made. The lock is a socket without a file, which the kernel frees however the process ends.
   */
  static async take(folder: string): Promise<DataFolder> {
    try {
      for (const part of ['', 'run', 'keys', 'plugins']) await makeFolder(path.join(folder, part));
    } catch (error) {
      throw fault('DATA_DIR_UNUSABLE', { path: folder, reason: reasonOf(error) });
    }
    const pidFile = path.join(folder, 'run', 'daemon.pid');
    const { dev, ino } = await stat(folder);
    const lock = await listen(`\0centreond-${dev}-${ino}`);
    // The lock is per network namespace; a daemon in another one is known by its pid file.
    const holder = await holderOf(pidFile);
    if (lock === 'taken' || holder !== undefined) {
      if (lock !== 'taken') await close(lock);
      const who = holder === undefined ? 'Another daemon' : `The daemon with pid ${holder}`;
      throw fault('DATA_DIR_TAKEN', { path: folder, holder: who });
    }
    writePrivateFile(pidFile, `${process.pid} ${await startTime(process.pid)}\n`, true);
    return new DataFolder(folder, pidFile, lock);
  }

  file(...parts: string[]): string {
    return path.join(this.path, ...parts);
  }

  /** Gives the folder back. */
  async release(): Promise<void> {
    await rm(this.pidFile, { force: true });
    await close(this.lock);
  }
}

/** Makes a folder and those above it, for this uid alone. Unlike mkdir's own recursion it ends below /proc, too. */
async function makeFolder(folder: string): Promise<void> {
  await makeFolders(folder);
  await chmod(folder, 0o700);
}

async function makeFolders(folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && (await stat(folder)).isDirectory()) return;
    const parent = path.dirname(folder);
    if (code !== 'ENOENT' || parent === folder) throw error;
    await makeFolders(parent);
    await mkdir(folder, { mode: 0o700 });
  }
}

/** Listens on an abstract socket. Undefined if this system has none. */
function listen(name: string): Promise<net.Server | 'taken' | undefined> {
  return new Promise((resolve) => {
    const server = net.createServer((socket) => socket.destroy());
    server.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'EADDRINUSE' ? 'taken' : undefined));
    server.listen({ path: name }, () => resolve(server.unref()));
  });
}

function close(server: net.Server | undefined): Promise<void> {
  return new Promise((resolve) => (server ? server.close(() => resolve()) : resolve()));
}

/** The pid of the live daemon that wrote the file, or undefined if it is gone (its pid may be another process's now). */
async function holderOf(pidFile: string): Promise<number | undefined> {
  const [pid, since] = (await readFile(pidFile, 'utf8').catch(() => '')).trim().split(' ');
  if (!pid || !since || Number(pid) === process.pid) return undefined;
  return (await startTime(Number(pid))) === since ? Number(pid) : undefined;
}

/** When a process started, as the kernel counts it; '' if there is none, '?' if it lives and that cannot be told. */
async function startTime(pid: number): Promise<string> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '?';
  } catch {
    try {
      process.kill(pid, 0);
      return '?';
    } catch {
      return '';
    }
  }
}
