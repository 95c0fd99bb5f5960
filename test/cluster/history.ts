import type { Client, SendOptions } from '@centreond/client';
import { type HistoryRow, isCentreondError, isRetryable, isUnsure } from '@centreond/protocol';

/** How long who was refused, and may ask again, waits. */
const AGAIN_MS = 50;

/** What happened at one place at one moment, in milliseconds since the epoch. */
interface Moment {
  readonly at: number;
  /** The id of the router that was asked, or that it happened to. */
  readonly router: string;
}

/** What a client asked of a router, and what it was told. */
export type Asked = Moment & { readonly token: string } & (
    | { readonly kind: 'invoke'; readonly once: boolean; readonly target: string }
    /** Acknowledged. */
    | { readonly kind: 'ok' }
    /** Refused. */
    | { readonly kind: 'fail'; readonly code: string }
    /** No answer. */
    | { readonly kind: 'unknown' }
  );

/** What a follower at a router was shown. */
export type Shown = Moment & { readonly token: string; readonly follower: string } & (
    | { readonly kind: 'follow' }
    | { readonly kind: 'row'; readonly id: number; readonly code: number }
    /** The rows came to their end, or to a refusal. */
    | { readonly kind: 'followed'; readonly code: string | undefined }
  );

/** What was done to a router: it was killed, or paused for longer than it may be silent. */
export type Death = Moment & { readonly kind: 'death' };

export type Event = Asked | Shown | Death;

export interface Order extends SendOptions {
  readonly token: string;
  /** Its action is not idempotent. */
  readonly once: boolean;
}

/** Writes down what clients of several routers are told, and what is done to these, in the order in which it happens. */
export class History {
  readonly events: Event[] = [];
  readonly acknowledged = new Set<string>();
  /** How often each code refused a request. */
  readonly refusals = new Map<string, number>();
  #followers = 0;
  readonly #following = new Set<string>();

  /** What is done to `router` now. */
  died(router: string): void {
    this.events.push({ kind: 'death', at: Date.now(), router });
  }

  /** Sends a request to a router: 'ok', the code of its refusal, or 'unknown'. */
  async send(router: string, client: Client, action: string, data: object, order: Order): Promise<string> {
    const { once, ...options } = order;
    const { token, target = '' } = options;
    const event = () => ({ at: Date.now(), router, token });
    this.events.push({ kind: 'invoke', ...event(), once, target });
    try {
      await client.send(action, data, options);
    } catch (error) {
      if (!isCentreondError(error)) throw error;
      const { code } = error;
      this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
      if (isUnsure(code)) {
        this.events.push({ kind: 'unknown', ...event() });
        return 'unknown';
      }
      this.events.push({ kind: 'fail', ...event(), code });
      return code;
    }
    this.acknowledged.add(token);
    this.events.push({ kind: 'ok', ...event() });
    return 'ok';
  }

  /** Follows a token at a router to its end, or until `signal`; again from the last row where that may be asked again. */
  async follow(router: string, client: Client, token: string, signal: AbortSignal): Promise<readonly HistoryRow[]> {
    const follower = `follower ${++this.#followers}`;
    const event = () => ({ at: Date.now(), router, token, follower });
    this.events.push({ kind: 'follow', ...event() });
    const place = `${token} at ${router}`;
    this.#following.add(place);
    const rows: HistoryRow[] = [];
    for (;;) {
      try {
        for await (const row of client.follow(token, { afterId: rows.at(-1)?.id ?? 0, signal })) {
          rows.push(row);
          this.events.push({ kind: 'row', ...event(), id: row.id, code: row.code });
        }
        this.events.push({ kind: 'followed', ...event(), code: undefined });
      } catch (error) {
        // Whoever never sees the end is found by the checker.
        if (signal.aborted) return rows;
        if (!isCentreondError(error)) throw error;
        if (isRetryable(error.code)) {
          await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
          continue;
        }
        this.events.push({ kind: 'followed', ...event(), code: error.code });
      }
      this.#following.delete(place);
      return rows;
    }
  }

  /** Who still waits for the end of what: `TOKEN at ROUTER`. */
  get following(): ReadonlySet<string> {
    return this.#following;
  }
}
