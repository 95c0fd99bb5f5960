import { isCentreondError, reasonOf } from '@centreond/protocol';
import { fault } from '../../errors.ts';
import type { Address } from '../postgres/address.ts';
import { Unfit } from '../postgres/session.ts';
import { type Digest, digestOf } from './digest.ts';
import { BEGINNING } from './history.ts';
import { PostgresTarget } from './postgres-target.ts';
import { SqliteHistory } from './sqlite-history.ts';

/** What is copied, and where to. */
export interface CopySettings {
  /** A history of SQLite that nobody has open. */
  readonly file: string;
  /** The id of the router whose history it is. */
  readonly node: string;
  readonly url: string;
  readonly address: Address;
}

/** How far the copy is: requests and rows, of so many. */
export type CopyStep = (verb: 'copied' | 'compared', done: number, total: number) => void;

/** What either side holds at the end; equal, or the copy is of no use. */
export interface Copied {
  readonly file: Digest;
  readonly database: Digest;
}

/**
 * Copies a history from SQLite to PostgreSQL, in batches by id, each a transaction: killed at any time, the same call goes on. Then
 * reads both sides, and only where they are equal says in the database that a router may use it. Rejects with a plain Error that says
 * what is wrong with the file, STORE_UNUSABLE, COPY_TARGET_USED, or COPY_STOPPED.
 */
export async function copyHistory({ file, node, url, address }: CopySettings, step: CopyStep): Promise<Copied> {
  const from = new SqliteHistory(file);
  try {
    const { epoch, formerEpochs } = await from.facts();
    const source = { node, epoch, formerEpochs, mark: from.mark() };
    const to = await PostgresTarget.open(url, address, source);
    try {
      return await transfer(from, to, step);
    } catch (error) {
      if (isCentreondError(error) || error instanceof Unfit) throw error;
      throw fault('COPY_STOPPED', { database: address.shown, reason: reasonOf(error) });
    } finally {
      await to.close();
    }
  } finally {
    from.close();
  }
}

async function transfer(from: SqliteHistory, to: PostgresTarget, step: CopyStep): Promise<Copied> {
  const at = await to.begin(from.nodes());
  const total = from.size({ requests: Number.MAX_SAFE_INTEGER, rows: Number.MAX_SAFE_INTEGER });
  const copied = counted((done) => step('copied', done, total), from.size(at));
  for (let page = await from.requests(at.requests); page.length > 0; ) {
    await to.requests(page);
    copied(page.length);
    page = await from.requests(page.at(-1)?.id ?? 0);
  }
  for (let page = await from.rows(at.rows); page.length > 0; ) {
    await to.rows(page);
    copied(page.length);
    page = await from.rows(page.at(-1)?.id ?? 0);
  }
  // What is here already of these is passed over.
  for (let page = await from.entries({ type: '', key: '' }); page.length > 0; ) {
    await to.entries(page);
    page = await from.entries(page.at(-1) ?? { type: '', key: '' });
  }
  for (let page = await from.aside(BEGINNING); page.length > 0; ) {
    await to.aside(page);
    page = await from.aside(page.at(-1)?.place ?? 0);
  }
  await to.facts(await from.logs(), await from.pins(), await from.facts());
  const compared = counted((done) => step('compared', done, 2 * total), 0);
  const [file, database] = await Promise.all([digestOf(from, compared), digestOf(to.history, compared)]);
  await to.end(areEqual({ file, database }) ? 'done' : 'unlike');
  return { file, database };
}

/** Adds up what is done, beginning with `before`. */
function counted(tell: (done: number) => void, before: number): (more: number) => void {
  let done = before;
  tell(done);
  return (more) => {
    done += more;
    tell(done);
  };
}

/** Whether both sides hold the same. */
export function areEqual({ file, database }: Copied): boolean {
  return file.sha256 === database.sha256;
}
