import { type FSWatcher, readdirSync, type Stats, statSync, watch } from 'node:fs';
import path from 'node:path';

/** Changes that come together are one: an editor writes a file in several steps, and git writes many files. */
const SETTLE_MS = 150;
const IGNORED_FOLDERS: ReadonlySet<string> = new Set(['node_modules', 'dist', 'var', 'coverage']);
const IGNORED_FILES = /^plugin\.manifest\.json|\.tgz$|\.tsbuildinfo$|~$|^\./;
const OF_PACKAGE: ReadonlySet<string> = new Set(['package.json', 'tsconfig.json']);

interface Watched {
  /** Which folder has this path: another one may take its place. */
  readonly identity: string;
  readonly watcher: FSWatcher;
}

/**
 * Watches the sources of a plugin package: everything below `src`, or below the package's folder if that has no `src`, and
 * package.json and tsconfig.json. However a file is saved (in place, by a rename over it, by a checkout), its change is told
 * once: an event only causes a comparison of the tree with what it was. `changed` gets paths relative to the package's folder.
 */
export class SourceWatch implements Disposable {
  readonly #folders = new Map<string, Watched>();
  #files: ReadonlyMap<string, string>;
  #settling: NodeJS.Timeout | undefined;

  /** Throws the file system's error if the folder cannot be read or watched. `failed` gets such errors of later. */
  constructor(
    private readonly folder: string,
    private readonly changed: (files: string[]) => void,
    private readonly failed: (error: unknown) => void,
  ) {
    this.#files = this.#scan();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#settling);
    for (const { watcher } of this.#folders.values()) watcher.close();
    this.#folders.clear();
  }

  #touched(): void {
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => {
      try {
        this.#compare();
      } catch (error) {
        this.failed(error);
      }
    }, SETTLE_MS);
  }

  #compare(): void {
    const before = this.#files;
    this.#files = this.#scan();
    const names = new Set([...before.keys(), ...this.#files.keys()]);
    const changed = [...names].filter((name) => before.get(name) !== this.#files.get(name)).sort();
    if (changed.length > 0) this.changed(changed);
  }

  /** The version of each file, by its path. Watches folders that are new and forgets those that are gone. */
  #scan(): Map<string, string> {
    const files = new Map<string, string>();
    const seen = new Set<string>();
    const hasSource = statOf(path.join(this.folder, 'src'))?.isDirectory() === true;
    const visit = (folder: string, isTaken: (name: string, isFolder: boolean) => boolean) => {
      const stat = statOf(folder);
      if (!stat) return;
      // Watched before it is read: what changes in between is an event.
      this.#watch(folder, identityOf(stat));
      seen.add(folder);
      for (const entry of entriesOf(folder)) {
        const file = path.join(folder, entry.name);
        const isFolder = entry.isDirectory();
        if (!isTaken(entry.name, isFolder)) continue;
        if (isFolder) visit(file, isSource);
        else files.set(path.relative(this.folder, file), versionOf(statOf(file)));
      }
    };
    visit(this.folder, hasSource ? (name) => name === 'src' || OF_PACKAGE.has(name) : isSource);
    for (const [folder, { watcher }] of this.#folders) {
      if (seen.has(folder)) continue;
      watcher.close();
      this.#folders.delete(folder);
    }
    return files;
  }

  #watch(folder: string, identity: string): void {
    const known = this.#folders.get(folder);
    if (known?.identity === identity) return;
    known?.watcher.close();
    // One for each folder: a recursive one no longer sees a file once another was renamed over it.
    const watcher = watch(folder, () => this.#touched());
    watcher.on('error', (error) => {
      this.#folders.delete(folder);
      watcher.close();
      this.failed(error);
    });
    this.#folders.set(folder, { identity, watcher });
  }
}

function isSource(name: string, isFolder: boolean): boolean {
  return isFolder ? !IGNORED_FOLDERS.has(name) && !name.startsWith('.') : !IGNORED_FILES.test(name);
}

/** Undefined if it is gone. */
function statOf(file: string): Stats | undefined {
  return statSync(file, { throwIfNoEntry: false });
}

function entriesOf(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []; // Removed since it was found.
    throw error;
  }
}

/** The number of an inode is used again. */
function identityOf({ ino, birthtimeMs }: Stats): string {
  return `${ino} ${birthtimeMs}`;
}

function versionOf(stat: Stats | undefined): string {
  return stat ? `${stat.ino} ${stat.size} ${stat.mtimeMs}` : 'gone';
}
