import { closeSync, openSync, readSync } from 'node:fs';
import { failure, reasonOf } from '@centreond/protocol';
import { Thread } from '../thread.ts';
import type { CopySettings, FromCopier } from './copy-thread.ts';

/** What a file of SQLite begins with. */
const MAGIC = Buffer.from('SQLite format 3\0');

/** Whether the file is a database of SQLite. */
export function isDatabase(file: string): boolean {
  const head = Buffer.alloc(MAGIC.length);
  const fd = openSync(file, 'r');
  try {
    return readSync(fd, head) === MAGIC.length && head.equals(MAGIC);
  } finally {
    closeSync(fd);
  }
}

/**
 * Copies the database `from`, which may be in use, as of one moment to the file `to` (0600), which must not be there yet. Works in a
 * thread of its own. Resolves with the schema of the store, 0 for another database; rejects with STORE_UNUSABLE.
 */
export async function copyDatabase(from: string, to: string): Promise<{ readonly schema: number }> {
  try {
    const settings: CopySettings = { from, to };
    closeSync(openSync(to, 'wx', 0o600));
    const { schema } = await new Thread<FromCopier>(
      new URL('./copy-thread.js', import.meta.url),
      'store-copy',
      settings,
    ).ready();
    return { schema };
  } catch (error) {
    throw failure('STORE_UNUSABLE', { file: from, reason: reasonOf(error) });
  }
}
