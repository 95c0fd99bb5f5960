import { constants, existsSync, readFileSync } from 'node:fs';
import { access, open } from 'node:fs/promises';
import path from 'node:path';

const PRLIMIT = ['/usr/bin/prlimit', '/bin/prlimit'].find((file) => existsSync(file));
const LIMIT = softLimit();
/** The longest first line of a script that kernels read. */
const HEAD_BYTES = 256;

/**
 * The words that start a command with the soft limit of open files that the daemon was started with. Node raises its own to
 * the hard limit, and programs that walk all descriptors, or use select(), suffer from a million of them. The command is
 * started as it is if there is nothing to lower, without prlimit (util-linux), and if it cannot start: the system's own
 * error then says why.
 */
export async function withSoftLimit(
  argv: readonly string[],
  cwd: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
  limit = LIMIT,
): Promise<readonly string[]> {
  const [program = ''] = argv;
  if (limit === undefined || PRLIMIT === undefined || !(await starts(program, cwd, env))) return argv;
  return [PRLIMIT, `--nofile=${limit}:`, '--', ...argv];
}

/** The limit to set; undefined if commands inherit it anyway. */
function softLimit(): number | undefined {
  const wanted = Number(process.env.CENTREOND_SOFT_NOFILE);
  return wanted > 0 && wanted < ownSoftLimit() ? wanted : undefined;
}

function ownSoftLimit(): number {
  try {
    const [, soft] = /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? [];
    return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    return 0;
  }
}

async function starts(
  program: string,
  cwd: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<boolean> {
  const from = cwd ?? process.cwd();
  const folders = program.includes('/') ? [''] : (env.PATH ?? '').split(':');
  for (const folder of folders) {
    const file = path.resolve(from, folder, program);
    try {
      await access(file, constants.X_OK);
      return await hasLoader(file);
    } catch {
      // Not here, or it may not be read: the next folder is looked at.
    }
  }
  return false;
}

/** Whether the kernel knows how to run it: a binary, or a script whose interpreter is there. */
async function hasLoader(file: string): Promise<boolean> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    const head = buffer.toString('latin1', 0, bytesRead);
    if (head.startsWith('\x7fELF')) return true;
    const [, interpreter] = /^#!\s*(\S+)/.exec(head) ?? [];
    if (interpreter === undefined) return false;
    await access(interpreter, constants.X_OK);
    return true;
  } finally {
    await handle.close();
  }
}
