import type {
  ForeignRow,
  KnownRequest,
  LogPage,
  PutOptions,
  RequestRecord,
  RowDraft,
  SetAside,
  StoreSettings,
} from './token-store.ts';

/** What one call asks of the writer. */
export const ACCEPT = 0;
export const APPEND = 1;
export const PUT = 2;
export const PIN = 3;
export const KEEP = 4;
export const ADOPT = 5;
export const RENAME = 6;
export const INHERIT = 7;

/**
 * Calls on their way to the writer, flat: cloning many small objects between threads is what would cost. Each kind takes
 * its own number of strings and numbers off the front, in the order in which the functions below put them.
 */
export interface Batch {
  /** Whole seconds: what `ctime` becomes. */
  now: number;
  /** Characters that its calls hold. */
  size: number;
  /** The number of the latest accept whose outcome was known when its first call came: no row of it stands behind that. */
  settled: number;
  kinds: number[];
  texts: string[];
  numbers: number[];
}

export function emptyBatch(): Batch {
  return { now: 0, size: 0, settled: 0, kinds: [], texts: [], numbers: [] };
}

/** `number` ascends from 1; rows that come before its outcome name the request by it. 0: none do. */
export function pushAccept(batch: Batch, number: number, request: RequestRecord, rowData: string): void {
  batch.kinds.push(ACCEPT);
  pushRequest(batch, request);
  batch.texts.push(rowData);
  batch.numbers.push(number);
}

function pushRequest(batch: Batch, r: RequestRecord): void {
  batch.texts.push(r.token, r.owner, r.action, r.target, r.data, r.envelope);
  batch.numbers.push(r.etime);
}

/** A row to write; `type` `''` stands for the action of its token's request. */
export interface FullDraft {
  token: string;
  data: string;
  type: string;
  code: number;
  etime: number;
}

function pushRow(batch: Batch, row: RowDraft, type: string): void {
  batch.texts.push(row.token, row.data, type);
  batch.numbers.push(row.code, row.etime);
}

/**
 * `requestId` is that of the token's open request, 0 where the writer has to look, and below 0 the number of the accept under way
 * that the row belongs to.
 */
export function pushAppend(batch: Batch, row: RowDraft, type: string, requestId: number): void {
  batch.kinds.push(APPEND);
  pushRow(batch, row, type);
  batch.numbers.push(requestId);
}

export function pushPut(batch: Batch, row: RowDraft, options: PutOptions): void {
  batch.kinds.push(PUT);
  pushRow(batch, row, row.type ?? '');
  batch.numbers.push(options.anyToken ? 1 : 0, options.own ? 1 : 0);
  batch.texts.push(options.owner);
  if (options.own) pushRequest(batch, options.own);
}

export function pushPin(batch: Batch, identity: string, key: string): void {
  batch.kinds.push(PIN);
  batch.texts.push(identity, key);
}

export function pushRename(batch: Batch, epoch: string, skipped: number): void {
  batch.kinds.push(RENAME);
  batch.texts.push(epoch);
  batch.numbers.push(skipped);
}

export function pushInherit(batch: Batch, from: string, to: string): void {
  batch.kinds.push(INHERIT);
  batch.texts.push(from, to);
}

/** `value` undefined: forgets `key`. */
export function pushKeep(batch: Batch, type: string, key: string, value: string | undefined, limit: number): void {
  batch.kinds.push(KEEP);
  batch.texts.push(type, key, value ?? '');
  batch.numbers.push(value === undefined ? 0 : 1, limit);
}

const NO = 0;
const YES = 1;
const UNSAID = 2;
/** Stands for a page that says nothing of what is before it. */
const NOWHERE = -1;

export function pushAdopt(batch: Batch, { node, epoch, rows, aside, from = NOWHERE, last }: LogPage): void {
  batch.kinds.push(ADOPT);
  batch.texts.push(node, epoch);
  batch.numbers.push(from, last, rows.length, aside.length);
  for (const row of rows) {
    pushRow(batch, row, row.type);
    batch.texts.push(row.node, row.epoch);
    batch.numbers.push(row.originId, row.counts === undefined ? UNSAID : row.counts ? YES : NO);
  }
  for (const { originId, reason, text } of aside) {
    batch.texts.push(reason, text);
    batch.numbers.push(originId);
  }
}

/** A call as the writer sees it. */
export type Call =
  | { kind: typeof ACCEPT; request: RequestRecord; rowData: string; number: number }
  | { kind: typeof APPEND; row: FullDraft; requestId: number }
  | {
      kind: typeof PUT;
      row: FullDraft;
      owner: string;
      anyToken: boolean;
      own: RequestRecord | undefined;
    }
  | { kind: typeof PIN; identity: string; key: string }
  | ({ kind: typeof ADOPT } & LogPage)
  | { kind: typeof RENAME; epoch: string; skipped: number }
  | { kind: typeof INHERIT; from: string; to: string }
  | { kind: typeof KEEP; type: string; key: string; value: string | undefined; limit: number };

/** The calls of a batch. */
export function readCalls(batch: Batch): Call[] {
  let t = 0;
  let n = 0;
  const text = () => batch.texts[t++] as string;
  const number = () => batch.numbers[n++] as number;
  const request = (): RequestRecord => ({
    token: text(),
    owner: text(),
    action: text(),
    target: text(),
    data: text(),
    envelope: text(),
    etime: number(),
  });
  const row = (): FullDraft => ({
    token: text(),
    data: text(),
    type: text(),
    code: number(),
    etime: number(),
  });
  const foreign = (): ForeignRow => {
    const draft = { ...row(), node: text(), epoch: text(), originId: number() };
    const counts = number();
    return counts === UNSAID ? draft : { ...draft, counts: counts === YES };
  };
  const aside = (): SetAside => ({ reason: text(), text: text(), originId: number() });
  const page = (): LogPage => {
    const [node, epoch, from, last, rows, asides] = [text(), text(), number(), number(), number(), number()];
    return {
      node,
      epoch,
      ...(from !== NOWHERE && { from }),
      last,
      rows: Array.from({ length: rows }, foreign),
      aside: Array.from({ length: asides }, aside),
    };
  };
  return batch.kinds.map((kind): Call => {
    if (kind === ADOPT) return { kind, ...page() };
    if (kind === RENAME) return { kind, epoch: text(), skipped: number() };
    if (kind === INHERIT) return { kind, from: text(), to: text() };
    if (kind === ACCEPT) return { kind, request: request(), rowData: text(), number: number() };
    if (kind === APPEND) return { kind, row: row(), requestId: number() };
    if (kind === PIN) return { kind, identity: text(), key: text() };
    if (kind === KEEP) {
      const [type, key, value, keeps] = [text(), text(), text(), number() === 1];
      return { kind, type, key, value: keeps ? value : undefined, limit: number() };
    }
    const draft = row();
    const anyToken = number() === 1;
    const own = number() === 1;
    return {
      kind: PUT,
      row: draft,
      owner: text(),
      anyToken,
      own: own ? request() : undefined,
    };
  });
}

/** Why the writer did not do a call. The rest of its batch is not touched by it. */
export type Refusal = 'FULL' | 'STATE_FULL' | 'TOKEN_ENDED' | 'UNKNOWN_TOKEN' | 'FORBIDDEN' | 'FAILED';

/** In place of the id of a row that is here already, and of one that came after the end of its token. */
export const KNOWN = 0;
export const ENDED = -1;

/** What became of a page: an id for each row, who owns the request that it counts for (`''` where it counts for none), the cursor. */
export interface PageDone {
  ids: number[];
  owners: string[];
  cursor: number;
}

/** What a call came to where that is more than a row of the expected type. */
export interface Odd {
  /** Which call, counted over all batches that the outcome answers. */
  at: number;
  known?: KnownRequest;
  /** The row's type, where the caller of the writer cannot know it. */
  type?: string;
  /** Who owns the row's token, where it is not the writer of the row. */
  owner?: string;
  /** The request's id, where it is not that of its row. */
  requestId?: number;
  refused?: Refusal;
  reason?: string;
  page?: PageDone;
}

/** The answer to the `batches` oldest batches: one id per call (0 where `odds` says why), or why nothing was written. */
export interface Outcome {
  kind: 'outcome';
  batches: number;
  ids: number[];
  ctime: number;
  odds: Odd[];
  failed: string | undefined;
  /** It failed only because something before it had. */
  behind: boolean;
  ms: number;
  bytes: number;
}

export interface Purged {
  kind: 'purged';
  rows: number;
  requests: number;
  bytes: number;
  failed: string | undefined;
}

/** `again`: a failure is known, and what is sent from here on does not overtake what failed. */
export type ToWriter =
  | { kind: 'batch'; batch: Batch }
  | { kind: 'again' }
  | { kind: 'purge'; wall: number; monotonic: number }
  | { kind: 'close' };

/** `away`: nothing can be written until `back`. Meanwhile what is under way may stay unanswered. */
export type FromWriter =
  | { kind: 'ready'; bytes: number; epoch: string }
  | { kind: 'unusable'; reason: string }
  | { kind: 'fault'; reason: string }
  | { kind: 'away'; reason: string }
  | { kind: 'back' }
  | { kind: 'fenced'; reason: string }
  | Outcome
  | Purged;

export type WriterSettings = Pick<StoreSettings, 'synchronous' | 'retentionSeconds' | 'maxBytes'> & {
  /** When the store was opened, in seconds by the wall clock and by the monotonic one. */
  readonly wall: number;
  readonly monotonic: number;
};

/** What a writer is told of the settings of its store. */
export function writerSettings({ synchronous, retentionSeconds, maxBytes, clock }: StoreSettings): WriterSettings {
  const [wall, monotonic] = [Math.floor(clock.now() / 1000), clock.monotonic() / 1000];
  return { synchronous, retentionSeconds, maxBytes, wall, monotonic };
}
