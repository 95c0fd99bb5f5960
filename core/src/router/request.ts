import type { ActionManifest } from '@centreond/plugin-sdk/internal';
import { type CentreondError, type JsonObject, parseJson } from '@centreond/protocol';
import type { Accepted, Row } from '../store/token-store.ts';
import type { Envelope } from './envelope.ts';
import type { Peer } from './peer.ts';

/** Committed rows of an open request that are kept in memory for followers that come late. */
const KEPT_ROWS = 32;
const KEPT_CHARACTERS = 64 * 1024;
const NOBODY: readonly Peer[] = [];

/**
 * recording → waiting → running → ended. A requeued request goes back from running to waiting; a request may end from every
 * state; one that is answered in the ACK has no record and begins as waiting. An early request waits, runs and may end while its
 * record is being written: then `isRecording` says so.
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
  #state: RequestState;
  #record: 'pending' | 'kept' | 'dropped';
  #recording: Promise<Accepted> | undefined;
  #isEarly = false;
  #earlySince = 0;
  #isHeld = false;
  #deadline: number;
  #startedAt = 0;
  #abortedFor: CentreondError | undefined;
  #abortedAt = 0;
  #deaths = 0;
  #everStarted = false;
  #heldAs = '';
  #repeats: Peer[] | undefined;
  #whenRecorded: (() => void)[] | undefined;
  #whenReleased: (() => void)[] | undefined;
  #rows: Row[] | undefined = [];
  #isWrittenHere = true;
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
    this.#record = parts.answered ? 'kept' : 'pending';
    this.#deadline = parts.wantedUntil;
  }

  get state(): RequestState {
    return this.#state;
  }
  /** Whether its record is still being written. */
  get isRecording(): boolean {
    return this.#record === 'pending';
  }
  /** Whether it was not recorded: it repeats another, or the store refused it. Nothing of it is stored. */
  get isDropped(): boolean {
    return this.#record === 'dropped';
  }
  /** Of an early request, while it is being recorded: what its rows stand behind. */
  get recording(): Promise<Accepted> | undefined {
    return this.isRecording ? this.#recording : undefined;
  }
  /** Whether it was handed to its executor before its record was on disk. */
  get isEarly(): boolean {
    return this.#isEarly;
  }
  /** When it was handed over early, in monotonic milliseconds; 0 if it was not. */
  get earlySince(): number {
    return this.#earlySince;
  }
  /** Whether an instance has it, which may be so after its end. */
  get isHeld(): boolean {
    return this.#isHeld;
  }
  /** The name by which the instance that last had it speaks of it. */
  get heldAs(): string {
    return this.#heldAs;
  }
  /** Peers that repeated the request while it was being recorded. */
  get repeats(): readonly Peer[] {
    return this.#repeats ?? NOBODY;
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

  /** It is idempotent and may run while its record is being written by `recording`. */
  early(recording: Promise<Accepted>): void {
    this.#recording = recording;
    this.#earlySince = performance.now();
    this.#isEarly = this.#move('waiting');
  }

  /** Its first row is on disk: it waits to be run, unless it is early and has gone on already. */
  recorded(): void {
    if (!this.#isEarly) this.#move('waiting');
    this.#record = 'kept';
    this.#tellRecorded();
  }

  /** It was not recorded. Nothing of it runs or is stored from now on. */
  dropped(): void {
    if (this.#state !== 'ended') this.#move('ended');
    this.#record = 'dropped';
    this.#tellRecorded();
  }

  #tellRecorded(): void {
    this.#recording = undefined;
    const all = this.#whenRecorded;
    this.#whenRecorded = undefined;
    if (all) for (const then of all) then();
  }

  /** `peer` made it again while it is being recorded. */
  repeated(peer: Peer): void {
    this.#repeats ??= [];
    this.#repeats.push(peer);
  }

  /** Calls `then` once it is recorded or dropped; at once if it is already. */
  whenRecorded(then: () => void): void {
    if (this.isRecording) {
      this.#whenRecorded ??= [];
      this.#whenRecorded.push(then);
    } else then();
  }

  /**
   * An executor runs it from `now` on, at most until `until` (milliseconds since the epoch). An instance that has it speaks of it
   * as `heldAs`.
   */
  started(now: number, until: number, heldAs = ''): void {
    if (!this.#move('running')) return;
    this.#everStarted = true;
    this.#isHeld = true;
    this.#heldAs = heldAs;
    this.#startedAt = now;
    this.#deadline = until;
  }

  /** The instance that ran it has said its end, or is gone. */
  released(): void {
    this.#isHeld = false;
    const all = this.#whenReleased;
    this.#whenReleased = undefined;
    if (all) for (const then of all) then();
  }

  /** Calls `then` once no instance has it. Only while one does. */
  whenReleased(then: () => void): void {
    this.#whenReleased ??= [];
    this.#whenReleased.push(then);
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

  /** Forgets the kept rows: there are some in the store, or may be, that did not pass here. */
  forgetRows(): void {
    this.#rows = undefined;
    this.#isWrittenHere = false;
  }

  /** Whether each of its rows passes here: nobody but this router writes them, from the first to the last. */
  get isWrittenHere(): boolean {
    return this.#isWrittenHere && this.action.executor.elsewhere !== true;
  }

  /** All its committed rows, or undefined if they are only in the store. */
  get rows(): readonly Row[] | undefined {
    return this.#rows;
  }

  /** DATA, parsed. */
  parsedData(): JsonObject {
    return parseJson(this.data) as JsonObject;
  }
}

// ---- the ports: what runs requests --------------------------------------------------------------------------------

/** An action that can be routed: its declaration, and who runs it. */
export interface RegisteredAction {
  readonly manifest: ActionManifest;
  readonly type: string;
  readonly executor: Runner;
  /** What the input schema has against `data`, as one sentence part, or undefined. */
  fault(data: object): string | undefined;
}

/** An answer in the ACK: `data` is JSON text, `after` runs once the ACK is queued. */
export class Answer {
  constructor(
    readonly data: string,
    readonly after?: () => void,
  ) {}
}

/** A request that is answered in the ACK, as its executor sees it. */
export interface Asked {
  readonly token: string;
  /** The node that TARGET named; empty for this router. */
  readonly target: string;
  readonly envelope: Envelope;
}

/** Runs requests. The host implements it for plugins, the fleet for other nodes; the router calls it. */
export interface Runner {
  /** Its requests run on another node: they outlive this process, and rows from there end them. */
  readonly elsewhere?: true | undefined;
  /** It takes a request of an idempotent action while that is being recorded, and calls `open.released` when it is over. */
  readonly early?: true;
  /** How long an aborted request may take to end by itself, in milliseconds; 6000 if omitted. */
  readonly abortGraceMs?: number | undefined;
  /**
   * Called once before the request is recorded. Returns why it cannot be accepted now, or undefined. `data` is the parsed
   * `open.data`. An admitted request is later submitted or withdrawn.
   */
  admit(
    open: OpenRequest,
    data: JsonObject,
    peer: Peer,
  ): CentreondError | undefined | Promise<CentreondError | undefined>;
  /** Answers an action with `reply: 'ack'` directly. If omitted, such a request is admitted and submitted like any other. */
  ask?(action: ActionManifest, data: JsonObject, peer: Peer, asked: Asked): Answer | Promise<Answer>;
  /** Takes an accepted request: runs it now or queues it. Calls `open.started` when it runs. */
  submit(open: OpenRequest): void;
  /** Tells the instance that runs the request to stop. The request ends by a later row, or by the router's sweep. */
  abort(open: OpenRequest, reason: CentreondError): void;
  /** Forgets a request that is queued, or that was admitted and will not be submitted. */
  withdraw(open: OpenRequest): void;
}
