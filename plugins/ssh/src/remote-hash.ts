import { isCentreondError } from '@centreond/plugin-sdk';
import { type RemoteFile, readBack, type Sftp } from '@centreond/receiving';
import { runRemotely } from './remote-run.ts';
import { NoChannel, type SshLink } from './ssh-link.ts';

/** So much output fits into what a command's answer keeps. */
const FILES_AT_ONCE = 500;
const LIMIT_MS = 3600_000;

/** One at a time per node: what is verified takes a session and the disk there. */
export interface HashRun {
  busy: Promise<unknown>;
}

/**
 * The SHA-256 of files on the node, in their order, as they are on its disk: by `sha256sum` there, or read over SFTP where
 * there is none. Empty for one that could not be read. Rejects where the connection breaks.
 */
export function sha256Of(run: HashRun, link: SshLink, sftp: Sftp, files: readonly RemoteFile[]): Promise<string[]> {
  if (files.length === 0) return Promise.resolve([]);
  const done = run.busy.then(async () => {
    const all: string[] = [];
    for (let at = 0; at < files.length; at += FILES_AT_ONCE) {
      const some = files.slice(at, at + FILES_AT_ONCE);
      all.push(...((await byProgram(link, some)) ?? (await readBack(sftp, some))));
    }
    return all;
  });
  run.busy = done.catch(() => undefined);
  done.catch(() => undefined);
  return done;
}

async function byProgram(link: SshLink, files: readonly RemoteFile[]): Promise<string[] | undefined> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(new Error('it was not verified within an hour')), LIMIT_MS);
  const argv = ['sha256sum', '--', ...files.map(({ path }) => path)];
  try {
    const { stdout } = await runRemotely(link, { argv, cwd: undefined, env: {} }, stop, {
      token: '',
      give: async () => {},
      unkillable: () => {},
    });
    const sums = new Map<string, string>();
    for (const line of stdout.split('\n')) {
      // A \ before it says that the name after it is quoted.
      const [, sum, name] = /^\\?([0-9a-f]{64}) [ *](.*)$/.exec(line) ?? [];
      if (sum !== undefined && name !== undefined) sums.set(name.slice(name.lastIndexOf('/') + 1), sum);
    }
    return files.map(({ path }) => sums.get(path.slice(path.lastIndexOf('/') + 1)) ?? '');
  } catch (error) {
    const absent = isCentreondError(error) && error.code === 'COMMAND_NOT_STARTED';
    if (absent || error instanceof NoChannel) return undefined;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
