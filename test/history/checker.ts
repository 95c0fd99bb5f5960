/**
 * Checks a whole run afterwards: what clients were told of their requests against what the history has and what really ran. It
 * knows no daemon: a test hands in its evidence.
 */
import Database from 'better-sqlite3';

/** What a client was told of one request, in the order in which it was told. */
export type Event =
  | { readonly kind: 'invoke'; readonly token: string; readonly once: boolean }
  /** Acknowledged. */
  | { readonly kind: 'ok'; readonly token: string }
  /** Refused. */
  | { readonly kind: 'fail'; readonly token: string; readonly code: string }
  /** Nobody answered. */
  | { readonly kind: 'unknown'; readonly token: string }
  /** FOLLOW brought this row. */
  | { readonly kind: 'row'; readonly token: string; readonly id: number; readonly code: number };

/** A row of the router that clients asked. `origin` is its place in the log of `node`, null where it was written at that router. */
export interface StoredRow {
  readonly id: number;
  readonly token: string;
  readonly code: number;
  readonly node: string;
  readonly epoch: string;
  readonly origin: number | null;
}

export interface Evidence {
  readonly events: readonly Event[];
  /** All rows of these tokens, by ascending id. */
  readonly rows: readonly StoredRow[];
  /** How often each token really ran, over all nodes. */
  readonly runs: ReadonlyMap<string, number>;
}

/** What is wrong with a token. */
export type Fault =
  | 'acknowledged, and lost'
  | 'acknowledged, and not ended'
  | 'ended twice'
  | 'a row after its end'
  | 'its first row is not that of its acceptance'
  | 'rows of a node out of order'
  | 'never asked for'
  | 'refused, and done'
  | 'ran twice'
  | 'finished, and never ran'
  | 'a row was shown that is not stored'
  | 'rows were shown out of order'
  | 'a row was shown twice'
  | 'a row was not shown';

export interface Violation {
  readonly token: string;
  readonly fault: Fault;
}

/** What of the promises of PROTOCOL.md section 2 the evidence contradicts. */
export function violationsOf({ events, rows, runs }: Evidence): Violation[] {
  const found: Violation[] = [];
  const told = new Map<string, Told>();
  for (const event of events) {
    const one = told.get(event.token) ?? new Told();
    told.set(event.token, one);
    one.hear(event);
  }
  const stored = Map.groupBy(rows, ({ token }) => token);
  for (const token of new Set([...told.keys(), ...stored.keys(), ...runs.keys()])) {
    const faults = faultsOf(told.get(token), stored.get(token) ?? [], runs.get(token) ?? 0);
    for (const fault of faults) found.push({ token, fault });
  }
  return found;
}

/** A row as a follower was shown it. */
export interface Shown {
  readonly id: number;
  readonly code: number;
}

/** What its client was told of one token, over all of its tries. */
class Told {
  isAcknowledged = false;
  isRefused = false;
  isUnknown = false;
  once = false;
  readonly shown: Shown[] = [];

  hear(event: Event): void {
    if (event.kind === 'invoke') this.once = event.once;
    else if (event.kind === 'ok') this.isAcknowledged = true;
    else if (event.kind === 'fail') this.isRefused = true;
    else if (event.kind === 'unknown') this.isUnknown = true;
    else this.shown.push(event);
  }
}

function* faultsOf(told: Told | undefined, rows: readonly StoredRow[], runs: number): Generator<Fault> {
  if (!told) {
    yield 'never asked for';
    return;
  }
  const ends = rows.filter(isTerminal).length;
  if (told.isAcknowledged && rows.length === 0) yield 'acknowledged, and lost';
  else if (told.isAcknowledged && ends === 0) yield 'acknowledged, and not ended';
  if (ends > 1) yield 'ended twice';
  if (ends === 1 && !isTerminal(rows.at(-1) as StoredRow)) yield 'a row after its end';
  if (rows.length > 0 && rows[0]?.code !== 0) yield 'its first row is not that of its acceptance';
  if (!inOrder(rows)) yield 'rows of a node out of order';
  // One that was refused and then sent again may be done; one of which nobody knows as well. What may run twice runs early.
  const isRefused = told.isRefused && !told.isAcknowledged && !told.isUnknown;
  if (isRefused && (rows.length > 0 || (told.once && runs > 0))) yield 'refused, and done';
  if (told.once && runs > 1) yield 'ran twice';
  if (rows.some(({ code }) => code === FINISHED) && runs === 0) yield 'finished, and never ran';
  yield* faultsOfShown(told.shown, rows);
}

/** What is wrong with what one follower was shown of a token, in this order, that has these rows. */
export function* faultsOfShown(shown: readonly Shown[], rows: readonly Shown[]): Generator<Fault> {
  const ids = new Map(rows.map(({ id, code }) => [id, code]));
  if (shown.some(({ id, code }) => ids.get(id) !== code)) yield 'a row was shown that is not stored';
  if (shown.some(({ id }, i) => i > 0 && id < (shown[i - 1]?.id ?? 0))) yield 'rows were shown out of order';
  const seen = new Set(shown.map(({ id }) => id));
  if (seen.size < shown.length) yield 'a row was shown twice';
  // Who was shown the end was shown all before it.
  if (shown.some(isTerminal) && rows.some(({ id }) => !seen.has(id))) yield 'a row was not shown';
}

const FINISHED = 2;
const isTerminal = ({ code }: { readonly code: number }) => code === 1 || code === FINISHED;

/** Whether the rows of each node come in the order in which it wrote them. */
function inOrder(rows: readonly StoredRow[]): boolean {
  const last = new Map<string, number>();
  for (const { node, epoch, origin } of rows) {
    if (origin === null) continue;
    const log = `${node} ${epoch}`;
    if (origin <= (last.get(log) ?? 0)) return false;
    last.set(log, origin);
  }
  return true;
}

/** The rows of a daemon's database whose token begins with `prefix`. The daemon must have stopped. */
export function storedRows(file: string, prefix: string): StoredRow[] {
  const db = new Database(file, { readonly: true });
  try {
    return db
      .prepare<[string], StoredRow>(
        `SELECT h.id, h.token, h.code, coalesce(n.id, '') AS node, coalesce(o.epoch, '') AS epoch, o.origin_id AS origin
         FROM centreond_history h LEFT JOIN centreond_origin o ON o.id = h.id LEFT JOIN centreond_node n ON n.number = o.node
         WHERE h.token GLOB ? AND coalesce(o.apart, 0) = 0 ORDER BY h.id`,
      )
      .all(`${prefix}*`);
  } finally {
    db.close();
  }
}
