import { newEpoch } from '../epoch.ts';
import { STEPS } from './migrations.ts';
import { type Session, Unfit } from './session.ts';

/** The version of the tables. A database of a higher one is not opened. */
export const SCHEMA_VERSION = STEPS.length;
/** The fact that says up to which id the purge has removed rows. */
export const PURGED = 'purged_up_to';
/** Advisory locks have two numbers: this first one, and what they are for. */
export const LOCKS = { application: 0x63_65_6e_74, ids: 0, migration: 1, purge: 2, copy: 9 } as const;

/** What holds up the change of a table holds up all that write to it behind that: it is not waited for. */
const MIGRATION_LOCK_MS = 3000;
const LOCK_NOT_FREE = '55P03';

/** Makes the tables where there are none, and brings older ones up to date. Rejects with a plain Error that says what is wrong. */
export async function prepareDatabase(session: Session): Promise<void> {
  try {
    await session.transaction(() => migrate(session));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === LOCK_NOT_FREE)
      throw new Unfit(
        'its tables are to be changed, and something is reading them (pg_dump?); start again once that is done',
      );
    if (code !== '42501') throw error;
    const reason = error instanceof Error ? error.message : '';
    throw new Unfit(
      `this user may not make or use its tables there (${reason}); let it own the database, or GRANT CREATE ON SCHEMA public`,
    );
  }
}

async function migrate(session: Session): Promise<void> {
  await session.rows(`SELECT pg_advisory_xact_lock(${LOCKS.application}, ${LOCKS.migration})`);
  const there = await session.rows("SELECT to_regclass('centreond_meta') IS NOT NULL");
  const version = there[0]?.bool() ? Number(await readMeta(session, 'schema')) : 0;
  if (version > SCHEMA_VERSION)
    throw new Unfit(
      `it was written by a newer centreond (schema ${version}, this one knows ${SCHEMA_VERSION}); run that one, or point core.store.url elsewhere`,
    );
  if (!Number.isSafeInteger(version)) throw new Unfit('it does not say which schema it has; restore it from a backup');
  await session.rows(`SET LOCAL lock_timeout = '${MIGRATION_LOCK_MS}ms'`);
  for (const step of STEPS.slice(version)) await session.rows(step);
  if (version === 0) {
    await writeMeta(session, 'epoch', newEpoch());
    await writeMeta(session, PURGED, '0');
  }
  if (version < SCHEMA_VERSION) await writeMeta(session, 'schema', String(SCHEMA_VERSION));
}

/** A fact about the database, `''` where it is not known. */
export async function readMeta(session: Session, key: string): Promise<string> {
  const [row] = await session.rows('SELECT value FROM centreond_meta WHERE key = $1', [key]);
  return row?.text() ?? '';
}

export async function writeMeta(session: Session, key: string, value: string): Promise<void> {
  await session.rows(
    'INSERT INTO centreond_meta VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
    [key, value],
  );
}

/** The number that stands for a node's id. */
export async function numberOf(session: Session, node: string): Promise<number> {
  const select = () => session.rows('SELECT number FROM centreond_node WHERE id = $1', [node]);
  let [row] = await select();
  if (!row) {
    await session.rows('INSERT INTO centreond_node (id) VALUES ($1) ON CONFLICT (id) DO NOTHING', [node]);
    [row] = await select();
  }
  if (!row) throw new Error(`the node ${node} was not entered`);
  return row.number();
}
