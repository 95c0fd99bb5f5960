import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { type CentreondError, failure, reasonOf } from '@centreond/plugin-sdk';
import type { Pipe, Pipes } from './pipes.ts';
import { withSoftLimit } from './soft-limit.ts';

/** A command's own process. Its stdin is /dev/null. */
export interface CommandProcess {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly stdout: Readable;
  readonly stderr: Readable;
}

/** How to start a program. */
export interface Launch {
  readonly argv: readonly string[];
  readonly cwd: string | undefined;
  readonly env: Readonly<Record<string, string>>;
}

/** This process's environment with `given` over it, without what is for the plugin alone. */
export function environment(given: Readonly<Record<string, string>> = {}): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && !name.startsWith('CENTREOND_') && name !== 'NOTIFY_SOCKET') env[name] = value;
  }
  return Object.assign(env, given);
}

/**
 * Starts a program as the leader of a session of its own. Its outputs are pipes, or sockets where `pipes` has none. Throws
 * COMMAND_NOT_STARTED, which names the program and the cause.
 */
export async function launch({ argv, cwd, env }: Launch, pipes: Pipes): Promise<CommandProcess> {
  const [program = ''] = argv;
  const taken: Pipe[] = [];
  try {
    const [file = '', ...args] = await withSoftLimit(argv, cwd, env);
    while (taken.length < 2) {
      const pipe = await pipes.take();
      if (!pipe) break;
      taken.push(pipe);
    }
    const [out, err] = taken;
    const child = spawn(file, args, {
      cwd,
      env,
      detached: true,
      stdio: ['ignore', out?.input ?? 'pipe', err?.input ?? 'pipe'],
    });
    const [stdout, stderr] = [out?.output ?? child.stdout, err?.output ?? child.stderr];
    if (child.pid !== undefined && stdout && stderr) return { child, pid: child.pid, stdout, stderr };
    const [error] = await once(child, 'error');
    throw error;
  } catch (error) {
    for (const { output } of taken) output.destroy();
    throw await notStarted(program, cwd, error);
  } finally {
    for (const { input } of taken) closeSync(input);
  }
}

async function notStarted(program: string, cwd: string | undefined, error: unknown): Promise<CentreondError> {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return failure('COMMAND_NOT_STARTED', {
    program,
    reason: (cwd === undefined ? undefined : await folderFault(cwd)) ?? programFault(program, code) ?? reasonOf(error),
  });
}

/** The system says ENOENT for a missing folder too. */
async function folderFault(cwd: string): Promise<string | undefined> {
  try {
    return (await stat(cwd)).isDirectory() ? undefined : `its cwd ${cwd} is not a folder (ENOTDIR)`;
  } catch (error) {
    return `its cwd ${cwd} cannot be entered: ${reasonOf(error)}`;
  }
}

function programFault(program: string, code: unknown): string | undefined {
  switch (code) {
    case 'ENOENT':
      return program.includes('/')
        ? 'there is no such file, or the interpreter in its first line is missing (ENOENT)'
        : 'no folder of PATH has a program of this name (ENOENT)';
    case 'EACCES':
      return "the daemon's user may not execute it, or not enter its cwd (EACCES)";
    case 'ENOEXEC':
      return 'it is neither a program nor a script whose first line names its interpreter (ENOEXEC)';
    case 'E2BIG':
      return 'its arguments and environment are too long for this system (E2BIG)';
    case 'EMFILE':
    case 'ENFILE':
    case 'EAGAIN':
    case 'ENOMEM':
      return `this machine, or the limits of the daemon, allow no more processes or files at once (${code}); send it again later`;
    default:
      return undefined;
  }
}
