import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { failure } from '@centreond/plugin-sdk';
import { codeOf, Folder } from './folder.ts';
import { STAGING } from './roots.ts';
import { folderOf, NAME_DIGITS, STAGED_LIMIT, tooManyStaged } from './staged.ts';

const { O_APPEND, O_CREAT, O_RDWR } = constants;

const JOURNAL = 'done';

/**
 * What one transfer has staged below one root: a folder of its own, for the daemon's user alone, with a file for each that has
 * not arrived as a whole, named after its destination and the state of its source. A journal names those that have arrived,
 * so that one whose answer was lost is not sent again. All of it outlives the process.
 */
export class Staging {
  readonly #done: Set<string>;

  private constructor(
    readonly folder: Folder,
    readonly device: bigint,
    private readonly journal: FileHandle,
    done: Set<string>,
  ) {
    this.#done = done;
  }

  /** Opens it, or makes it. Rejects with BUSY where there are too many below this root. */
  static async open(root: string, transfer: string): Promise<Staging> {
    await using all = await stagingOf(root, true);
    const name = folderOf(transfer);
    if (!(await all.look(name))) {
      const { length } = await all.list();
      if (length >= STAGED_LIMIT) throw tooManyStaged(root);
      await all.make(name, 0o700);
    }
    const folder = await all.folder(name);
    const { dev } = await folder.stat();
    const journal = await folder.file(JOURNAL, O_RDWR | O_CREAT | O_APPEND);
    const lines = (await journal.readFile('utf8')).split('\n');
    // A last line that was cut short names nothing.
    return new Staging(folder, dev, journal, new Set(lines.filter(({ length }) => length === NAME_DIGITS)));
  }

  /** How much of it is staged. */
  async sizeOf(name: string): Promise<number> {
    return Number((await this.folder.look(name))?.size ?? 0n);
  }

  /** Whether it has arrived as a whole: the journal says so before it is moved, so it must be gone from here as well. */
  async has(name: string): Promise<boolean> {
    return this.#done.has(name) && !(await this.folder.look(name));
  }

  /** Notes that it is about to be moved. */
  async note(name: string): Promise<void> {
    if (this.#done.has(name)) return;
    // After a line that was cut short, this one is whole all the same.
    await this.journal.appendFile(`\n${name}\n`);
    this.#done.add(name);
  }

  async close(): Promise<void> {
    await this.journal.close();
    await this.folder.close();
  }

  /** Removes all that a transfer has staged below `root`. */
  static async remove(root: string, transfer: string): Promise<void> {
    await using all = await stagingOf(root, false);
    if (all) await empty(all, folderOf(transfer));
  }

  /** Removes what nobody has touched since `before`, in milliseconds, but for the transfers `open`. Resolves with how many transfers that were. */
  static async purge(root: string, before: number, open: readonly string[]): Promise<number> {
    await using all = await stagingOf(root, false);
    let removed = 0;
    if (!all) return removed;
    const kept = new Set(open.map(folderOf));
    for (const entry of await all.list()) {
      const name = entry.name.toString();
      if (!entry.isDirectory() || kept.has(name) || (await touched(all, name)) >= before) continue;
      await empty(all, name);
      removed++;
    }
    return removed;
  }
}

async function stagingOf(root: string, make: true): Promise<Folder>;
async function stagingOf(root: string, make: boolean): Promise<Folder | undefined>;
/** The staging folder of a root, if there is one. It is nobody else's: who prepared it could see and change what arrives. */
async function stagingOf(root: string, make: boolean): Promise<Folder | undefined> {
  await using folder = await Folder.open(root);
  if (make) await folder.make(STAGING, 0o700);
  else if (!(await folder.look(STAGING))) return undefined;
  const staging = await folder.folder(STAGING);
  const { uid } = await staging.stat();
  if (process.geteuid && Number(uid) !== process.geteuid()) {
    await staging.close();
    const reason = 'it belongs to another user; remove it';
    throw failure('FILES_REFUSED', { path: `${root}/${STAGING}`, reason });
  }
  await staging.chmod(0o700);
  return staging;
}

async function touched(all: Folder, name: string): Promise<number> {
  await using folder = await all.folder(name);
  let latest = (await folder.stat()).mtimeMs;
  for (const entry of await folder.list()) {
    const found = await folder.look(entry.name.toString());
    if (found && found.mtimeMs > latest) latest = found.mtimeMs;
  }
  return Number(latest);
}

async function empty(all: Folder, name: string): Promise<void> {
  let folder: Folder;
  try {
    folder = await all.folder(name);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  try {
    for (const entry of await folder.list()) await folder.remove(entry.name.toString());
  } finally {
    await folder.close();
  }
  await all.removeFolder(name);
}
