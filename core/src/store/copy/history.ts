/** What a copy of a history is made of, the same whatever the driver, and how it is read of either side. */

/** A request: `open` while it has no terminal row, `failed` once it ended in a failure. */
export interface CopiedRequest {
  readonly id: number;
  readonly token: string;
  readonly ctime: number;
  readonly etime: number;
  readonly log: boolean;
  readonly owner: string;
  readonly action: string;
  readonly target: string;
  readonly envelope: string;
  readonly data: string;
  readonly open: boolean;
  readonly failed: boolean;
}

/** A row, with its origin where it has one: `node` is null for a row of the router itself. */
export interface CopiedRow {
  readonly id: number;
  readonly token: string;
  readonly code: number;
  readonly etime: number;
  readonly ctime: number;
  readonly data: string;
  readonly type: string | null;
  readonly node: string | null;
  readonly epoch: string | null;
  readonly originId: number | null;
  readonly apart: boolean;
}

/** An entry of what a plugin keeps. */
export interface CopiedEntry {
  readonly type: string;
  readonly key: string;
  readonly value: string;
}

/** A row of another node that was set aside. `place` is its order there. */
export interface CopiedAside {
  readonly place: number;
  readonly node: string;
  readonly epoch: string;
  readonly originId: number;
  readonly ctime: number;
  readonly reason: string;
  readonly row: string;
}

/** How far the log of a node is here. */
export interface CopiedLog {
  readonly node: string;
  readonly epoch: string;
  readonly ctime: number;
  readonly last: number;
}

/** A key that is pinned to an identity. */
export interface CopiedPin {
  readonly identity: string;
  readonly key: string;
  readonly ctime: number;
}

/** Facts about the database itself, and the highest id that was given. Texts as they are kept, '' where there is none. */
export interface Facts {
  readonly epoch: string;
  readonly formerEpochs: string;
  readonly purgedUpTo: string;
  readonly purgeClock: string;
  readonly lastId: number;
}

/** How much there is of each. */
export interface Counts {
  readonly requests: number;
  readonly rows: number;
  readonly entries: number;
  readonly aside: number;
  readonly logs: number;
  readonly pins: number;
}

/** Before the first id, and before the first place. */
export const BEGINNING = Number.MIN_SAFE_INTEGER;
/** A page ends after so many records, or once it has so many characters or bytes. */
export const PAGE_RECORDS = 2000;
export const PAGE_SIZE = 4 * 1024 * 1024;

/** One side of a copy. Pages are in ascending order, and empty once there is no more. */
export interface History {
  requests(after: number): Promise<readonly CopiedRequest[]>;
  rows(after: number): Promise<readonly CopiedRow[]>;
  /** By type and key. */
  entries(after: Pick<CopiedEntry, 'type' | 'key'>): Promise<readonly CopiedEntry[]>;
  aside(after: number): Promise<readonly CopiedAside[]>;
  /** All, by node. */
  logs(): Promise<readonly CopiedLog[]>;
  /** All, by identity. */
  pins(): Promise<readonly CopiedPin[]>;
  facts(): Promise<Facts>;
}

/** The cells of a row of either database, read one after the other. Each throws where there is something else. */
export interface CellReader {
  text(): string;
  textOrNull(): string | null;
  number(): number;
  numberOrNull(): number | null;
  bool(): boolean;
}

/** What is read of each kind, in the order in which the functions below take the cells. */
export const COLUMNS = {
  requests: 'id, token, ctime, etime, log, owner, action, target, envelope, data, is_open, is_failed',
  rows: 'id, token, code, etime, ctime, data, type, node, epoch, origin_id, apart',
  entries: 'type, key, value',
  aside: 'place, node, epoch, origin_id, ctime, reason, "row"',
  logs: 'node, epoch, ctime, last_id',
  pins: 'identity, key, ctime',
} as const;

export function readRequest(cells: CellReader): CopiedRequest {
  const [id, token, ctime, etime, log] = [cells.number(), cells.text(), cells.number(), cells.number(), cells.bool()];
  const [owner, action, target, envelope] = [cells.text(), cells.text(), cells.text(), cells.text()];
  const [data, open, failed] = [cells.text(), cells.bool(), cells.bool()];
  return { id, token, ctime, etime, log, owner, action, target, envelope, data, open, failed };
}

export function readRow(cells: CellReader): CopiedRow {
  const [id, token, code, etime, ctime] = [
    cells.number(),
    cells.text(),
    cells.number(),
    cells.number(),
    cells.number(),
  ];
  const [data, type, node, epoch] = [cells.text(), cells.textOrNull(), cells.textOrNull(), cells.textOrNull()];
  const [originId, apart] = [cells.numberOrNull(), cells.bool()];
  return { id, token, code, etime, ctime, data, type, node, epoch, originId, apart };
}

export function readEntry(cells: CellReader): CopiedEntry {
  return { type: cells.text(), key: cells.text(), value: cells.text() };
}

export function readAside(cells: CellReader): CopiedAside {
  const [place, node, epoch, originId] = [cells.number(), cells.text(), cells.text(), cells.number()];
  return { place, node, epoch, originId, ctime: cells.number(), reason: cells.text(), row: cells.text() };
}

export function readLog(cells: CellReader): CopiedLog {
  return { node: cells.text(), epoch: cells.text(), ctime: cells.number(), last: cells.number() };
}

export function readPin(cells: CellReader): CopiedPin {
  return { identity: cells.text(), key: cells.text(), ctime: cells.number() };
}
