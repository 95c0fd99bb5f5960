import type { Json, JsonObject } from './frame.ts';

/** A row of the history. Times are whole seconds since the epoch; `id` ascends per router. */
export interface HistoryRow {
  id: number;
  token: string;
  /** The action whose row this is. */
  type: string;
  /** The node where it happened. */
  node: string;
  code: number;
  /** When it happened. */
  etime: number;
  /** When it was stored on the router that answers. */
  ctime: number;
  data: Json;
}

/** `=` for token and code, `>` for ctime, etime and id; all given ones must hold, one of the first five at least. */
export interface HistoryFilter {
  token?: string;
  code?: number;
  ctime?: number;
  etime?: number;
  id?: number;
  /** Rows at most. Omitted: 1,000 in a plugin, which may ask for 10,000, and 100,000 in a client. */
  limit?: number;
}

/** The envelope that a caller may put around DATA, under its key `"$"`. */
export interface Envelope {
  /** Keep the request on disk while its target cannot be reached. */
  hold?: boolean;
  /** When it is no longer wanted: whole seconds since the epoch. */
  deadline?: number;
  traceparent?: string;
}

/** A request was accepted: it is on disk. */
export interface Ack {
  token: string;
  data: JsonObject;
}

/** How a request ended. `ok` is whether it finished (code 2); `data` is its output, or else `{error, message, …}`. */
export interface Outcome {
  token: string;
  code: 1 | 2;
  ok: boolean;
  data: Json;
  row: HistoryRow;
}
