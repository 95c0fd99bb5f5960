import 'reflect-metadata';
import { isDeepStrictEqual } from 'node:util';
import {
  Action,
  type ActionContext,
  CLOCK,
  type Clock,
  CONFIG,
  type CodesOf,
  failure,
  INSTANCE,
  type Instance,
  inject,
  LOGGER,
  type Logger,
  Plugin,
  reasonOf,
  STATE,
  type State,
  TOKEN_STORE,
  type TokenStore,
  TRANSPORT,
  type Transport,
} from '@centreond/plugin-sdk';
import { scheduleFault, type ZoneOrFault } from '@centreond/plugin-sdk/schedule';
import { z } from 'zod';
import {
  Change,
  Config,
  changed,
  DEFINITIONS_LIMIT,
  Definition,
  Id,
  ShownDefinition,
  zoneFor,
  zoneOfConfig,
} from './definition.ts';
import { CODES, Job, type JobServices, TITLED_CODES } from './job.ts';
import { Journal } from './journal.ts';

const PREFIX = 'definition:';
/** The clock may be set and the machine may sleep: what is due is looked up at least as often. */
const WAKE_MS = 30_000;
/** After a reload the last one may still have been told something: what is kept is read again, ever more rarely. */
const FIRST_SYNC_MS = 1000;
const LAST_SYNC_MS = 64_000;

const Asked = z.strictObject({ id: Id.exactOptional() });
const Shown = z.strictObject({ definitions: z.array(ShownDefinition) });
const Named = z.strictObject({ id: Id });
const Deleted = z.strictObject({ id: z.string(), deleted: z.boolean().describe('false: there was none') });

@Plugin({
  type: 'cron',
  title: 'Fires actions on a schedule',
  config: Config,
  codes: TITLED_CODES,
  placement: 'one',
})
export default class CronPlugin {
  readonly #jobs = new Map<string, Job>();
  readonly #services: JobServices;
  /** Of definitions that name none. */
  readonly #zone: ZoneOrFault;
  #changing: Promise<unknown> = Promise.resolve();
  #timer: Disposable | undefined;
  #sync: Disposable | undefined;
  #stopped = false;

  constructor(
    @inject(CONFIG, Config) private readonly config: Config,
    @inject(STATE) private readonly state: State,
    @inject(TRANSPORT) transport: Transport,
    @inject(TOKEN_STORE) tokens: TokenStore<CodesOf<typeof CODES>>,
    @inject(LOGGER) private readonly log: Logger,
    @inject(INSTANCE) { type }: Instance,
    @inject(CLOCK) private readonly clock: Clock,
  ) {
    this.#zone = zoneOfConfig(config);
    this.#services = { type, state, tokens, transport, log, clock };
  }

  /** Takes up what the last one left: its definitions, the runs under way, and those that were missed. */
  async start(): Promise<void> {
    for (const definition of this.config.definitions) await this.#add(definition, 'config');
    await this.#exclusively(() => this.#read());
    for (const id of await Journal.ids(this.state)) {
      if (!this.#jobs.has(id)) await Journal.forget(id, this.state);
    }
    this.#arm();
    this.#syncLater(FIRST_SYNC_MS);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.[Symbol.dispose]();
    this.#sync?.[Symbol.dispose]();
    for (const job of this.#jobs.values()) job.stop();
  }

  @Action('GETCRON', {
    title: 'Show what is fired when, and what became of the last run',
    input: Asked,
    output: Shown,
    access: 'admin',
    effects: 'read',
    idempotent: true,
    inFlight: 'requeue',
  })
  async get({ id }: z.output<typeof Asked>): Promise<z.input<typeof Shown>> {
    if (id !== undefined) return { definitions: [this.#job('GETCRON', id).describe()] };
    const ids = [...this.#jobs.keys()].sort();
    return { definitions: ids.flatMap((each) => this.#jobs.get(each)?.describe() ?? []) };
  }

  @Action('ADDCRON', {
    title: 'Add a definition',
    description: 'Adding what is already there, with the same content, changes nothing.',
    input: Definition,
    output: ShownDefinition,
    access: 'admin',
    effects: 'write',
    idempotent: true,
    inFlight: 'requeue',
  })
  add(definition: Definition): Promise<ShownDefinition> {
    return this.#exclusively(async () => {
      const { id } = definition;
      this.#check('ADDCRON', definition);
      const there = this.#jobs.get(id);
      if (there && !isDeepStrictEqual(there.definition, definition)) {
        throw failure('INVALID_DATA', {
          action: 'ADDCRON',
          reason: `there is a definition ${id}; UPDATECRON changes it`,
        });
      }
      if (there) return there.describe();
      if (this.#jobs.size >= DEFINITIONS_LIMIT) {
        throw failure('BUSY', { what: 'the list of cron definitions', limit: DEFINITIONS_LIMIT });
      }
      await this.state.set(PREFIX + id, { ...definition });
      const job = await this.#add(definition, 'state');
      this.#arm();
      return job.describe();
    });
  }

  @Action('UPDATECRON', {
    title: 'Change a definition',
    description:
      'What is left out stays; timeZone and target are taken away with null. A new schedule counts from now.',
    input: Change,
    output: ShownDefinition,
    access: 'admin',
    effects: 'write',
    idempotent: true,
    inFlight: 'requeue',
  })
  update(change: Change, context: ActionContext): Promise<ShownDefinition> {
    return this.#exclusively(async () => {
      const job = this.#job('UPDATECRON', change.id);
      this.#refuseConfig(job, 'change', context);
      const definition = changed(job.definition, change);
      this.#check('UPDATECRON', definition);
      await this.state.set(PREFIX + change.id, { ...definition });
      job.update(definition);
      this.#arm();
      return job.describe();
    });
  }

  @Action('DELETECRON', {
    title: 'Delete a definition',
    description: 'A run that has been sent goes on; its token has its end.',
    input: Named,
    output: Deleted,
    access: 'admin',
    effects: 'destructive',
    idempotent: true,
    inFlight: 'requeue',
  })
  delete({ id }: z.output<typeof Named>, context: ActionContext): Promise<z.input<typeof Deleted>> {
    return this.#exclusively(async () => {
      const job = this.#jobs.get(id);
      if (job) this.#refuseConfig(job, 'delete', context);
      await this.state.delete(PREFIX + id);
      this.#jobs.delete(id);
      await job?.remove();
      return { id, deleted: job !== undefined };
    });
  }

  async #add(definition: Definition, source: Job['source']): Promise<Job> {
    const journal = await Journal.open(definition.id, this.#services);
    const job = new Job(definition, source, this.#zone, journal, this.#services);
    this.#jobs.set(definition.id, job);
    job.resume();
    return job;
  }

  /** Brings the jobs in line with the definitions of the state. */
  async #read(): Promise<void> {
    const found = new Set<string>();
    for (const { key, value } of await this.state.list(PREFIX)) {
      const read = Definition.safeParse(value);
      const fault = read.success ? this.#fault(read.data) : read.error.message;
      if (!read.success || fault !== undefined) {
        this.log.error({ key, value, reason: fault }, `${key} is kept and cannot be used: ${fault}`);
        continue;
      }
      const definition = read.data;
      found.add(definition.id);
      const job = this.#jobs.get(definition.id);
      if (!job) await this.#add(definition, 'state');
      else if (job.source === 'state' && !isDeepStrictEqual(job.definition, definition)) job.update(definition);
      else if (job.source === 'config' && !this.#sync) {
        const message = `the config has a definition ${definition.id}, so the one that ADDCRON made is not used`;
        this.log.warn({ id: definition.id }, message);
      }
    }
    for (const [id, job] of this.#jobs) {
      if (job.source !== 'state' || found.has(id)) continue;
      this.#jobs.delete(id);
      await job.remove();
    }
  }

  #syncLater(ms: number): void {
    this.#sync = this.clock.after(ms, () => {
      this.#exclusively(() => this.#read())
        .catch((error: unknown) => this.log.error({ err: error }, `the definitions cannot be read: ${reasonOf(error)}`))
        .then(() => {
          if (this.#stopped) return;
          this.#arm();
          if (ms < LAST_SYNC_MS) this.#syncLater(ms * 2);
        });
    });
  }

  /** Sleeps until something is due. */
  #arm(): void {
    this.#timer?.[Symbol.dispose]();
    if (this.#stopped) return;
    const now = this.clock.now();
    let next = now + WAKE_MS;
    for (const job of this.#jobs.values()) next = Math.min(next, job.next ?? next);
    this.#timer = this.clock.after(Math.max(0, next - now), () => {
      for (const job of this.#jobs.values()) job.tick();
      this.#arm();
    });
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#changing.then(work);
    this.#changing = result.catch(() => undefined);
    return result;
  }

  #job(action: string, id: string): Job {
    const job = this.#jobs.get(id);
    if (job) return job;
    const known = [...this.#jobs.keys()].sort().slice(0, 20).join(', ') || 'none';
    throw failure('INVALID_DATA', { action, reason: `there is no definition ${id}; there is: ${known}` });
  }

  #refuseConfig({ source, definition: { id } }: Job, what: string, { identity }: ActionContext): void {
    if (source !== 'config') return;
    const remedy = `It stands in the config of the plugin cron, under definitions: ${what} it there, then reload the plugin.`;
    throw failure('FORBIDDEN', { identity, what: `${what} the definition ${id}`, remedy });
  }

  #check(action: string, definition: Definition): void {
    const fault = this.#fault(definition);
    if (fault !== undefined) throw failure('INVALID_DATA', { action, reason: fault });
  }

  /** What is wrong with when a definition is due, and with which key of it. */
  #fault(definition: Definition): string | undefined {
    const zone = zoneFor(definition, this.#zone);
    if ('fault' in zone) return `timeZone: ${zone.fault}`;
    const fault = scheduleFault(definition.schedule, zone.zone, this.clock.now());
    return fault === undefined ? undefined : `schedule: ${fault}`;
  }
}
