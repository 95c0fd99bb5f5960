import { constants, copyFileSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { link, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { isCentreondError, reasonOf } from '@centreond/protocol';
import { create } from 'tar';
import type { Config } from '../config/config.ts';
import { loadKey } from '../doors/keys.ts';
import { fault } from '../errors.ts';
import { VERSION } from '../own-package.ts';
import { copyDatabase, isDatabase } from '../store/sqlite/copy.ts';
import { CONTENT, digestOf, FORMAT, MANIFEST, type Manifest } from './manifest.ts';
import { entriesOf, withStaging } from './staging.ts';

/** The store, by its name in a data folder. */
export const HISTORY = 'history.sdb';
/** The router's key, by its name in a data folder. */
export const ROUTER_KEY = path.join('keys', 'router.pem');
/** What a restore, or a join, moves aside is kept in the data folder under this name and a time. */
export const REPLACED = 'replaced-';
/** In a data folder, a restore that is under way. */
export const RESTORING = '.restoring-';
/** In a data folder, the key of a node that is about to take the place of what is there. */
export const JOINING = '.joining';

/** Files beside a database, whose content a copy of it has. */
export const BESIDE_DATABASE = /-(wal|shm|journal)$/;
/** A file that is being written, by its daemon's `writePrivateFile`. */
const DRAFT = /\.[0-9a-f]{12}\.tmp$/;

export interface Backup {
  readonly manifest: Manifest;
  /** Size of the backup. */
  readonly bytes: number;
  /** What cannot be in a backup: links, sockets, devices; paths in the data folder. */
  readonly leftOut: readonly string[];
}

/**
 * Writes all that the data folder of the router `id` keeps into `file`, a new tar file with mode 0600, whether a daemon runs on the
 * folder or not. Databases are copied as of one moment each. Rejects with HISTORY_IN_POSTGRES, NOTHING_TO_BACK_UP,
 * FILE_EXISTS, BACKUP_FAILED or STORE_UNUSABLE; then there is no file.
 */
export async function backUp({ id, dataDir, store: { driver } }: Config['core'], file: string): Promise<Backup> {
  if (driver === 'postgres') throw fault('HISTORY_IN_POSTGRES', { id, dataDir });
  const key = loadKey(path.join(dataDir, ROUTER_KEY));
  const store = path.join(dataDir, HISTORY);
  if (!key || !statSync(store, { throwIfNoEntry: false })) throw fault('NOTHING_TO_BACK_UP', { path: dataDir });
  if (statSync(file, { throwIfNoEntry: false })) throw fault('FILE_EXISTS', { path: file });
  if (!path.relative(dataDir, file).startsWith('..')) {
    throw fault('BACKUP_FAILED', { path: file, reason: 'it is in the data folder that it is to be a backup of' });
  }
  const time = new Date().toISOString();
  try {
    return await withStaging(`${file}.`, async (staging) => {
      const content = path.join(staging, CONTENT);
      const { schema, leftOut } = await copyContent(dataDir, content);
      const files: Manifest['files'] = [];
      for (const name of entriesOf(content).files) {
        const inner = path.join(content, name);
        files.push({ path: name, bytes: statSync(inner).size, sha256: await digestOf(inner) });
      }
      const manifest: Manifest = {
        ...{ format: FORMAT, version: VERSION, schema, id, fingerprint: key.thumbprint, time, files },
      };
      writeFileSync(path.join(staging, MANIFEST), `${JSON.stringify(manifest, undefined, 2)}\n`, { mode: 0o600 });
      const draft = path.join(staging, 'backup.tar');
      const bytes = await pack(staging, draft);
      // Unlike a rename this fails where the file came to be meanwhile.
      await link(draft, file);
      await rm(draft);
      await synced(path.dirname(file));
      return { manifest, bytes, leftOut };
    });
  } catch (error) {
    if (isCentreondError(error)) throw error;
    throw fault('BACKUP_FAILED', { path: file, reason: reasonOf(error) });
  }
}

/** Whether an entry of a data folder outlives the run of a daemon, and is not what was put aside. */
export function isKept(name: string): boolean {
  const [top = ''] = name.split(path.sep);
  const passing = top === 'run' || top === JOINING || /^lock(-|$)/.test(top) || top.startsWith(RESTORING);
  return !passing && !top.startsWith(REPLACED);
}

/** Copies what a data folder keeps to `content`, a new folder. What belongs to a run of the daemon is not part of it. */
async function copyContent(dataDir: string, content: string): Promise<{ schema: number; leftOut: string[] }> {
  const { files, folders, others } = entriesOf(dataDir);
  mkdirSync(content, { mode: 0o700 });
  for (const name of folders.filter(isKept)) mkdirSync(path.join(content, name), { mode: 0o700 });
  const kept = files.filter((name) => isKept(name) && !DRAFT.test(name));
  const databases = new Set(kept.filter((name) => isDatabase(path.join(dataDir, name))));
  let schema = 0;
  for (const name of kept) {
    const [from, to] = [path.join(dataDir, name), path.join(content, name)];
    if (databases.has(name)) {
      const copy = await copyDatabase(from, to);
      if (name === HISTORY) schema = copy.schema;
    } else if (!databases.has(name.replace(BESIDE_DATABASE, ''))) {
      copyFileSync(from, to, constants.COPYFILE_FICLONE);
    }
  }
  return { schema, leftOut: others.filter(isKept) };
}

/** Packs a backup's folder into `draft`. Resolves with its size once it is on disk. */
async function pack(staging: string, draft: string): Promise<number> {
  await create({ file: draft, cwd: staging, portable: true, strict: true }, [MANIFEST, CONTENT]);
  const handle = await open(draft, 'r+');
  try {
    await handle.chmod(0o600);
    await handle.sync();
    return (await handle.stat()).size;
  } finally {
    await handle.close();
  }
}

/** Has the names in a folder on disk. */
export async function synced(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  await handle.sync().finally(() => handle.close());
}
