import { reasonOf } from '@centreond/protocol';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { type Heartbeat as Beat, DEAD_AFTER_SECONDS, Fenced, type Membership } from '../store/membership.ts';

const EVERY_MS = 2000;
/** Who was not heard for so long does not know whom the others have heard. */
const GAP_MS = 2.5 * EVERY_MS;
/** A clock that differs by more is told of: deadlines and ages are wrong by as much. */
const SKEW_SECONDS = 5;

export interface HeartbeatOptions {
  readonly membership: Membership;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly log: Log;
  /** Another process has the place of this router: it is to end. */
  fenced(error: Error): void;
}

/** What a router says with its heartbeats, and what it does with what they bring. */
export interface Speaking {
  /** Where this router is reached; '' without an external door. */
  readonly endpoint: string;
  /** What the others are told of this router. */
  load(): object;
  /** Takes what a heartbeat brought; `isSteady`: this router has been heard without a gap for as long as makes another one silent. */
  heard(beat: Beat, isSteady: boolean): Promise<void>;
}

const SILENT: Speaking = { endpoint: '', load: () => ({}), heard: async () => {} };

/** The heartbeat of this router: every two seconds, as long as the database is there. */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;
  #under: Promise<void> = Promise.resolve();
  #lastAt = Number.NEGATIVE_INFINITY;
  #steadySince = Number.NEGATIVE_INFINITY;
  #isSkewed = false;
  #isTaking = false;
  #speaking = SILENT;
  /** What the last one brought. */
  last: Beat = { routers: [], trust: 0, clockSkewSeconds: 0 };

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  /** Says more from now on, and beats at once. Rejects if that does not get through. */
  async speak(speaking: Speaking): Promise<void> {
    this.#speaking = speaking;
    await this.beat();
  }

  /** Beats now and from now on. Rejects if the first one does not get through. */
  async start(): Promise<void> {
    await this.#once();
    this.#next();
  }

  /** How long ago the last one that got through was sent, in milliseconds. */
  get age(): number {
    return this.#options.clock.monotonic() - this.#lastAt;
  }

  /** Beats once more at once: what this router says has changed, or what is said of others. Resolves when that has ended; never rejects. */
  async hurry(): Promise<void> {
    await this.beat().catch(() => undefined);
  }

  /**
   * Beats once more at once. Resolves when that got through: `last` is then what was so after the call. Rejects if it did not, or if this
   * router stops.
   */
  beat(): Promise<void> {
    // One at a time: what an earlier one brings never comes after what a later one brought.
    const done = this.#under.then(() => {
      clearTimeout(this.#timer);
      if (this.#isStopped) throw new Error('this router stops');
      return this.#once();
    });
    this.#under = done.catch((error: unknown) => this.#failed(error)).finally(() => this.#next());
    return done;
  }

  /** Resolves when none is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#under;
  }

  #next(): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => void this.hurry(), EVERY_MS);
  }

  #failed(error: unknown): void {
    const { log, fenced } = this.#options;
    if (this.#isStopped) return;
    if (error instanceof Fenced) {
      this.#isStopped = true;
      fenced(error);
    } else log.debug({ err: error }, `a heartbeat did not get through: ${reasonOf(error)}`);
  }

  async #once(): Promise<void> {
    const { membership, clock } = this.#options;
    const { endpoint, load, heard } = this.#speaking;
    const now = clock.monotonic();
    this.last = await membership.beat(endpoint, load());
    if (now - this.#lastAt > GAP_MS) this.#steadySince = now;
    this.#lastAt = now;
    this.#compareClocks(this.last.clockSkewSeconds);
    this.#take(heard, this.last, now - this.#steadySince >= DEAD_AFTER_SECONDS * 1000);
  }

  /** What is done with it is no part of the beat: the next one does not wait for that. */
  #take(heard: Speaking['heard'], beat: Beat, isSteady: boolean): void {
    if (this.#isTaking) return;
    this.#isTaking = true;
    heard(beat, isSteady)
      .catch((error: unknown) => {
        this.#options.log.debug({ err: error }, `what a heartbeat brought was not taken: ${reasonOf(error)}`);
      })
      .finally(() => {
        this.#isTaking = false;
      });
  }

  #compareClocks(seconds: number): void {
    const isSkewed = Math.abs(seconds) > SKEW_SECONDS;
    if (isSkewed && !this.#isSkewed) {
      const which = seconds > 0 ? 'behind' : 'ahead of';
      this.#options.log.warn(
        `the clock of this machine is ${Math.abs(seconds)} s ${which} that of the database: deadlines and times of rows are wrong by as much; synchronise it (chrony, systemd-timesyncd)`,
      );
    }
    this.#isSkewed = isSkewed;
  }
}
