import {
  type CentreondError,
  type Clock,
  type CodesOf,
  failure,
  type HistoryRow,
  isCentreondError,
  type JsonObject,
  type Logger,
  type RowCode,
  reasonOf,
  type State,
  type TokenStore,
  type Transport,
} from '@centreond/plugin-sdk';
import { Schedule, type ZoneOrFault } from '@centreond/plugin-sdk/schedule';
import { isTerminal } from '@centreond/protocol';
import { type Definition, isoSecond, RUNS_LIMIT, type ShownDefinition, tokenOf, zoneFor } from './definition.ts';
import type { Ending, Journal, OpenRun } from './journal.ts';

/** Codes of the plugin's rows, each under the token that the run has or would have had. */
export const CODES = { SKIPPED: 110, MISSED: 111, REFUSED: 112 } as const;
export const TITLED_CODES = {
  SKIPPED: { code: CODES.SKIPPED, title: 'run skipped' },
  MISSED: { code: CODES.MISSED, title: 'runs missed' },
  REFUSED: { code: CODES.REFUSED, title: 'run refused' },
} as const;

/** A run that is later than this was missed. */
export const LATE_MS = 60_000;
/** A clock that goes back by more than this was wrong before. */
const STEP_BACK_MS = 60_000;
/** How long a refusal that may pass is met by sending again. */
export const RETRY_MS = 60_000;
/** How long an accepted run is followed: longer than a request can be held for a node, and then run. */
export const FOLLOW_MS = 8 * 24 * 3_600_000;
const FIRST_BACKOFF_MS = 500;
const LAST_BACKOFF_MS = 10_000;
const FOLLOW_ATTEMPTS = 10;

export interface JobServices {
  /** The plugin's type, with which its tokens start: only it may use them. */
  readonly type: string;
  readonly state: State;
  readonly tokens: TokenStore<CodesOf<typeof CODES>>;
  readonly transport: Transport;
  readonly log: Logger;
  readonly clock: Clock;
}

/** One definition at work: fires what is due, follows it to its end, and keeps what became of it. */
export class Job {
  #definition: Definition;
  #schedule: Schedule;
  /** What was due up to here is fired, waits or is dealt with; the journal knows only of the latter. */
  #seen: number;
  #next: number | undefined;
  /** Runs that are made up for and wait for their turn. */
  readonly #waiting: number[] = [];
  readonly #stop = new AbortController();

  constructor(
    definition: Definition,
    readonly source: 'config' | 'state',
    private readonly zone: ZoneOrFault,
    private readonly journal: Journal,
    private readonly services: JobServices,
  ) {
    this.#definition = definition;
    this.#schedule = scheduleOf(definition, zone);
    this.#seen = journal.through;
    this.#plan();
  }

  get definition(): Definition {
    return this.#definition;
  }

  /** When it is next due, if ever. */
  get next(): number | undefined {
    return this.#next;
  }

  /** Takes up the runs that had not ended when the plugin did. */
  resume(): void {
    for (const run of [...this.journal.open]) this.#guard(run, () => this.#takeUp(run));
  }

  /** Changes the definition. Runs under way go on as they were. A new schedule counts from now. */
  update(definition: Definition): void {
    this.#definition = definition;
    this.#schedule = scheduleOf(definition, this.zone);
    this.#plan();
  }

  #plan(): void {
    const { enabled } = this.#definition;
    const plan = JSON.stringify([this.#schedule.pattern, this.#schedule.timeZone, enabled]);
    if (this.journal.follow(plan, this.services.clock.now())) {
      this.#seen = this.journal.through;
      this.#waiting.length = 0;
      void this.journal.save();
    }
    this.#next = enabled ? this.#schedule.next(this.#seen) : undefined;
    this.#rewind(this.services.clock.now());
  }

  /** Plans again if the clock was ahead: else nothing would be due until it gets there again. */
  #rewind(now: number): void {
    if (this.#seen - now <= STEP_BACK_MS) return;
    const { id, enabled } = this.#definition;
    this.services.log.warn(
      { id },
      `the clock went back from ${isoSecond(this.#seen)}; ${id} is planned again from now on`,
    );
    this.journal.rewind(now);
    this.#seen = now;
    this.#next = enabled ? this.#schedule.next(now) : undefined;
    void this.journal.save();
  }

  /** Deals with everything that is due. */
  tick(): void {
    const now = this.services.clock.now();
    this.#rewind(now);
    if (this.#next === undefined || this.#next > now) return;
    const due = this.#schedule.between(this.#seen, now, RUNS_LIMIT + 1);
    const latest = due.at(-1);
    if (latest === undefined) return;
    this.#seen = latest;
    this.#next = this.#schedule.next(latest);
    const onTime = due.filter((at) => at > now - LATE_MS).slice(-RUNS_LIMIT);
    const missed = due.slice(0, due.length - onTime.length);
    const again = this.#madeUpFor(missed, onTime);
    const dropped = missed.slice(0, missed.length - again.length);
    if (dropped.length > 0) this.#miss(dropped, due.length > RUNS_LIMIT);
    for (const at of again) this.#fire(at, true);
    for (const at of onTime) this.#fire(at, false);
  }

  #madeUpFor(missed: readonly number[], onTime: readonly number[]): number[] {
    const { missed: policy } = this.#definition;
    if (policy === 'skip' || missed.length === 0) return [];
    // A run that is due now does for those that were missed.
    if (policy === 'once') return onTime.length > 0 ? [] : missed.slice(-1);
    const room = RUNS_LIMIT - onTime.length;
    return room > 0 ? missed.slice(-room) : [];
  }

  #fire(at: number, madeUpFor: boolean): void {
    const { open } = this.journal;
    const free = this.#definition.overlap ? open.length < RUNS_LIMIT : open.length === 0;
    if (free && this.#waiting.length === 0) this.#begin(at);
    else if ((madeUpFor || this.#waiting.length > 0) && this.#waiting.length < RUNS_LIMIT) this.#waiting.push(at);
    else this.#skip(at);
  }

  #begin(at: number): void {
    const run = this.journal.begin(at, tokenOf(this.services.type, this.#definition.id, at));
    this.#guard(run, async () => {
      // On disk before it is sent: should the plugin die now, the same token goes out again and runs once.
      await this.journal.save();
      await this.#send(run);
    });
  }

  /** Sees to it that a run ends in the journal whatever happens, and lets the next one have its turn. */
  #guard(run: OpenRun, work: () => Promise<void>): void {
    work()
      .catch((error: unknown) => this.#end(run, { outcome: 'unknown', error: 'INTERNAL', message: reasonOf(error) }))
      .then(() => {
        if (this.#stop.signal.aborted) return;
        const next = this.#waiting.shift();
        if (next !== undefined) this.#begin(next);
      });
  }

  async #takeUp(run: OpenRun): Promise<void> {
    if (run.state === 'running') return this.#follow(run);
    const late = run.at <= this.services.clock.now() - LATE_MS;
    if (late && this.#definition.missed === 'skip' && !(await this.#known(run.token))) {
      const message = `it was due at ${isoSecond(run.at)}, the plugin stopped before it was sent, and it is too late now`;
      return this.#refused(run, failure('ACTION_FAILED', { reason: message }), 0);
    }
    return this.#send(run, true);
  }

  /** Whether the router has accepted a request of this token. */
  async #known(token: string): Promise<boolean> {
    return (await this.services.tokens.query({ token, code: 0, limit: 1 })).length > 0;
  }

  async #send(run: OpenRun, again = false): Promise<void> {
    const { clock, transport, log } = this.services;
    const { action, data, target, id } = this.#definition;
    const since = clock.now();
    for (let attempt = 1; !this.#stop.signal.aborted; attempt++) {
      try {
        await transport.send(action, data, { token: run.token, ...(target !== undefined && { target }) });
        run.state = 'running';
        await this.journal.save();
        return await this.#follow(run);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        const refusal = asRefusal(error);
        // The definition was changed after this very run had been accepted.
        if (refusal.code === 'TOKEN_REUSED' && again) return await this.#follow(run);
        if (!refusal.retryable || clock.now() - since >= RETRY_MS) {
          return await this.#refused(run, refusal, attempt);
        }
        log.warn(
          { id, token: run.token, attempt, error: refusal.code },
          `${id} is refused, sent again: ${refusal.message}`,
        );
        await pause(clock, backoff(attempt), this.#stop.signal);
      }
    }
  }

  async #refused(run: OpenRun, refusal: CentreondError, attempts: number): Promise<void> {
    const { code: error, message } = refusal;
    const { id } = this.#definition;
    await this.#record(run.token, CODES.REFUSED, { id, at: isoSecond(run.at), error, message, attempts });
    this.services.log.error({ id, token: run.token, error, attempts }, `${id} was not accepted: ${message}`);
    await this.#end(run, { outcome: 'refused', error, message });
  }

  async #follow(run: OpenRun): Promise<void> {
    const { clock, tokens, log } = this.services;
    const limit = new AbortController();
    using _timer = clock.after(Math.max(run.at + FOLLOW_MS - clock.now(), LATE_MS), () => limit.abort());
    const signal = AbortSignal.any([this.#stop.signal, limit.signal]);
    let reason = `it had not ended ${FOLLOW_MS / 86_400_000} days after it was due`;
    for (let attempt = 1; !signal.aborted && attempt <= FOLLOW_ATTEMPTS; attempt++) {
      try {
        for await (const row of tokens.follow(run.token, { signal })) {
          if (isTerminal(row.code)) return await this.#end(run, endingOf(row));
        }
      } catch (error) {
        reason = reasonOf(error);
        log.warn({ err: error, token: run.token }, `${run.token} is followed again: ${reason}`);
      }
      await pause(clock, backoff(attempt), signal);
    }
    if (this.#stop.signal.aborted) return;
    log.warn({ token: run.token }, `the end of ${run.token} is not known: ${reason}`);
    await this.#end(run, { outcome: 'unknown', error: 'WAIT_OVER', message: reason });
  }

  async #end(run: OpenRun, ending: Ending): Promise<void> {
    this.journal.end(run, ending, this.services.clock.now());
    await this.journal.save();
  }

  #skip(at: number): void {
    const { id } = this.#definition;
    const running = this.journal.open.map(({ token }) => token);
    this.journal.counts.skipped++;
    // What waits is older, and a stop must not lose it.
    if (this.#waiting.length === 0) this.journal.passed(at);
    this.services.log.warn({ id, running }, `${id} is skipped at ${isoSecond(at)}: its last run has not ended`);
    void this.#record(tokenOf(this.services.type, id, at), CODES.SKIPPED, { id, at: isoSecond(at), running });
    void this.journal.save();
  }

  #miss(dropped: readonly number[], andMore: boolean): void {
    const { id, missed: policy } = this.#definition;
    const [first = 0] = dropped;
    const last = dropped.at(-1) ?? first;
    this.journal.counts.missed += dropped.length;
    this.journal.passed(last);
    const row = { id, policy, count: dropped.length, andMore, first: isoSecond(first), last: isoSecond(last) };
    const count = `${dropped.length}${andMore ? ' or more' : ''}`;
    this.services.log.warn(row, `${id} missed ${count} runs up to ${isoSecond(last)} that are not made up for`);
    void this.#record(tokenOf(this.services.type, id, last), CODES.MISSED, row);
    void this.journal.save();
  }

  async #record(token: string, code: RowCode<CodesOf<typeof CODES>>, data: JsonObject): Promise<void> {
    try {
      await this.services.tokens.append([{ token, code, data }]);
    } catch (error) {
      this.services.log.error(
        { err: error, token, code, data },
        `the row of ${token} is not written: ${reasonOf(error)}`,
      );
    }
  }

  /** Fires no more and follows no more; what runs goes on, and is taken up again at the next start. */
  stop(): void {
    this.#stop.abort();
    this.#waiting.length = 0;
  }

  /** Stops, and forgets its runs. */
  remove(): Promise<void> {
    this.stop();
    return this.journal.remove();
  }

  describe(): ShownDefinition {
    const { next, journal } = this;
    return {
      ...this.#definition,
      timeZone: this.#schedule.timeZone,
      source: this.source,
      nextRun: next === undefined ? null : new Date(next).toISOString(),
      lastRun: journal.lastRun(),
      running: journal.open.map(({ token }) => token),
      waiting: this.#waiting.length,
      counts: { ...journal.counts },
    };
  }
}

/** The schedule of a definition that was checked; `own` is the zone of those that name none. */
function scheduleOf(definition: Definition, own: ZoneOrFault): Schedule {
  const zone = zoneFor(definition, own);
  if ('fault' in zone) throw new TypeError(`${definition.id}: timeZone ${zone.fault}`);
  return new Schedule(definition.schedule, zone.zone);
}

/** Resolves after `ms`, or as soon as `signal` aborts. */
async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  try {
    await clock.sleep(ms, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function asRefusal(error: unknown): CentreondError {
  return isCentreondError(error) ? error : failure('ACTION_FAILED', { reason: reasonOf(error) });
}

function endingOf({ code, data }: HistoryRow): Ending {
  if (code === 2) return { outcome: 'finished' };
  const { error, message } = (data ?? {}) as { error?: unknown; message?: unknown };
  return { outcome: 'failed', error: String(error), message: String(message) };
}

function backoff(attempt: number): number {
  const longest = Math.min(FIRST_BACKOFF_MS * 2 ** (attempt - 1), LAST_BACKOFF_MS);
  return longest * (0.5 + Math.random() / 2);
}
