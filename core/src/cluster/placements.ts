import type { Manifest } from '@centreond/plugin-sdk/internal';
import { reasonOf } from '@centreond/protocol';
import type { Log } from '../log.ts';
import type { Placement } from '../router/placement.ts';
import type { Membership } from '../store/membership.ts';
import { RouterStandIn, type StandInOptions } from './router-stand-in.ts';

const TRY_EVERY_MS = 1000;
/** Who gave its turn to another tries again after so long. */
const PASSED_MS = 5000;

interface Contest {
  readonly type: string;
  readonly turn: (isMine: boolean) => Promise<void>;
  isMine: boolean;
  /** Monotonic milliseconds before which it does not try. */
  notBefore: number;
  isOver: boolean;
}

export interface PlacementsOptions extends Omit<StandInOptions, 'type' | 'runsOn'> {
  readonly membership: Pick<Membership, 'lock' | 'unlock' | 'session' | 'holderOf'>;
  readonly clock: { now(): number; monotonic(): number };
  readonly log: Log;
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
  #session: number;
  #timer: NodeJS.Timeout | undefined;
  #isBusy = false;

  constructor(options: PlacementsOptions) {
    this.#options = options;
    this.#session = options.membership.session;
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
    const contest: Contest = { type, turn, isMine: false, notBefore: 0, isOver: false };
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
    if (this.#isBusy) return;
    this.#isBusy = true;
    const { membership, clock, log } = this.#options;
    try {
      if (membership.session !== this.#session) {
        // Another router may have each of them now.
        this.#session = membership.session;
        for (const contest of this.#contests.values()) if (contest.isMine) this.#end(contest);
      }
      for (const contest of [...this.#contests.values()]) {
        if (contest.isMine || contest.isOver || contest.notBefore > clock.monotonic()) continue;
        if (!(await membership.lock(lockOf(contest.type)))) continue;
        if (contest.isOver) this.#letGo(contest.type);
        else {
          contest.isMine = true;
          void contest.turn(true);
        }
      }
    } catch (error) {
      log.debug({ err: error }, `no turns were sought: ${reasonOf(error)}`);
    } finally {
      this.#isBusy = false;
    }
  }
}

function lockOf(type: string): string {
  return `placement ${type}`;
}
