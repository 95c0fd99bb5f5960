import type { Manifest } from '@centreond/plugin-sdk/internal';
import { reasonOf } from '@centreond/protocol';
import type { Log } from '../log.ts';
import type { Placement } from '../router/placement.ts';
import type { OpenRequest } from '../router/request.ts';
import { LOCKS_FREE_AFTER_SECONDS, type Membership, type RouterRecord } from '../store/membership.ts';
import { readLoad } from './load.ts';
import { RouterStandIn, type StandInOptions } from './router-stand-in.ts';

const TRY_EVERY_MS = 500;
/**
 * A turn ends here when the database has not been heard of for so long. What runs by it has ended 5.5 s later: half a second until that
 * is seen, 1 s to finish and 4 s to stop. That is before its locks are free ({@link LOCKS_FREE_AFTER_SECONDS}).
 */
const UNHEARD_MS = 5000;
/** What has lost its turn has ended so long after its router knows. */
const ENDED_WITHIN_MS = 5500;
/** Who gave its turn to another tries again after so long. */
const PASSED_MS = 5000;

interface Contest {
  readonly type: string;
  readonly turn: (isMine: boolean) => Promise<void>;
  /** When this router took its lock, in monotonic milliseconds; undefined while it has not. */
  lockedAt: number | undefined;
  /** It is to run here. */
  isMine: boolean;
  /** How many of its ends here are not over. */
  ending: number;
  /** The session with the database that took its lock. */
  session: number;
  /** Monotonic milliseconds before which it does not try. */
  notBefore: number;
  isOver: boolean;
}

export interface PlacementsOptions extends Omit<StandInOptions, 'type' | 'runsOn' | 'membership'> {
  readonly membership: Pick<Membership, 'lock' | 'unlock' | 'session' | 'holderOf'>;
  readonly clock: { now(): number; monotonic(): number };
  readonly log: Log;
  /** Milliseconds since the last heartbeat that got through. */
  beatAge(): number;
  /** Beats at once. Resolves when the others can know what this router says, and it knows what they say; rejects where the database is away. */
  beat(): Promise<void>;
  /** The routers of the cluster, as the last heartbeat described them. */
  routers(): readonly RouterRecord[];
  /** The other routers that are up and compete for a plugin, or that run it. */
  others(type: string): { readonly competing: readonly string[]; readonly running: string | undefined };
}

/**
 * Which of the plugins that run on one router of a cluster at a time run here: those whose lock in the database this router has. A lock
 * goes with the session that took it, and what ran by it needs a while to end: who takes the lock waits for that.
 */
export class Placements implements Placement {
  readonly #options: PlacementsOptions;
  readonly #contests = new Map<string, Contest>();
  readonly #standIns = new Set<RouterStandIn>();
  #timer: NodeJS.Timeout | undefined;
  #isBusy = false;
  /** The session with the database, and since when it is known here, in monotonic milliseconds. */
  #session = { number: -1, since: 0 };

  constructor(options: PlacementsOptions) {
    this.#options = options;
  }

  /** The plugins for which this router competes, those that run here, and those that may: their turn is here, or they are ending. */
  get types(): { readonly competes: string[]; readonly runs: string[]; readonly turns: string[] } {
    const all = [...this.#contests.values()];
    const typesOf = (which: (contest: Contest) => boolean) => all.filter(which).map(({ type }) => type);
    return {
      competes: typesOf(() => true),
      runs: typesOf(({ isMine }) => isMine),
      turns: typesOf(({ lockedAt, ending }) => lockedAt !== undefined || ending > 0),
    };
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
    const contest: Contest = {
      ...{ type, turn, lockedAt: undefined, isMine: false, ending: 0, session: 0, notBefore: 0, isOver: false },
    };
    this.#contests.set(type, contest);
    return () => {
      contest.isOver = true;
      if (this.#contests.get(type) === contest) this.#contests.delete(type);
      if (contest.lockedAt === undefined) return;
      this.#letGo(type);
      this.#tell();
    };
  }

  pass(type: string): void {
    const contest = this.#contests.get(type);
    if (!contest?.isMine || this.#options.others(type).competing.length === 0) return;
    this.#end(contest);
    contest.notBefore = this.#options.clock.monotonic() + PASSED_MS;
    this.#letGo(type);
  }

  /** Whether another router took a request of a plugin that stands by here, as far as is known. */
  isTheirs(open: OpenRequest): boolean {
    return [...this.#standIns].some((standIn) => standIn.isTheirs(open));
  }

  standIn({ type }: Manifest): RouterStandIn {
    for (const one of this.#standIns) if (one.isOver) this.#standIns.delete(one);
    const standIn = new RouterStandIn({ ...this.#options, type, runsOn: () => this.#options.others(type).running });
    this.#standIns.add(standIn);
    return standIn;
  }

  #end(contest: Contest): void {
    const wasMine = contest.isMine;
    Object.assign(contest, { isMine: false, lockedAt: undefined });
    if (!wasMine) return;
    contest.ending++;
    void contest.turn(false).then(() => {
      contest.ending--;
      this.#tell();
    });
  }

  /** Has the others know what this router says now; where that does not get through, a later heartbeat does. */
  #tell(): void {
    this.#options.beat().catch(() => undefined);
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
      await this.#beginDue();
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
    const { membership, clock, log } = this.#options;
    if (this.#session.number !== membership.session)
      this.#session = { number: membership.session, since: clock.monotonic() };
    for (const contest of this.#contests.values()) {
      if (contest.lockedAt === undefined) continue;
      const { type } = contest;
      if (contest.session !== membership.session) this.#end(contest);
      else if (this.#isUnheard) {
        log.warn(
          { plugin: type },
          `the plugin ${type} ends here: the database has not answered for ${UNHEARD_MS / 1000} s`,
        );
        this.#end(contest);
        this.#letGo(type);
      }
    }
  }

  async #try(contest: Contest): Promise<void> {
    const { membership, clock } = this.#options;
    const { type } = contest;
    if (contest.lockedAt !== undefined || contest.isOver || contest.notBefore > clock.monotonic()) return;
    const { session } = membership;
    if (!(await membership.lock(lockOf(type)))) return;
    // A lock counts how often it was taken: one that may be of an earlier session is given back.
    if (contest.isOver || membership.session !== session || this.#isUnheard) {
      this.#letGo(type);
      return;
    }
    Object.assign(contest, { lockedAt: clock.monotonic(), session });
  }

  /** Gives the turns of which the others know, and which have ended where they were before. */
  async #beginDue(): Promise<void> {
    const { beat, membership } = this.#options;
    const due = [...this.#contests.values()].filter(({ lockedAt, isMine }) => lockedAt !== undefined && !isMine);
    if (due.length === 0) return;
    await beat();
    for (const contest of due) {
      const { type, lockedAt, session, isOver } = contest;
      if (lockedAt === undefined || isOver || membership.session !== session || this.#isUnheard) continue;
      if (this.#mayRunElsewhere(type, lockedAt)) continue;
      contest.isMine = true;
      void contest.turn(true);
      this.#tell();
    }
  }

  /**
   * Whether a plugin may run at another router still, although its lock was free. One that has beaten since this session began has lost
   * its own, knows that, and has ended the plugin in time. Of any other, its silence tells: it may not know what the server forgot.
   */
  #mayRunElsewhere(type: string, lockedAt: number): boolean {
    const { id: self, routers, clock } = this.#options;
    const now = clock.monotonic();
    return routers().some(({ id, state, silentSeconds, load }) => {
      if (id === self || state === 'stopped' || silentSeconds >= LOCKS_FREE_AFTER_SECONDS) return false;
      const hasEnded = now - lockedAt >= ENDED_WITHIN_MS && (silentSeconds + 1) * 1000 < now - this.#session.since;
      return !hasEnded && readLoad(load).turns.includes(type);
    });
  }
}

function lockOf(type: string): string {
  return `placement ${type}`;
}
