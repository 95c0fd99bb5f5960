import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';

/**
 * Writes `text` to `path`: whole or not at all, on disk when it returns, readable by this uid alone (0600, in a folder
 * that is made 0700 where it is missing). Without `replace` an existing file is left alone and `false` is returned.
 */
export function writePrivateFile(path: string, text: string, replace: boolean): boolean {
  const folder = dirname(path);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const file = openSync(draft, 'wx', 0o600);
    try {
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    // The umask may have taken more away than wanted, never less.
    chmodSync(draft, 0o600);
    if (replace) renameSync(draft, path);
    else linkSync(draft, path); // unlike rename, fails where the file is there already
  } catch (error) {
    if (!replace && (error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  return true;
}

/** The text of a file and its permission bits, or undefined where there is none. */
export function readPrivateFile(path: string): { text: string; mode: number } | undefined {
  try {
    return {
      text: readFileSync(path, 'utf8'),
      mode: statSync(path).mode & 0o777,
    };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
