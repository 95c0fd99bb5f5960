import { existsSync } from 'node:fs';
import path from 'node:path';
import { failure, isCentreondError, reasonOf } from '@centreond/protocol';
import type { Config } from '../config/config.ts';
import { fault } from '../errors.ts';
import { areEqual, type Copied, type CopyStep, copyHistory } from '../store/copy/copy-history.ts';
import { type Address, addressOf } from '../store/postgres/address.ts';
import { Unfit } from '../store/postgres/session.ts';
import { HISTORY } from './backup.ts';
import { DataFolder } from './data-folder.ts';

export interface CopiedTo extends Copied {
  /** The file, and the database as it may be shown. */
  readonly from: string;
  readonly to: string;
  readonly isEqual: boolean;
}

/**
 * Copies the history in the data folder of a daemon that does not run to the database of `url`, which the option or key `where` has
 * given. The folder is held meanwhile. Rejects with NOTHING_TO_COPY, COPY_DAEMON_RUNS, STORE_UNUSABLE, COPY_TARGET_USED or
 * COPY_STOPPED; after the last the same call goes on.
 */
export async function copyTo(
  { dataDir, id }: Config['core'],
  { url, where }: { readonly url: string; readonly where: string },
  step: CopyStep,
): Promise<CopiedTo> {
  const from = path.join(dataDir, HISTORY);
  const address = addressOf(url);
  if ('reason' in address)
    throw failure('STORE_UNUSABLE', { file: 'in PostgreSQL', reason: `${where} ${address.reason}` });
  if (!existsSync(from)) throw fault('NOTHING_TO_COPY', { path: dataDir });
  const folder = await held(dataDir);
  try {
    const copied = await copyHistory({ file: from, node: id, url, address }, step).catch((error: unknown) => {
      throw told(error, from, address, where);
    });
    return { ...copied, from, to: address.shown, isEqual: areEqual(copied) };
  } finally {
    await folder.release();
  }
}

async function held(dataDir: string): Promise<DataFolder> {
  try {
    return await DataFolder.take(dataDir);
  } catch (error) {
    if (!isCentreondError(error) || error.code !== 'DATA_DIR_TAKEN') throw error;
    throw fault('COPY_DAEMON_RUNS', { path: dataDir, holder: String(error.details?.holder) });
  }
}

/** What went wrong, as an error with a code. A router's own words name the key of its config. */
function told(error: unknown, file: string, { shown }: Address, where: string): unknown {
  if (isCentreondError(error)) return error;
  const reason = reasonOf(error);
  if (!(error instanceof Unfit)) return failure('STORE_UNUSABLE', { file, reason });
  return failure('STORE_UNUSABLE', { file: shown, reason: reason.replaceAll('core.store.url', where) });
}
