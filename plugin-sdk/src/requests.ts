import { failure, isCentreondError } from './errors.ts';
import { aborted, type Follower, type HistoryRow } from './follower.ts';
import { type Json, type JsonObject, parseData } from './frame.ts';
import { after } from './long-timer.ts';
import { FINISHED, isTerminal } from './status.ts';

/** How a request ended. `ok` is code 2; else `data` is `{error, message, …}`. */
export interface Outcome {
  token: string;
  code: 1 | 2;
  ok: boolean;
  data: Json;
  row: HistoryRow;
}

/** A message that waits for its ACK. */
export interface Waiting {
  readonly token: string;
  readonly action: string;
  readonly text: string;
  readonly bytes: number;
  /** How often it was sent; from the second time on a refusal may hide that the first one was accepted. */
  sends: number;
  /** Whether the next session gets it as it is; a FOLLOW is made anew. */
  readonly repeats: boolean;
  /** The same request, made again before the ACK of this one. */
  next: Waiting | undefined;
  accepted(reply: string): void;
  refused(error: Error): void;
}

/** Where a request comes from and what it holds there until its end. */
export interface RequestOwner {
  /** It was acknowledged or is over: it must not be sent again. */
  settle(request: Request): void;
  /** It is over. */
  release(request: Request): void;
  /** The error of a wait that took `timeoutMs`. */
  late(request: Request, timeoutMs: number): Error;
  /** Gets a call the rows that it missed. */
  resume(call: CallRequest): void;
}

/** Something that a caller waits for: ended once, by its answer, its time or its signal. */
export abstract class Request implements Waiting {
  sends = 0;
  next: Waiting | undefined;
  readonly repeats = true;
  protected over = false;
  #timer: Disposable | undefined;
  #unlisten: (() => void) | undefined;

  constructor(
    readonly token: string,
    readonly action: string,
    readonly text: string,
    readonly bytes: number,
    protected readonly owner: RequestOwner,
    private readonly reject: (error: Error) => void,
  ) {}

  /** Whether its ACK has come. */
  get wasAccepted(): boolean {
    return false;
  }

  /** Starts the clock of this wait; an infinite one has none. */
  limit(timeoutMs: number, signal: AbortSignal | undefined): void {
    if (Number.isFinite(timeoutMs)) {
      this.#timer = after(timeoutMs, () => this.refused(this.owner.late(this, timeoutMs)));
    }
    if (!signal) return;
    const onAbort = () => this.refused(aborted(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    this.#unlisten = () => signal.removeEventListener('abort', onAbort);
  }

  abstract accepted(reply: string): void;

  refused(error: Error): void {
    if (this.over) return;
    this.end();
    this.reject(error);
  }

  protected end(): void {
    this.over = true;
    this.#timer?.[Symbol.dispose]();
    this.#unlisten?.();
    this.owner.settle(this);
    this.owner.release(this);
  }
}

/** A request of which only the ACK is waited for. */
export class AckRequest extends Request {
  constructor(
    token: string,
    action: string,
    text: string,
    bytes: number,
    owner: RequestOwner,
    private readonly resolve: (data: JsonObject) => void,
    reject: (error: Error) => void,
  ) {
    super(token, action, text, bytes, owner, reject);
  }

  accepted(reply: string): void {
    if (this.over) return;
    const { data } = parseData(reply);
    this.end();
    this.resolve(typeof data === 'object' && data !== null && !Array.isArray(data) ? data : {});
  }
}

/** A request that is followed to its terminal row. */
export class CallRequest extends Request implements Follower {
  lastId = 0;
  live = true;
  missedId = 0;
  #isAccepted = false;
  #followError: Error | undefined;

  constructor(
    token: string,
    action: string,
    text: string,
    bytes: number,
    owner: RequestOwner,
    private readonly resolve: (outcome: Outcome) => void,
    reject: (error: Error) => void,
    private readonly onRow: ((row: HistoryRow) => void) | undefined,
  ) {
    super(token, action, text, bytes, owner, reject);
  }

  override get wasAccepted(): boolean {
    return this.#isAccepted;
  }

  get wants(): boolean {
    return !this.over;
  }

  lag(): void {
    this.owner.resume(this);
  }

  accepted(): void {
    if (this.over || this.#isAccepted) return;
    this.#isAccepted = true;
    this.owner.settle(this);
    if (this.#followError) this.#refuseFollow(this.#followError);
  }

  /** The FOLLOW was refused. The request's own answer comes first, since it says more. */
  fail(error: Error): void {
    this.#followError = error;
    if (this.#isAccepted) this.#refuseFollow(error);
  }

  /** It was accepted and goes on: whoever takes this for a refusal would run it twice. */
  #refuseFollow(error: Error): void {
    this.refused(isOfRequest(error) ? failure('NOT_FOLLOWED', { token: this.token, reason: error.message }) : error);
  }

  row(row: HistoryRow): void {
    if (this.over) return;
    this.lastId = row.id;
    try {
      this.onRow?.(row);
    } catch (error) {
      this.refused(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    if (!isTerminal(row.code)) return;
    this.end();
    const ok = row.code === FINISHED;
    this.resolve({ token: this.token, code: ok ? 2 : 1, ok, data: row.data, row });
  }
}

/** Whether an error speaks of one message; else of the client. */
function isOfRequest(error: Error): boolean {
  return isCentreondError(error) && !OF_THE_CLIENT.has(error.code);
}

const OF_THE_CLIENT: ReadonlySet<string> = new Set(['CLIENT_CLOSED', 'CLIENT_REPLACED', 'KEY_REVOKED']);

/** How many requests and follows may be pending, and how many bytes may wait for an ACK. */
export class Room {
  #count = 0;
  #bytes = 0;
  constructor(
    private readonly maxCount: number,
    private readonly maxBytes: number,
  ) {}

  /** Takes a place. Throws BUSY where there is none. */
  enter(bytes: number): void {
    if (this.#count >= this.maxCount) throw failure('BUSY', { what: 'This client', limit: this.maxCount });
    if (this.#bytes + bytes > this.maxBytes)
      throw failure('BUSY', { what: 'This client (in bytes)', limit: this.maxBytes });
    this.#count++;
    this.#bytes += bytes;
  }

  /** Gives the bytes back: nothing of it waits any more. */
  settle(bytes: number): void {
    this.#bytes -= bytes;
  }

  leave(): void {
    this.#count--;
  }
}
