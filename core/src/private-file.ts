import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  fchownSync,
  fsyncSync,
  lchownSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';

/**
 * Writes `text` to `path`: whole or not at all, on disk when it returns, readable by this uid alone (0600, in a folder
 * that is made 0700 where it is missing). Without `replace` an existing file is left alone and `false` is returned. What root writes
 * belongs to the owner of the folder: the daemon has to read it.
 */
export function writePrivateFile(path: string, text: string, replace: boolean): boolean {
  const folder = resolve(dirname(path));
  const owner = makeFolder(folder);
  const draft = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const file = openSync(draft, 'wx', 0o600);
    try {
      writeFileSync(file, text);
      if (owner) fchownSync(file, owner.uid, owner.gid);
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

/** Makes a folder and what is missing above it. Returns who is to own what is in it, if that is not simply this process's user. */
function makeFolder(folder: string): { uid: number; gid: number } | undefined {
  const first = mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (process.getuid?.() !== 0) return undefined;
  if (first === undefined) return statSync(folder);
  const owner = statSync(dirname(first));
  // Not through a link: the folder above may belong to a user who is quick to put one there.
  for (let made = folder; made.startsWith(first); made = dirname(made)) lchownSync(made, owner.uid, owner.gid);
  return owner;
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
