import type {
  Cursor,
  Filter,
  ForeignRowFilter,
  ForeignRowHead,
  KnownRequest,
  ListedRequest,
  OwnLog,
  PageText,
  RequestFilter,
  StateEntry,
} from './token-store.ts';

/** A request and its id. */
export interface StoredRequest {
  id: number;
  request: KnownRequest;
}

/** What the reader is asked. */
export type Question =
  | { kind: 'unsettled'; after: number; limit: number; maxBytes: number }
  | { kind: 'requests'; filter: RequestFilter }
  | { kind: 'find'; token: string; as: string }
  | { kind: 'pinned'; identity: string }
  | { kind: 'kept'; type: string; key: string }
  | { kind: 'entries'; as: string; type: string; prefix: string; after: string; maxBytes: number }
  | { kind: 'cursors' }
  | { kind: 'end' }
  | { kind: 'formerEpochs' }
  | { kind: 'purgedUpTo' }
  | ({ kind: 'foreign' } & ForeignRowFilter)
  | { kind: 'log'; as: string; after: number; limit: number; maxBytes: number }
  | { kind: 'page'; filter: Filter }
  | { kind: 'text'; filter: Filter };

/** A page's rows, flat: id, code, etime, ctime and token, type, node, data of each. */
export interface Columns {
  numbers: number[];
  texts: string[];
  more: boolean;
}

export interface Answers {
  unsettled: StoredRequest[];
  requests: { requests: ListedRequest[]; more: boolean };
  find: StoredRequest | undefined;
  pinned: string | undefined;
  kept: string | undefined;
  entries: { entries: StateEntry[]; more: boolean };
  cursors: Cursor[];
  end: number;
  formerEpochs: string[];
  purgedUpTo: number;
  foreign: ForeignRowHead | undefined;
  log: OwnLog;
  page: Columns;
  text: PageText;
}

export type ToReader = { kind: 'ask'; number: number; question: Question } | { kind: 'close' };

export type FromReader =
  | { kind: 'ready' }
  | { kind: 'unusable'; reason: string }
  | { kind: 'answer'; number: number; answer: Answers[keyof Answers]; failed: string | undefined };
