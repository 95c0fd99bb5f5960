import { type Logger, reasonOf, type State } from '@centreond/plugin-sdk';
import { z } from 'zod';
import { Counts, type ShownRun } from './definition.ts';

const PREFIX = 'run:';

const OpenRun = z.object({
  at: z.number(),
  token: z.string(),
  /** `sending`: whether the router has it is not known. `running`: it has. */
  state: z.enum(['sending', 'running']),
});
export type OpenRun = z.output<typeof OpenRun>;

const EndedRun = z.object({
  at: z.number(),
  token: z.string(),
  outcome: z.enum(['finished', 'failed', 'refused', 'unknown']),
  endedAt: z.number(),
  error: z.string().exactOptional(),
  message: z.string().exactOptional(),
});
export type EndedRun = z.output<typeof EndedRun>;
export type Ending = Omit<EndedRun, 'at' | 'token' | 'endedAt'>;

const Kept = z.object({
  /** The schedule that `through` was counted with. */
  plan: z.string(),
  /** Whatever was due up to here is dealt with. */
  through: z.number(),
  open: z.array(OpenRun),
  last: EndedRun.exactOptional(),
  counts: Counts,
});
type Kept = z.output<typeof Kept>;

/** What is known of a definition's runs: kept in the state, so that a stop neither loses nor repeats one. */
export class Journal {
  readonly #kept: Kept;
  #writing: Promise<void> = Promise.resolve();
  #behind = false;
  #removed = false;

  private constructor(
    readonly id: string,
    private readonly services: { readonly state: State; readonly log: Logger },
    kept: Kept | undefined,
  ) {
    const counts = { fired: 0, finished: 0, failed: 0, refused: 0, unknown: 0, skipped: 0, missed: 0 };
    this.#kept = kept ?? { plan: '', through: 0, open: [], counts };
  }

  /** The journal of `id`, a new one where there is none that can be read. Rejects where the state cannot be read. */
  static async open(id: string, services: { readonly state: State; readonly log: Logger }): Promise<Journal> {
    const value = await services.state.get(PREFIX + id);
    const read = value === undefined ? undefined : Kept.safeParse(value);
    if (read?.success === false) {
      services.log.error(
        { id, reason: read.error.message },
        `what was kept of the runs of ${id} cannot be read; it begins again, empty`,
      );
    }
    return new Journal(id, services, read?.data);
  }

  /** The ids that journals are kept for. */
  static async ids(state: State): Promise<string[]> {
    return (await state.list(PREFIX)).map(({ key }) => key.slice(PREFIX.length));
  }

  /** Forgets the runs of `id`. */
  static forget(id: string, state: State): Promise<void> {
    return state.delete(PREFIX + id);
  }

  get through(): number {
    return this.#kept.through;
  }
  get counts(): Counts {
    return this.#kept.counts;
  }
  get open(): readonly OpenRun[] {
    return this.#kept.open;
  }

  /** Begins to count from `now` where the schedule is not the one that was counted with. */
  follow(plan: string, now: number): boolean {
    if (plan === this.#kept.plan) return false;
    this.#kept.plan = plan;
    this.#kept.through = now;
    return true;
  }

  /** Whatever was due up to `at` is dealt with. */
  passed(at: number): void {
    this.#kept.through = Math.max(this.#kept.through, at);
  }

  /** The clock went back to `now`: what is due from there on is fired again, and its token keeps it from running twice. */
  rewind(now: number): void {
    this.#kept.through = now;
  }

  begin(at: number, token: string): OpenRun {
    const run: OpenRun = { at, token, state: 'sending' };
    this.#kept.open.push(run);
    this.#kept.counts.fired++;
    this.passed(at);
    return run;
  }

  end(run: OpenRun, ending: Ending, endedAt: number): void {
    const { open, counts, last } = this.#kept;
    const index = open.indexOf(run);
    if (index < 0) return;
    open.splice(index, 1);
    counts[ending.outcome]++;
    if (!last || last.at <= run.at) this.#kept.last = { at: run.at, token: run.token, endedAt, ...ending };
  }

  /** The run that was due last. */
  lastRun(): ShownRun | null {
    const { last } = this.#kept;
    const open = this.#kept.open.reduce<OpenRun | undefined>((a, b) => (a && a.at > b.at ? a : b), undefined);
    const time = (at: number) => new Date(at).toISOString();
    if (open && (!last || open.at >= last.at)) {
      return { at: time(open.at), token: open.token, outcome: open.state, endedAt: null, error: null, message: null };
    }
    if (!last) return null;
    const { at, token, outcome, endedAt, error = null, message = null } = last;
    return { at: time(at), token, outcome, endedAt: time(endedAt), error, message };
  }

  /**
   * Resolves when what is known now is on disk, or could not be put there: that is logged, and costs no more than that a run
   * is sent again under its token, which the router takes for a repeat.
   */
  save(): Promise<void> {
    if (this.#behind || this.#removed) return this.#writing;
    this.#behind = true;
    this.#writing = this.#writing.then(async () => {
      this.#behind = false;
      if (this.#removed) return;
      try {
        await this.services.state.set(PREFIX + this.id, structuredClone(this.#kept));
      } catch (error) {
        this.services.log.error({ err: error, id: this.id }, `the runs of ${this.id} are not kept: ${reasonOf(error)}`);
      }
    });
    return this.#writing;
  }

  /** Forgets it all; nothing is kept from now on. */
  async remove(): Promise<void> {
    this.#removed = true;
    await this.#writing;
    await Journal.forget(this.id, this.services.state);
  }
}
