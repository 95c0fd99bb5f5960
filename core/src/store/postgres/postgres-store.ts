import { failure, reasonOf } from '@centreond/protocol';
import { type FromWriter, writerSettings } from '../batch.ts';
import { HistoryReader } from '../history-reader.ts';
import type { FromReader } from '../questions.ts';
import { Thread } from '../thread.ts';
import { ThreadedStore } from '../threaded-store.ts';
import type { PostgresOptions, TokenStore } from '../token-store.ts';
import { WriteQueue } from '../write-queue.ts';
import { addressOf } from './address.ts';
import { PostgresMembers } from './members.ts';
import type { PostgresReaderSettings } from './reader.ts';
import type { PostgresWriterSettings } from './writer.ts';

/** Opens a store in a database of PostgreSQL, in two threads of its own. Rejects with `STORE_UNUSABLE`. */
export async function openPostgresStore(options: PostgresOptions): Promise<TokenStore> {
  const { url, node, router } = options;
  const address = addressOf(url);
  if ('reason' in address)
    throw failure('STORE_UNUSABLE', { file: 'in PostgreSQL', reason: `core.store.url ${address.reason}` });
  const place = { database: address.shown };
  let reading: Thread<FromReader> | undefined;
  let queue: WriteQueue | undefined;
  let membership: PostgresMembers | undefined;
  try {
    // Loads its code while the database is prepared.
    reading = new Thread<FromReader>(new URL('./pg-reader-thread.js', import.meta.url), 'store-reader');
    membership = await PostgresMembers.open(url, address, { node, ...router });
    const { fence } = membership;
    const settings: PostgresWriterSettings = { ...writerSettings(options), url, address, node, fence };
    const writing = new Thread<FromWriter>(new URL('./pg-writer-thread.js', import.meta.url), 'store-writer', settings);
    queue = await WriteQueue.open(options, place, writing);
    const reads: PostgresReaderSettings = { url, address, node };
    const reader = await HistoryReader.open(reading, reads, options);
    return new ThreadedStore(options, { queue, reader, place, membership });
  } catch (error) {
    await Promise.all([queue?.close(), reading?.worker.terminate(), membership?.close()]);
    throw failure('STORE_UNUSABLE', { file: address.shown, reason: reasonOf(error) });
  }
}
