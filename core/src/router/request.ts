import type { CentreondError, JsonObject } from '@centreond/plugin-sdk';
import type { Row } from '../store/token-store.ts';
import type { Envelope } from './envelope.ts';
import type { Peer } from './peer.ts';
import type { RegisteredAction } from './registry.ts';

/** Committed rows of an open request that are kept in memory for followers that come late. */
const KEPT_ROWS = 32;
const KEPT_CHARACTERS = 64 * 1024;

/**
 * recording → waiting → running → ended. A requeued request goes back from running to waiting; a request may end from every
 * state; one that is answered in the ACK has no record and begins as waiting.
 */
export type RequestState = 'recording' | 'waiting' | 'running' | 'ended';

const MOVES: Readonly<Record<RequestState, ReadonlySet<RequestState>>> = {
  recording: new Set<RequestState>(['waiting', 'ended']),
  waiting: new Set<RequestState>(['running', 'ended']),
  running: new Set<RequestState>(['waiting', 'ended']),
  ended: new Set<RequestState>(),
};

let wrongMoves = 0;

/** A wrong move is a bug: it throws in tests and is counted in production. */
function wrongMove(from: RequestState, to: RequestState, token: string): void {
  wrongMoves++;
  if (process.env.VITEST) throw new Error(`the request ${token} cannot go from ${from} to ${to}`);
}

/** Moves since the process started that the table of states does not allow. Always 0 unless the router has a bug. */
export function wrongMoveCount(): number {
  return wrongMoves;
}

/** What a request is made of. */
export interface RequestParts {
  readonly token: string;
  readonly owner: string;
  readonly action: RegisteredAction;
  readonly target: string;
  /** JSON text without `$`. */
  readonly data: string;
  readonly envelope: Envelope;
  /** When it is no longer wanted: milliseconds since the epoch. */
  readonly wantedUntil: number;
  /** Milliseconds since the epoch. */
  readonly acceptedAt: number;
  /** Its owner is an administrator: it is served before others. */
  readonly urgent?: boolean;
  /** Takes the end of a request that has no record and is answered in the ACK: its code and JSON text. */
  readonly answered?: ((code: number, data: string) => void) | undefined;
}

/** A request that has not ended. Only this class assigns a request's state. */
export class OpenRequest implements RequestParts {
  readonly token: string;
  readonly owner: string;
  readonly action: RegisteredAction;
  readonly target: string;
  readonly data: string;
  readonly envelope: Envelope;
  readonly wantedUntil: number;
  readonly acceptedAt: number;
  readonly urgent: boolean;
  readonly answered: ((code: number, data: string) => void) | undefined;
  /** Peers that repeated the request while it was being recorded. */
  readonly repeats: Peer[] = [];
  #state: RequestState;
  #deadline: number;
  #startedAt = 0;
  #abortedFor: CentreondError | undefined;
  #abortedAt = 0;
  #deaths = 0;
  #everStarted = false;
  #whenRecorded: (() => void)[] | undefined = [];
  #rows: Row[] | undefined = [];
  #characters = 0;

  constructor(parts: RequestParts) {
    this.token = parts.token;
    this.owner = parts.owner;
    this.action = parts.action;
    this.target = parts.target;
    this.data = parts.data;
    this.envelope = parts.envelope;
    this.wantedUntil = parts.wantedUntil;
    this.acceptedAt = parts.acceptedAt;
    this.urgent = parts.urgent ?? false;
    this.answered = parts.answered;
    this.#state = parts.answered ? 'waiting' : 'recording';
    this.#deadline = parts.wantedUntil;
  }

  get state(): RequestState {
    return this.#state;
  }
  /** Milliseconds since the epoch: while it waits, when waiting is over; while it runs, when it is aborted. */
  get deadline(): number {
    return this.#deadline;
  }
  /** When it last started to run, in milliseconds; 0 if it never did. */
  get startedAt(): number {
    return this.#startedAt;
  }
  /** Whether an instance or a node ever had it. */
  get everStarted(): boolean {
    return this.#everStarted;
  }
  /** Why it was told to stop. */
  get abortedFor(): CentreondError | undefined {
    return this.#abortedFor;
  }
  /** Since when it has been told to stop, in milliseconds. */
  get abortedAt(): number {
    return this.#abortedAt;
  }
  /** How many instances died while they ran it. */
  get deaths(): number {
    return this.#deaths;
  }
  /** What sentences call it. */
  get name(): string {
    return this.token || this.action.manifest.name;
  }
  /** Characters that it holds in memory: what counts against its owner's share. */
  get size(): number {
    return this.data.length + this.envelope.text.length;
  }
  /** The node that it works on, if it runs on this router whatever node its TARGET names; else empty. */
  get workedOn(): string {
    return this.action.manifest.runs === 'here' ? this.target : '';
  }

  #move(to: RequestState): boolean {
    const allowed = MOVES[this.#state].has(to);
    if (allowed) this.#state = to;
    else wrongMove(this.#state, to, this.token);
    return allowed;
  }

  /** Its first row is on disk: it waits to be run. */
  recorded(): void {
    this.#move('waiting');
    this.#tellRecorded();
  }

  /** It was not recorded and will not run. */
  dropped(): void {
    this.#move('ended');
    this.#tellRecorded();
  }

  #tellRecorded(): void {
    const told = this.#whenRecorded ?? [];
    this.#whenRecorded = undefined;
    for (const then of told) then();
  }

  /** Calls `then` once it is recorded or dropped; at once if it is already. */
  whenRecorded(then: () => void): void {
    if (this.#whenRecorded && this.#state === 'recording') this.#whenRecorded.push(then);
    else then();
  }

  /** An executor runs it from `now` on, at most until `until` (milliseconds since the epoch). */
  started(now: number, until: number): void {
    if (!this.#move('running')) return;
    this.#everStarted = true;
    this.#startedAt = now;
    this.#deadline = until;
  }

  /** The executor has it no longer and nothing came of it: it waits again. */
  requeued(): void {
    if (this.#move('waiting')) this.#deadline = this.wantedUntil;
  }

  /** Its executor has it still, and another deadline holds. */
  extend(until: number): void {
    this.#deadline = until;
  }

  /** An instance died while it ran it. */
  died(): void {
    this.#deaths++;
  }

  /** It was told to stop. Returns false if it was told before or has ended. */
  aborted(reason: CentreondError, now: number): boolean {
    if (this.#state === 'ended' || this.#abortedFor) return false;
    this.#abortedFor = reason;
    this.#abortedAt = now;
    return true;
  }

  /** Claims its one end. Returns false if it has ended before. */
  ended(): boolean {
    return this.#state !== 'ended' && this.#move('ended');
  }

  /**
   * Claims its end for rows that are being stored. The returned function gives the claim back if they were not stored. Undefined
   * if it has ended before.
   */
  endsWith(): (() => void) | undefined {
    const before = this.#state;
    if (!this.ended()) return undefined;
    return () => {
      this.#state = before;
    };
  }

  /** Keeps a committed row in memory, within a bound. */
  keep(row: Row): void {
    if (!this.#rows) return;
    this.#characters += row.data.length;
    if (this.#rows.length >= KEPT_ROWS || this.#characters > KEPT_CHARACTERS) this.#rows = undefined;
    else this.#rows.push(row);
  }

  /** Forgets the kept rows: earlier ones are only in the store. */
  forgetRows(): void {
    this.#rows = undefined;
  }

  /** All its committed rows, or undefined if they are only in the store. */
  get rows(): readonly Row[] | undefined {
    return this.#rows;
  }

  /** DATA, parsed. */
  parsedData(): JsonObject {
    return JSON.parse(this.data) as JsonObject;
  }
}
