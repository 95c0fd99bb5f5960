import type { Clock } from '@centreond/plugin-sdk';
import type { ActionManifest } from '@centreond/plugin-sdk/internal';
import { ACCEPTED, CentreondError, FAILED, failure, isTerminal, type Json, type JsonObject } from '@centreond/protocol';
import type { TestHistory } from './history.ts';
import type { LateRow } from './log-lines.ts';

/** How long the router waits for the end of a request that it has aborted before it ends it itself. */
export const ABORT_GRACE_MS = 6000;
/** How long a request without a deadline may wait for its plugin. */
const WAIT_LIMIT_MS = 24 * 3600 * 1000;

/** What runs a request. */
export interface Runner {
  /** Runs an accepted request now, or queues it. Calls {@link TestRequests.started} when it runs. */
  submit(request: TestRequest): void;
  /** Tells what runs a request to stop. */
  abort(request: TestRequest, reason: CentreondError): void;
  /** Forgets a request that waits. */
  withdraw(request: TestRequest): void;
}

/** What a request is made of. */
export interface RequestParts {
  readonly token: string;
  readonly owner: string;
  readonly action: ActionManifest;
  readonly data: JsonObject;
  readonly target: string;
  /** When it is no longer wanted: milliseconds since the epoch. */
  readonly wantedUntil: number | undefined;
  /** Milliseconds since the epoch. */
  readonly acceptedAt: number;
  /** Its owner is an administrator: it goes before others. */
  readonly urgent: boolean;
  readonly runner: Runner;
  /** Takes the end of a request that is answered in the ACK. */
  readonly answered?: ((code: number, data: JsonObject) => void) | undefined;
}

/** A request that was accepted. Only {@link TestRequests} changes its state. */
export class TestRequest implements RequestParts {
  readonly token: string;
  readonly owner: string;
  readonly action: ActionManifest;
  readonly data: JsonObject;
  readonly target: string;
  readonly wantedUntil: number;
  readonly acceptedAt: number;
  readonly urgent: boolean;
  readonly runner: Runner;
  readonly answered: ((code: number, data: JsonObject) => void) | undefined;
  state: 'waiting' | 'running' | 'ended' = 'waiting';
  aborted: CentreondError | undefined;
  /** When it last started to run, in milliseconds; 0 if it never did. */
  startedAt = 0;
  /** When it is aborted, at the latest: milliseconds since the epoch. */
  deadline: number;
  /** How many instances died while they ran it. */
  deaths = 0;
  timer: Disposable | undefined;

  constructor(parts: RequestParts) {
    this.token = parts.token;
    this.owner = parts.owner;
    this.action = parts.action;
    this.data = parts.data;
    this.target = parts.target;
    this.acceptedAt = parts.acceptedAt;
    this.wantedUntil = parts.wantedUntil ?? parts.acceptedAt + WAIT_LIMIT_MS;
    this.deadline = this.wantedUntil;
    this.urgent = parts.urgent;
    this.runner = parts.runner;
    this.answered = parts.answered;
  }

  /** What sentences call it. */
  get name(): string {
    return this.token || this.action.name;
  }
}

/** The open requests: their rows, their time and their one end, as in the real router. */
export class TestRequests {
  /** Rows that came after the end of their token. */
  readonly late: LateRow[] = [];
  /** Tokens that the router ended itself, since the plugin did not within {@link ABORT_GRACE_MS} of the abort. */
  readonly abandoned: string[] = [];
  readonly #open = new Map<string, TestRequest>();
  /** Those that are answered in the ACK: they have no rows, and their tokens may be empty. */
  readonly #asked = new Set<TestRequest>();

  constructor(
    private readonly history: TestHistory,
    private readonly clock: Clock,
    /** Open requests of one identity. */
    private readonly limit: number,
  ) {}

  get(token: string): TestRequest | undefined {
    return this.#open.get(token);
  }
  /** The tokens of open requests. */
  get open(): readonly string[] {
    return [...this.#open.keys()];
  }
  /** Every open request, those that are answered in the ACK included. */
  get all(): readonly TestRequest[] {
    return [...this.#open.values(), ...this.#asked];
  }

  /** Throws BUSY where `owner` has as many open requests as it may. */
  admit(owner: string): void {
    const count = this.all.filter((request) => request.owner === owner).length;
    if (count >= this.limit) {
      throw failure('BUSY', { what: `the list of open requests of ${owner}`, limit: this.limit });
    }
  }

  /** Writes the first row of an accepted request, or for one that is answered in the ACK none; then {@link submit} it. */
  enter(request: TestRequest): void {
    if (request.answered) this.#asked.add(request);
    else {
      this.#open.set(request.token, request);
      this.history.append(request.token, ACCEPTED, { owner: request.owner, target: request.target });
    }
    this.#limit(request);
  }

  submit(request: TestRequest): void {
    if (request.state === 'waiting') request.runner.submit(request);
  }

  /** It runs from now on. */
  started(request: TestRequest): void {
    request.state = 'running';
    request.startedAt = this.clock.now();
    request.deadline = Math.min(request.startedAt + request.action.timeoutSeconds * 1000, request.wantedUntil);
    this.#limit(request);
  }

  /** What ran it died, and it waits again. */
  requeued(request: TestRequest): void {
    request.state = 'waiting';
    request.deadline = request.wantedUntil;
    this.#limit(request);
  }

  /** A row, or the end, that what runs it wrote. */
  row(request: TestRequest, code: number, data: Json, node?: string): void {
    if (request.state !== 'running') this.dropped(request.token, request.action.name, code);
    else if (isTerminal(code)) this.end(request, code, data, node);
    else this.history.append(request.token, code, data, node);
  }

  /** A row came after the end of its token, or under one that nothing runs. */
  dropped(token: string, action: string, code: number): void {
    this.late.push({ token, action, code });
  }

  /** Ends a request with its one terminal row, or its answer. Later ends do nothing. */
  end(request: TestRequest, code: number, data: Json, node?: string): void {
    if (request.state === 'ended') return;
    request.state = 'ended';
    request.timer?.[Symbol.dispose]();
    if (request.answered) {
      this.#asked.delete(request);
      request.answered(code, data as JsonObject);
    } else {
      this.#open.delete(request.token);
      this.history.append(request.token, code, data, node);
    }
  }

  fail(request: TestRequest, error: CentreondError): void {
    this.end(request, FAILED, { ...error.toData() });
  }

  /** Tells what runs a request to stop, and ends it after a grace; one that waits ends at once. False if it was told before. */
  abort(request: TestRequest, reason: CentreondError): boolean {
    if (request.state === 'ended' || request.aborted) return false;
    request.aborted = reason;
    if (request.state === 'waiting') {
      request.runner.withdraw(request);
      this.fail(request, reason);
      return true;
    }
    this.#after(request, ABORT_GRACE_MS, () => {
      this.abandoned.push(request.token);
      this.fail(request, reason);
    });
    request.runner.abort(request, reason);
    if (request.answered) this.fail(request, reason);
    return true;
  }

  #limit(request: TestRequest): void {
    this.#after(request, request.deadline - this.clock.now(), () => {
      const ran = request.startedAt > 0;
      const from = request.state === 'running' ? request.startedAt : request.acceptedAt;
      const seconds = Math.max(0, Math.round((this.clock.now() - from) / 1000));
      this.abort(request, failure('TIMEOUT', { action: request.action.name, seconds, ran }));
    });
  }

  #after(request: TestRequest, ms: number, run: () => void): void {
    request.timer?.[Symbol.dispose]();
    request.timer = this.clock.after(Math.max(0, ms), run);
  }
}

/** The error that a request ended with. */
export function errorOf(data: JsonObject): CentreondError {
  return new CentreondError(String(data.error), String(data.message));
}
