import { STAGING } from './roots.ts';
import { type Sftp, SftpRefusal } from './sftp.ts';
import { folderOf, STAGED_LIMIT, tooManyStaged } from './staged.ts';
import { StoreRefusal } from './store.ts';

/**
 * The folders below the roots of one node, seen by SFTP. A link below a root is never followed, as far as SFTP can tell: it
 * names files by path, so between the look at a folder and what is then done in it somebody who may write there can put a
 * link in its place. Made for each message, it looks at each folder once.
 */
export class SftpFolders {
  readonly #roots = new Map<string, Promise<string>>();
  readonly #folders = new Map<string, Promise<string>>();
  readonly #stagings = new Map<string, Promise<string>>();

  constructor(private readonly sftp: Sftp) {}

  /** The root without links: those in its own path are the operator's. */
  #root(root: string): Promise<string> {
    return once(this.#roots, root, async () => {
      const real = await this.sftp.realpath(root).catch((error: unknown) => {
        throw faultOf(error, `the root ${root} cannot be used`);
      });
      const there = await this.sftp.look(real);
      if (!there?.isDirectory()) throw new StoreRefusal(`the root ${root} is no folder there`);
      return real === '/' ? '' : real;
    });
  }

  /** The path of the folder that `names` lead to; `make`: missing ones are made. Rejects with a {@link StoreRefusal}. */
  folder(root: string, names: readonly string[], make = true): Promise<string> {
    const last = names.at(-1);
    if (last === undefined) return this.#root(root);
    return once(this.#folders, `${root}\0${names.join('/')}`, async () => {
      const path = `${await this.folder(root, names.slice(0, -1), make)}/${last}`;
      return this.#enter(path, make ? 0o755 : undefined);
    });
  }

  /** Makes sure that `path` is a folder and no link; makes it with `mode` where there is nothing. */
  async #enter(path: string, mode: number | undefined): Promise<string> {
    let there = await this.sftp.look(path);
    if (!there && mode !== undefined) {
      try {
        await this.sftp.mkdir(path, mode);
      } catch (error) {
        // Somebody else may have made it.
        if (!(await this.sftp.look(path))) throw faultOf(error, `the folder ${path} cannot be made`);
      }
      there = await this.sftp.look(path);
    }
    if (there?.isSymbolicLink()) throw new StoreRefusal(`${path} is a symbolic link there`);
    if (!there?.isDirectory()) throw new StoreRefusal(`${path} is no folder there`);
    return path;
  }

  /** The folder itself, made with `mode` where it is not there. */
  async make(root: string, names: readonly string[], mode: number): Promise<string> {
    const last = names.at(-1);
    if (last === undefined) return this.#root(root);
    return this.#enter(`${await this.folder(root, names.slice(0, -1))}/${last}`, mode);
  }

  /** The folder in which a transfer stages what goes below `root`: our account's alone. */
  staging(root: string, transfer: string): Promise<string> {
    return once(this.#stagings, `${root}\0${transfer}`, async () => {
      const all = await this.#stagingOf(root);
      const path = `${all}/${folderOf(transfer)}`;
      if (!(await this.sftp.look(path)) && (await this.sftp.list(all)).length >= STAGED_LIMIT)
        throw tooManyStaged(root);
      await this.#enter(path, 0o700);
      const [own, shared] = await Promise.all([this.sftp.look(path), this.sftp.look(all)]);
      // Who prepared it could see and change what arrives.
      if (own?.uid !== shared?.uid) throw new StoreRefusal(`${all} belongs to another user; remove it there`);
      if (shared && (shared.mode & 0o777) !== 0o700) await this.sftp.chmod(all, 0o700);
      return path;
    });
  }

  async #stagingOf(root: string): Promise<string> {
    return this.#enter(`${await this.#root(root)}/${STAGING}`, 0o700);
  }

  /** Removes all that a transfer has staged below `root`. */
  async removeStaging(root: string, transfer: string): Promise<void> {
    await this.#empty(`${await this.#root(root)}/${STAGING}`, folderOf(transfer));
  }

  /** Removes what nobody has added to since `before` (seconds), but for the transfers of `open`. Resolves with how many. */
  async purge(root: string, before: number, open: readonly string[]): Promise<number> {
    const all = `${await this.#root(root)}/${STAGING}`;
    if (!(await this.sftp.look(all))?.isDirectory()) return 0;
    const kept = new Set(open.map(folderOf));
    let removed = 0;
    for (const name of await this.sftp.list(all)) {
      const there = kept.has(name) ? undefined : await this.sftp.look(`${all}/${name}`);
      if (!there?.isDirectory() || there.mtime >= before) continue;
      await this.#empty(all, name);
      removed++;
    }
    return removed;
  }

  async #empty(all: string, name: string): Promise<void> {
    if (!(await this.sftp.look(all))?.isDirectory()) return;
    const path = `${all}/${name}`;
    if (!(await this.sftp.look(path))?.isDirectory()) return;
    await this.sftp.removeFolder(path);
  }
}

function once<T>(all: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  let made = all.get(key);
  if (!made) {
    made = make();
    // The asker is told.
    made.catch(() => undefined);
    all.set(key, made);
  }
  return made;
}

/** A refusal of the server with what was tried before it; anything else unchanged. */
function faultOf(error: unknown, what: string): unknown {
  return error instanceof SftpRefusal ? new StoreRefusal(`${what}: ${error.message}`) : error;
}
