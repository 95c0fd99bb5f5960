import { chownSync, existsSync, lchownSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import { isKept, REPLACED } from './backup.ts';
import { entriesOf } from './staging.ts';

/** What a data folder keeps already, by name; of a folder that was made and never used, nothing. */
export function contentOf(dataDir: string): string[] {
  return readdirSync(dataDir).filter((name) => {
    if (!isKept(name)) return false;
    const entry = path.join(dataDir, name);
    return !statSync(entry).isDirectory() || readdirSync(entry).length > 0;
  });
}

/** Moves entries of a data folder into a new folder there. Returns that folder; undefined where there is nothing to move. */
export function moveAside(dataDir: string, names: readonly string[]): string | undefined {
  if (names.length === 0) return undefined;
  const aside = path.join(dataDir, `${REPLACED}${timeInName()}`);
  mkdirSync(aside, { mode: 0o700 });
  for (const name of names) renameSync(path.join(dataDir, name), path.join(aside, name));
  return aside;
}

/** This moment, as a part of the name of a file. */
export function timeInName(): string {
  return new Date().toISOString().replaceAll(':', '-');
}

/** A user of the system. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Who is to own what root makes in a data folder: the owner of the folder, or of the first one above it. Undefined where that is
 * root, and for every other user, who can make files of his own only.
 */
export function ownerFor(dataDir: string): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  let at = dataDir;
  while (!existsSync(at)) at = path.dirname(at);
  const { uid, gid } = statSync(at);
  return uid === 0 ? undefined : { uid, gid };
}

/** Makes `owner` the owner of a data folder and of all in it. */
export function giveTo(dataDir: string, { uid, gid }: Owner): void {
  const { files, folders, others } = entriesOf(dataDir);
  chownSync(dataDir, uid, gid);
  for (const name of [...files, ...folders, ...others]) lchownSync(path.join(dataDir, name), uid, gid);
}
