import type { Manifest } from '@centreond/plugin-sdk/internal';
import { reasonOf } from '@centreond/protocol';
import type { Log } from '../log.ts';
import type { Placement } from '../router/placement.ts';
import type { Membership } from '../store/membership.ts';
import { RouterStandIn, type StandInOptions } from './router-stand-in.ts';

const TRY_EVERY_MS = 1000;
/** PostgreSQL frees the locks of a session of which nothing comes after 11 s: by then what runs by them has ended. */
const UNHEARD_MS = 8000;
/** Who gave its turn to another tries again after so long. */
const PASSED_MS = 5000;

interface Contest {
  readonly type: string;
  readonly turn: (isMine: boolean) => Promise<void>;
  isMine: boolean;
  /** The session with the database that took its lock. */
  session: number;
  /** Monotonic milliseconds before which it does not try. */
  notBefore: number;
  isOver: boolean;
}

export interface PlacementsOptions extends Omit<StandInOptions, 'type' | 'runsOn'> {
  readonly membership: Pick<Membership, 'lock' | 'unlock' | 'session' | 'holderOf' | 'keep'>;
  readonly clock: { now(): number; monotonic(): number };
  readonly log: Log;
  /** Milliseconds since the last heartbeat that got through. */
  beatAge(): number;
  /** The other routers that are up and compete for a plugin, or that run it. */
  others(type: string): { readonly competing: readonly string[]; readonly running: string | undefined };
}

/**
 * Which of the plugins that run on one router of a cluster at a time run here: those whose lock in the database this router has. A lock
 * goes with the session that took it.
 */
export class Placements implements Placement {
  readonly #options: PlacementsOptions;
  readonly #contests = new Map<string, Contest>();
  readonly #standIns = new Set<RouterStandIn>();
  #timer: NodeJS.Timeout | undefined;
  #isBusy = false;

  constructor(options: PlacementsOptions) {
    this.#options = options;
  }

  /** The plugins for which this router competes, and those that run here. */
  get types(): { readonly competes: string[]; readonly runs: string[] } {
    const all = [...this.#contests.values()];
    return { competes: all.map(({ type }) => type), runs: all.flatMap(({ type, isMine }) => (isMine ? [type] : [])) };
  }

  /** Gives turns from here on. */
  start(): void {
    this.#timer = setInterval(() => void this.#round(), TRY_EVERY_MS);
    void this.#round();
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const standIn of this.#standIns) standIn.stop();
  }

  compete(type: string, turn: (isMine: boolean) => Promise<void>): () => void {
    const contest: Contest = { type, turn, isMine: false, session: 0, notBefore: 0, isOver: false };
    this.#contests.set(type, contest);
    return () => {
      contest.isOver = true;
      if (this.#contests.get(type) === contest) this.#contests.delete(type);
      if (contest.isMine) this.#letGo(type);
    };
  }

  pass(type: string): void {
    const contest = this.#contests.get(type);
    if (!contest?.isMine || this.#options.others(type).competing.length === 0) return;
    this.#end(contest);
    contest.notBefore = this.#options.clock.monotonic() + PASSED_MS;
    this.#letGo(type);
  }

  standIn({ type }: Manifest): RouterStandIn {
    for (const one of this.#standIns) if (one.isOver) this.#standIns.delete(one);
    const standIn = new RouterStandIn({ ...this.#options, type, runsOn: () => this.#options.others(type).running });
    this.#standIns.add(standIn);
    return standIn;
  }

  #end(contest: Contest): void {
    contest.isMine = false;
    void contest.turn(false);
  }

  #letGo(type: string): void {
    const { membership, log } = this.#options;
    membership.unlock(lockOf(type)).catch((error: unknown) => {
      // The session is over, and the lock with it.
      log.debug({ err: error, plugin: type }, `its turn was not given back: ${reasonOf(error)}`);
    });
  }

  async #round(): Promise<void> {
    this.#endLost();
    if (this.#isBusy || this.#isUnheard) return;
    this.#isBusy = true;
    try {
      for (const contest of [...this.#contests.values()]) await this.#try(contest);
    } catch (error) {
      this.#options.log.debug({ err: error }, `no turns were sought: ${reasonOf(error)}`);
    } finally {
      this.#isBusy = false;
    }
  }

  get #isUnheard(): boolean {
    return this.#options.beatAge() > UNHEARD_MS;
  }

  /** Ends the turns that another router may have now, or in a moment. It waits for nothing: the database may not answer. */
  #endLost(): void {
    const { membership, log } = this.#options;
    for (const contest of this.#contests.values()) {
      if (!contest.isMine) continue;
      const { type } = contest;
      if (contest.session !== membership.session) this.#end(contest);
      else if (this.#isUnheard) {
        log.warn({ plugin: type }, `the plugin ${type} ends here: the database has not answered for 8 s`);
        this.#end(contest);
        this.#letGo(type);
      }
    }
  }

  async #try(contest: Contest): Promise<void> {
    const { membership, clock } = this.#options;
    const { type } = contest;
    if (contest.isMine || contest.isOver || contest.notBefore > clock.monotonic()) return;
    const { session } = membership;
    if (!(await membership.lock(lockOf(type)))) return;
    // A lock counts how often it was taken: one that may be of an earlier session is given back.
    if (contest.isOver || membership.session !== session || this.#isUnheard) {
      this.#letGo(type);
      return;
    }
    Object.assign(contest, { isMine: true, session });
    void contest.turn(true);
  }
}

function lockOf(type: string): string {
  return `placement ${type}`;
}
