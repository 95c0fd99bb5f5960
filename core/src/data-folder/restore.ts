import { chmodSync, existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { reasonOf } from '@centreond/protocol';
import { extract } from 'tar';
import { CLOCK } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { loadKey } from '../doors/keys.ts';
import { keepRevocations } from '../doors/trust-file.ts';
import { fault } from '../errors.ts';
import type { Log } from '../log.ts';
import { openStore } from '../store/open-store.ts';
import { BESIDE_DATABASE, HISTORY, RESTORING, ROUTER_KEY, synced } from './backup.ts';
import { DataFolder } from './data-folder.ts';
import { CONTENT, digestOf, MANIFEST, type Manifest, readManifest } from './manifest.ts';
import { contentOf, giveTo, moveAside, ownerFor } from './replaced.ts';
import { entriesOf, withStaging } from './staging.ts';

/**
 * Row ids that a restored database leaves out. Who follows a token has seen ids that the router gave after the backup; what it
 * writes from now on has to come after them.
 */
const SKIPPED_IDS = 10_000_000;

const TRUST = path.join('keys', 'trust.json');

export interface Restored {
  readonly manifest: Manifest;
  /** Where the files are that were there before; undefined if there were none. */
  readonly replaced: string | undefined;
  /** Keys that were revoked after the backup was made, and stay revoked. */
  readonly revoked: readonly string[];
}

/**
 * Puts the backup `file` into the data folder of `config`. Nothing there is changed until all of the backup has been checked. With
 * `force` what is there already is moved aside first, and its revocations stay in force. Rejects with HISTORY_IN_POSTGRES, with
 * DATA_DIR_TAKEN while a daemon runs on the folder, RESTORE_NOT_EMPTY, BACKUP_NEWER, BACKUP_BROKEN or BACKUP_OF_ANOTHER.
 */
export async function restore(
  config: Config,
  file: string,
  { force, log }: { force: boolean; log: Log },
): Promise<Restored> {
  const { dataDir, id, store } = config.core;
  if (store.driver === 'postgres') throw fault('HISTORY_IN_POSTGRES', { id, dataDir });
  const owner = ownerFor(dataDir);
  const folder = await DataFolder.take(dataDir);
  try {
    // What an earlier restore left behind when it was killed.
    for (const name of readdirSync(dataDir)) {
      if (name.startsWith(RESTORING)) rmSync(path.join(dataDir, name), { recursive: true });
    }
    const present = contentOf(dataDir);
    if (present.length > 0 && !force) {
      throw fault('RESTORE_NOT_EMPTY', { path: dataDir, has: present.filter((name) => !BESIDE_DATABASE.test(name)) });
    }
    return await withStaging(path.join(dataDir, RESTORING), async (staging) => {
      const manifest = await unpack(file, staging);
      if (manifest.id !== id) throw fault('BACKUP_OF_ANOTHER', { file, of: manifest.id, id });
      const content = path.join(staging, CONTENT);
      makePrivate(content);
      const key = loadKey(path.join(content, ROUTER_KEY));
      if (key?.thumbprint !== manifest.fingerprint) {
        throw fault('BACKUP_BROKEN', { file, what: 'its key is not the one that it says it has' });
      }
      await putBack(config, path.join(content, HISTORY), log);
      const revoked = keepRevocations(path.join(dataDir, TRUST), path.join(content, TRUST));
      const replaced = await exchange(dataDir, content, present);
      return { manifest, replaced, revoked };
    });
  } finally {
    await folder.release();
    if (owner) giveTo(dataDir, owner);
  }
}

/** Unpacks a backup and compares all of it with what its manifest says. */
async function unpack(file: string, staging: string): Promise<Manifest> {
  const broken = (what: string) => fault('BACKUP_BROKEN', { file, what });
  try {
    await extract({
      ...{ file, cwd: staging, strict: true, preserveOwner: false },
      filter: (_, entry) => !('type' in entry) || entry.type === 'File' || entry.type === 'Directory',
    });
  } catch (error) {
    throw broken(`it cannot be unpacked (${reasonOf(error)})`);
  }
  const manifest = readManifest(staging);
  if ('newer' in manifest) throw fault('BACKUP_NEWER', { file, version: manifest.newer });
  if ('broken' in manifest) throw broken(manifest.broken);
  const content = path.join(staging, CONTENT);
  const found = new Set(existsSync(content) ? entriesOf(content).files : []);
  for (const { path: name, bytes, sha256 } of manifest.files) {
    if (!found.delete(name)) throw broken(`${name} is missing in it`);
    const inner = path.join(content, name);
    if (statSync(inner).size !== bytes || (await digestOf(inner)) !== sha256) throw broken(`${name} is damaged in it`);
  }
  const [more] = found;
  if (more !== undefined) throw broken(`its ${MANIFEST} does not name ${more}`);
  return manifest;
}

/** Nobody else may read what is restored, whatever the modes in the backup. */
function makePrivate(content: string): void {
  const { files, folders } = entriesOf(content);
  for (const name of ['', ...folders]) chmodSync(path.join(content, name), 0o700);
  for (const name of files) {
    const inner = path.join(content, name);
    chmodSync(inner, 0o600 | (statSync(inner).mode & 0o100));
  }
}

/** Opens the store once: it is an older copy of one that went on, and says so from now on by another epoch and higher ids. */
async function putBack({ core }: Config, file: string, log: Log): Promise<void> {
  const { id, limits, store: settings } = core;
  const store = await openStore({
    ...{ file, node: id, synchronous: 'full', retentionSeconds: settings.retention / 1000, maxBytes: settings.maxSize },
    ...{ reads: limits.reads, clock: CLOCK, log },
  });
  await store.renewEpoch(SKIPPED_IDS).finally(() => store.close());
}

/** Moves what is there aside and the content in its place. Resolves with where the former is. */
async function exchange(dataDir: string, content: string, present: readonly string[]): Promise<string | undefined> {
  const aside = moveAside(dataDir, present);
  // Folders that were made and never used may be in the way: a rename replaces them.
  for (const name of readdirSync(content)) renameSync(path.join(content, name), path.join(dataDir, name));
  await synced(dataDir);
  return aside;
}
