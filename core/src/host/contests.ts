import { reasonOf } from '@centreond/protocol';
import type { Discovered } from '../config/discovery.ts';
import type { Placement } from '../router/placement.ts';
import type { Hosted, HostedOptions } from './hosted.ts';
import { Standby } from './standby.ts';

/** How long what a plugin accepted may go on when its turn here is over. Then it has 4 s to stop. */
const TURN_DRAIN_MS = 1000;
/** How long a plugin that failed here for good keeps its turn: longer each time, since it may fail on every router. */
const FIRST_PASS_MS = 1000;
const LAST_PASS_MS = 60_000;
/** A failure that long after the last one begins again with the first. */
const PASS_FORGOTTEN_MS = 600_000;

export interface ContestsOptions extends Pick<HostedOptions, 'registry' | 'log' | 'clock' | 'again'> {
  readonly placement: Placement;
  readonly hosted: Hosted;
  /** Makes one change at a time. */
  alone<T>(work: () => Promise<T>): Promise<T>;
}

/** One plugin that runs on one router at a time. */
interface Contest {
  found: Discovered;
  isMine: boolean;
  /** Whether it is registered here: it runs or stands by. */
  isEntered: boolean;
  standby: Standby | undefined;
  /** What stood by before the plugin ran here: another router may still have requests of it. */
  before: Standby | undefined;
  /** When it has ended here. */
  ending: Promise<void>;
  /** When what the last turn asks for is done. */
  settled: Promise<void>;
  withdraw(): void;
  passes: number;
  lastPass: number;
  timer: NodeJS.Timeout | undefined;
}

/** The plugins that run on one router of a cluster at a time: those whose turn is here run, the others stand by. */
export class Contests {
  readonly #contests = new Map<string, Contest>();
  #hasBegun = false;
  #isOver = false;

  constructor(private readonly options: ContestsOptions) {}

  has(type: string): boolean {
    return this.#contests.has(type);
  }
  /** What stands by here. */
  get standing(): Discovered[] {
    return [...this.#contests.values()].flatMap(({ found, standby }) => (standby ? [found] : []));
  }
  standby(type: string): Standby | undefined {
    return this.#contests.get(type)?.standby;
  }

  /**
   * Competes for a plugin. True if it is this router's turn already: the caller registers and starts it, unless it runs. Else it is
   * registered as standing by, and ended here if it runs. Throws if a schema does not compile; then it does not compete.
   */
  enter(found: Discovered): boolean {
    const { type } = found.manifest;
    const done = Promise.resolve();
    const contest: Contest = {
      ...{ found, isMine: false, isEntered: false, standby: undefined, before: undefined, ending: done, settled: done },
      ...{ withdraw: () => {}, passes: 0, lastPass: 0, timer: undefined },
    };
    this.#contests.set(type, contest);
    contest.withdraw = this.options.placement.compete(type, (isMine) => this.#turn(contest, isMine));
    contest.isEntered = true;
    if (contest.isMine) return true;
    try {
      this.#standBy(contest);
    } catch (error) {
      void this.leaving(type)();
      throw error;
    }
    contest.ending = this.options.hosted.end(type, TURN_DRAIN_MS);
    return false;
  }

  /** What the package of a plugin holds now, for its next start here and for its stand-in. */
  renew(found: Discovered): void {
    const contest = this.#contests.get(found.manifest.type);
    if (!contest) return;
    contest.found = found;
    if (contest.standby) this.#standBy(contest);
  }

  /** A plugin competes no more. Call what this returns when it has ended here: then another router may run it. */
  leaving(type: string): () => Promise<void> {
    const contest = this.#contests.get(type);
    this.#contests.delete(type);
    clearTimeout(contest?.timer);
    return async () => {
      await contest?.ending;
      contest?.withdraw();
    };
  }

  /** From now on a plugin starts as soon as its turn comes. */
  begin(): void {
    this.#hasBegun = true;
  }

  /** No plugin starts or stands by any more. */
  over(): void {
    this.#isOver = true;
    for (const { timer } of this.#contests.values()) clearTimeout(timer);
  }

  /** Competes for nothing. Call it when everything has ended here. */
  withdraw(): void {
    for (const { withdraw } of this.#contests.values()) withdraw();
    this.#contests.clear();
  }

  /** A plugin has failed here for good: another router may be given its turn, later each time. */
  failed(type: string): void {
    const contest = this.#contests.get(type);
    if (!contest?.isMine || this.#isOver) return;
    const now = this.options.clock.now();
    contest.passes = now - contest.lastPass < PASS_FORGOTTEN_MS ? contest.passes + 1 : 0;
    contest.lastPass = now;
    clearTimeout(contest.timer);
    const pass = () => {
      if (this.options.hosted.get(type)?.host.serves === false) this.options.placement.pass(type);
    };
    contest.timer = setTimeout(pass, Math.min(FIRST_PASS_MS * 2 ** contest.passes, LAST_PASS_MS)).unref();
  }

  #turn(contest: Contest, isMine: boolean): Promise<void> {
    if (contest.isMine !== isMine) {
      contest.isMine = isMine;
      if (contest.isEntered) contest.settled = isMine ? this.#begin(contest) : this.#end(contest);
    }
    return contest.settled;
  }

  /** Whether the plugin is to start here. */
  #isDue(contest: Contest): boolean {
    const { type } = contest.found.manifest;
    const isOn = !this.#isOver && this.#contests.get(type) === contest;
    return isOn && contest.isMine && !this.options.hosted.get(type);
  }

  async #begin(contest: Contest): Promise<void> {
    const { hosted, log, alone } = this.options;
    const { type } = contest.found.manifest;
    try {
      if (!this.#hasBegun) {
        if (this.#isDue(contest)) this.#giveWay(contest, () => hosted.add(contest.found));
      } else await alone(() => this.#start(contest));
    } catch (error) {
      log.error({ err: error, plugin: type }, `the plugin ${type} cannot run here: ${reasonOf(error)}`);
      this.options.placement.pass(type);
    }
  }

  async #start(contest: Contest): Promise<void> {
    await contest.ending;
    if (!this.#isDue(contest)) return;
    const { hosted, log } = this.options;
    const { type } = contest.found.manifest;
    log.info({ plugin: type }, `it is this router's turn to run the plugin ${type}`);
    contest.found = this.#again(contest.found);
    await this.#giveWay(contest, () => hosted.start(contest.found));
  }

  /** What the package holds now: it may have changed since it was found. */
  #again(found: Discovered): Discovered {
    const { type } = found.manifest;
    try {
      const again = this.options.again(found);
      if (again.manifest.type === type) return again;
    } catch (error) {
      const what = `the plugin ${type} starts as it was found before, since it cannot be read again: ${reasonOf(error)}`;
      this.options.log.warn({ err: error, plugin: type }, what);
    }
    return found;
  }

  /** `started` registers the plugin in place of its stand-in, whose requests it is given then. */
  #giveWay<T>(contest: Contest, started: () => T): T {
    const result = started();
    const running = this.options.hosted.get(contest.found.manifest.type);
    if (running) {
      contest.standby?.giveWay(running.host);
      contest.before = contest.standby;
      contest.standby = undefined;
    }
    return result;
  }

  async #end(contest: Contest): Promise<void> {
    clearTimeout(contest.timer);
    if (this.#isOver) return;
    const { hosted, log } = this.options;
    const { type } = contest.found.manifest;
    // At once, whatever change is under way: another router may start it in a moment.
    try {
      if (hosted.get(type)) {
        // A reload has just made it one that every router runs.
        if (this.#contests.get(type) !== contest) return;
        log.info({ plugin: type }, `it is another router's turn to run the plugin ${type}`);
        this.#standBy(contest);
      }
      contest.ending = hosted.end(type, TURN_DRAIN_MS);
      await contest.ending;
    } catch (error) {
      log.error({ err: error, plugin: type }, `the plugin ${type} does not end as it should: ${reasonOf(error)}`);
    }
  }

  #standBy(contest: Contest): void {
    const { registry, placement } = this.options;
    const { manifest } = contest.found;
    const standby = new Standby(contest.found, placement.standIn(manifest));
    registry.replace(manifest, standby);
    (contest.standby ?? contest.before)?.giveWay(standby);
    contest.standby = standby;
  }
}
