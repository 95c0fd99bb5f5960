import { chmodSync, closeSync, existsSync, fchmodSync, mkdirSync, openSync } from 'node:fs';
import path from 'node:path';
import { failure, reasonOf } from '@centreond/protocol';
import { type FromWriter, writerSettings } from '../batch.ts';
import { HistoryReader } from '../history-reader.ts';
import type { FromReader } from '../questions.ts';
import { Thread } from '../thread.ts';
import { ThreadedStore } from '../threaded-store.ts';
import type { SqliteOptions, TokenStore } from '../token-store.ts';
import { WriteQueue } from '../write-queue.ts';
import type { ReaderSettings } from './reader.ts';
import type { SqliteWriterSettings } from './writer.ts';

/** Opens a store in a file of SQLite, in two threads of its own. Rejects with `STORE_UNUSABLE`. */
export async function openSqliteStore(options: SqliteOptions): Promise<TokenStore> {
  const file = path.resolve(options.file);
  const place = { file };
  let reading: Thread<FromReader> | undefined;
  let queue: WriteQueue | undefined;
  try {
    // Loads its code while the writer prepares the database.
    reading = new Thread<FromReader>(new URL('./reader.js', import.meta.url), 'store-reader');
    makePrivate(file);
    const { lockMs = 5000 } = options;
    const settings: SqliteWriterSettings = { ...writerSettings(options), file, lockMs };
    const writing = new Thread<FromWriter>(new URL('./writer-thread.js', import.meta.url), 'store-writer', settings);
    queue = await WriteQueue.open(options, place, writing);
    const reads: ReaderSettings = { file, node: options.node };
    const reader = await HistoryReader.open(reading, reads, options);
    return new ThreadedStore(options, { queue, reader, place });
  } catch (error) {
    await Promise.all([queue?.close(), reading?.worker.terminate()]);
    throw failure('STORE_UNUSABLE', { file, reason: reasonOf(error) });
  }
}

/** Makes the file before SQLite does: its log and its index take over the mode. */
function makePrivate(file: string): void {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const fd = openSync(file, 'a', 0o600);
  try {
    fchmodSync(fd, 0o600);
  } finally {
    closeSync(fd);
  }
  for (const beside of [`${file}-wal`, `${file}-shm`]) if (existsSync(beside)) chmodSync(beside, 0o600);
}
