import { chmod, mkdir, open, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { fault } from './errors.ts';

/** The folder of everything that the daemon keeps, held by one daemon at a time. */
export class DataFolder {
  private constructor(
    readonly path: string,
    private readonly lock: string,
  ) {}

  /** Makes the folder (0700) and takes it. Throws DATA_DIR_TAKEN while another live daemon has it. */
  static async take(folder: string): Promise<DataFolder> {
    for (const part of ['', 'run', 'keys', 'plugins']) {
      const made = path.join(folder, part);
      await mkdir(made, { recursive: true, mode: 0o700 });
      await chmod(made, 0o700);
    }
    const lock = path.join(folder, 'run', 'daemon.pid');
    const mine = `${process.pid} ${await startTime(process.pid)}\n`;
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        const file = await open(lock, 'wx', 0o600);
        await file.writeFile(mine);
        await file.close();
        return new DataFolder(folder, lock);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const holder = await holderOf(lock);
      if (holder !== undefined) {
        throw fault('DATA_DIR_TAKEN', { path: folder, holder: `The daemon with pid ${holder}` });
      }
      await rm(lock, { force: true });
    }
    throw fault('DATA_DIR_TAKEN', { path: folder, holder: `Some daemon that starts again and again (${lock})` });
  }

  file(...parts: string[]): string {
    return path.join(this.path, ...parts);
  }

  /** Gives the folder back. */
  async release(): Promise<void> {
    await rm(this.lock, { force: true });
  }
}

/** The pid of the live daemon that holds `lock`, or undefined where it is gone (its pid may be another process's now). */
async function holderOf(lock: string): Promise<number | undefined> {
  const [pid, since] = (await readFile(lock, 'utf8').catch(() => '')).trim().split(' ');
  if (!pid || !since) return undefined;
  return (await startTime(Number(pid))) === since ? Number(pid) : undefined;
}

/** When a process started, as the kernel counts it; '' for none, '?' where that cannot be told but it lives. */
async function startTime(pid: number): Promise<string> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '?';
  } catch {
    try {
      process.kill(pid, 0);
      return '?';
    } catch {
      return '';
    }
  }
}
