import { readMeta } from './schema.ts';
import { type Session, Unfit } from './session.ts';

/** The fact that says which history was copied into a database that no router has used yet. */
const KEY = 'copy';

export interface CopyMark {
  /** Names the state of the database that is copied. */
  readonly source: string;
  /** The router whose history it is, and the epoch of that. */
  readonly node: string;
  readonly epoch: string;
  /** `unlike`: it turned out not to hold what its source does. */
  readonly state: 'under way' | 'done' | 'unlike';
}

/** Reads the mark of a copy; undefined where there is none. */
export async function readMark(session: Session): Promise<CopyMark | undefined> {
  const text = await readMeta(session, KEY);
  if (text === '') return undefined;
  const mark: unknown = JSON.parse(text);
  if (!isMark(mark)) throw new Unfit('it does not say in a way that is known here what was copied into it; empty it');
  return mark;
}

export async function writeMark(session: Session, mark: CopyMark): Promise<void> {
  await session.rows(
    'INSERT INTO centreond_meta VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
    [KEY, JSON.stringify(mark)],
  );
}

/** A router is about to use the database. Rejects where a copy into it is not whole. */
export async function endCopying(session: Session): Promise<void> {
  const mark = await readMark(session);
  if (!mark) return;
  if (mark.state !== 'done')
    throw new Unfit(
      `the history of ${mark.node} is being copied into it and is not whole; run \`centreond store copy\` again until it says so, or point core.store.url elsewhere`,
    );
  await session.rows('DELETE FROM centreond_meta WHERE key = $1', [KEY]);
}

function isMark(value: unknown): value is CopyMark {
  if (typeof value !== 'object' || value === null) return false;
  const { source, node, epoch, state } = value as Partial<Record<keyof CopyMark, unknown>>;
  const isState = state === 'under way' || state === 'done' || state === 'unlike';
  return [source, node, epoch].every((one) => typeof one === 'string') && isState;
}
