import {
  after,
  FINISHED,
  failure,
  type HistoryRow,
  isCentreondError,
  isTerminal,
  type JsonObject,
  type Outcome,
  parseData,
} from '@centreond/protocol';
import { aborted, type Follower } from './follower.ts';

/** A message that waits for its ACK. */
export interface Waiting {
  readonly token: string;
  readonly action: string;
  readonly text: string;
  readonly bytes: number;
  /** How often it was sent; from the second time on a refusal may hide that the first one was accepted. */
  sends: number;
  /** Whether a copy was sent in this session whose ACK has not come. */
  isSent: boolean;
  /** Whether the next session gets it as it is; a FOLLOW is made again. */
  readonly repeats: boolean;
  /** The same request, made again before the ACK of this one. */
  next: Waiting | undefined;
  accepted(reply: string): void;
  refused(error: Error): void;
}

/** Where a request comes from and what it holds there until its end. */
export interface RequestOwner {
  /** It was accepted: it must not be sent again. */
  accepted(request: Request): void;
  /** It is over. */
  over(request: Request): void;
  /** The error of a wait that took `timeoutMs`. */
  late(request: Request, timeoutMs: number): Error;
  /** Gets a call the rows that it missed. */
  resume(call: CallRequest): void;
}

/** Something that a caller waits for: ended once, by its answer, its time or its signal. */
export abstract class Request implements Waiting {
  sends = 0;
  isSent = false;
  next: Waiting | undefined;
  readonly repeats = true;
  /** Whether its bytes no longer count. */
  isSettled = false;
  #isOver = false;
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

  /** Whether its caller waits no longer. */
  get isOver(): boolean {
    return this.#isOver;
  }
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
    if (this.isOver) return;
    this.end();
    this.reject(error);
  }

  /** Ends it without an answer: nobody is left to hear one. */
  forget(): void {
    if (!this.isOver) this.end();
  }

  protected end(): void {
    this.#isOver = true;
    this.#timer?.[Symbol.dispose]();
    this.#unlisten?.();
    this.owner.over(this);
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
    if (this.isOver) return;
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
  asked = 0;
  #isAccepted = false;
  /** Asking for its rows was refused before its ACK. */
  #isStalled = false;

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
    return !this.isOver;
  }

  lag(): void {
    this.owner.resume(this);
  }

  accepted(): void {
    if (this.isOver || this.#isAccepted) return;
    this.#isAccepted = true;
    this.owner.accepted(this);
    if (this.#isStalled && !this.live) this.owner.resume(this);
  }

  /** It cannot be followed. Before its own answer that says nothing: once it is accepted, the router is asked again. */
  fail(error: Error): void {
    if (!isOfMessage(error)) this.refused(error);
    // It goes on: a caller who takes this for a refusal of the request would run it twice.
    else if (this.#isAccepted) this.refused(failure('NOT_FOLLOWED', { token: this.token, reason: error.message }));
    else this.#isStalled = true;
  }

  row(row: HistoryRow): void {
    if (this.isOver) return;
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
function isOfMessage(error: Error): boolean {
  return isCentreondError(error) && !OF_THE_CLIENT.has(error.code);
}

const OF_THE_CLIENT: ReadonlySet<string> = new Set(['CLIENT_CLOSED', 'CLIENT_REPLACED', 'KEY_REVOKED']);

/** How many requests and follows may be pending, and how many bytes may wait for an ACK. */
export class Room {
  #count = 0;
  #bytes = 0;
  /** `whose` begins the sentence of a refusal. */
  constructor(
    private readonly whose: string,
    private readonly maxCount: number,
    private readonly maxBytes: number,
  ) {}

  /** Takes a place. Throws BUSY where there is none. */
  enter(bytes: number): void {
    if (this.#count >= this.maxCount) throw failure('BUSY', { what: this.whose, limit: this.maxCount });
    if (this.#bytes + bytes > this.maxBytes)
      throw failure('BUSY', { what: `${this.whose} (in bytes)`, limit: this.maxBytes });
    this.#count++;
    this.#bytes += bytes;
  }

  /** Gives bytes back: they need not be sent again. */
  settle(bytes: number): void {
    this.#bytes -= bytes;
  }

  leave(): void {
    this.#count--;
  }
}
