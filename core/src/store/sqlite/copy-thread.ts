/** The worker thread that copies a database. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { reasonOf } from '@centreond/protocol';
import Database from 'better-sqlite3';
import { readMeta } from './schema.ts';

export interface CopySettings {
  readonly from: string;
  readonly to: string;
}

export type FromCopier = { kind: 'ready'; schema: number } | { kind: 'unusable'; reason: string };

/** Copies `from` to `to`, and says which schema it has: 0 for a database that is not the store's. */
function copy(port: MessagePort, { from, to }: CopySettings): void {
  const send = (message: FromCopier) => port.postMessage(message);
  try {
    const db = new Database(from, { readonly: true, timeout: 5000 });
    try {
      // One read transaction: a writer neither waits for it nor makes it start over.
      db.prepare('VACUUM INTO ?').run(to);
      const isStore = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'centreond_meta'").get() !== undefined;
      send({ kind: 'ready', schema: isStore ? Number(readMeta(db, 'schema')) : 0 });
    } finally {
      db.close();
    }
  } catch (error) {
    send({ kind: 'unusable', reason: reasonOf(error) });
  }
}

if (parentPort) copy(parentPort, workerData as CopySettings);
