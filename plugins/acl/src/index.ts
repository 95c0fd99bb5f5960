import 'reflect-metadata';
import {
  Action,
  type ActionContext,
  CLOCK,
  type Clock,
  CONFIG,
  failure,
  inject,
  Kill,
  LOGGER,
  type Logger,
  Plugin,
  reasonOf,
  TRANSPORT,
  type Transport,
} from '@centreond/plugin-sdk';
import { z } from 'zod';
import { GrantFault, GrantThread } from './grant-thread.ts';
import type { Counts, Task } from './task.ts';

const LONGEST_SECONDS = 43_200;
/** Longer than the longest time between two periodic resyncs, so an instance that makes them does not go. */
const IDLE_SECONDS = 2 * LONGEST_SECONDS + 3600;
/** When the router did not take a periodic resync. */
const AGAIN_MS = 60_000;

const Resync = z.strictObject({
  everySeconds: z.int().min(10).max(LONGEST_SECONDS).default(28_800).describe('at the earliest so long after the last'),
  windowSeconds: z
    .int()
    .min(0)
    .max(LONGEST_SECONDS)
    .default(7200)
    .describe('and at a random moment in so long after that'),
});

const Config = z.strictObject({
  database: z
    .string()
    .min(1)
    .meta({ format: 'file-writable' })
    .describe('the SQLite database; relative to the config file'),
  busySeconds: z.int().min(1).max(300).default(30).describe('how long to wait for others that write to it'),
  resync: z
    .union([z.literal(false), Resync])
    .prefault({})
    .describe('when an organisation is resynced unasked; false: never'),
});
export type Config = z.output<typeof Config>;

const OrganizationId = z.int().min(0);
const Count = z.int();

const ResyncInput = z.strictObject({
  organizationId: OrganizationId,
  aclResourceId: z
    .int()
    .min(0)
    .exactOptional()
    .describe('only this resource; every one of the organisation when left out'),
});
const ResyncOutput = z.strictObject({
  organizationId: OrganizationId,
  resources: Count.describe('resources that were computed'),
  pairs: Count.describe('grants that they have now'),
  removed: Count,
  added: Count,
  milliseconds: Count,
});
const PurgeInput = z.strictObject({ organizationId: OrganizationId });
const PurgeOutput = z.strictObject({ organizationId: OrganizationId, removed: Count, milliseconds: Count });

@Plugin({
  type: 'acl',
  title: 'Keeps the access grants of organisations',
  config: Config,
  instances: { key: 'organizationId', start: 'on-demand', idleSeconds: IDLE_SECONDS },
})
export default class AclPlugin {
  readonly #thread: GrantThread;
  readonly #periodic = new Map<number, Disposable>();
  #stopped = false;

  constructor(
    @inject(CONFIG, Config) private readonly config: Config,
    @inject(TRANSPORT) private readonly transport: Transport,
    @inject(LOGGER) private readonly log: Logger,
    @inject(CLOCK) private readonly clock: Clock,
  ) {
    const settings = { file: config.database, busyMs: config.busySeconds * 1000 };
    this.#thread = new GrantThread(settings, (text) => this.log.warn({ database: config.database }, text));
  }

  @Action('ACLRESYNC', {
    title: 'Compute the grants of an organisation anew',
    description: 'In one transaction: readers see the old grants or the new ones. An inactive organisation has none.',
    input: ResyncInput,
    output: ResyncOutput,
    effects: 'write',
    idempotent: true,
    inFlight: 'requeue',
    concurrency: 1,
    timeoutSeconds: 900,
  })
  async resync(input: z.output<typeof ResyncInput>, context: ActionContext): Promise<z.input<typeof ResyncOutput>> {
    const { organizationId } = input;
    const started = performance.now();
    try {
      const { active, ...counts } = await this.#do({ kind: 'resync', ...input }, context);
      const whole = input.aclResourceId === undefined || !this.#periodic.has(organizationId);
      if (!active) this.#resyncNever(organizationId);
      else if (whole) this.#resyncLater(organizationId);
      return { organizationId, ...counts, milliseconds: Math.round(performance.now() - started) };
    } catch (error) {
      if (error instanceof GrantFault && error.unknownOrganization) {
        this.#resyncNever(organizationId);
        const reason = `${error.message} in ${this.config.database}; ACLPURGEORGANIZATION takes away what is left of one`;
        throw failure('INVALID_DATA', { action: 'ACLRESYNC', reason });
      }
      if (!this.#periodic.has(organizationId)) this.#resyncLater(organizationId);
      throw this.#failed(error);
    }
  }

  @Action('ACLPURGEORGANIZATION', {
    title: 'Take away all grants of an organisation',
    description: 'It is not resynced again before it is asked for.',
    input: PurgeInput,
    output: PurgeOutput,
    effects: 'destructive',
    idempotent: true,
    inFlight: 'requeue',
    concurrency: 1,
    timeoutSeconds: 900,
  })
  async purge(input: z.output<typeof PurgeInput>, context: ActionContext): Promise<z.input<typeof PurgeOutput>> {
    const { organizationId } = input;
    const started = performance.now();
    this.#resyncNever(organizationId);
    try {
      const { removed } = await this.#do({ kind: 'purge', organizationId }, context);
      return { organizationId, removed, milliseconds: Math.round(performance.now() - started) };
    } catch (error) {
      throw this.#failed(error);
    } finally {
      this.#resyncNever(organizationId);
    }
  }

  /** What is under way is undone: readers see what was there before. */
  @Kill({ graceSeconds: 5 })
  async release(): Promise<void> {
    await this.stop();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const organizationId of [...this.#periodic.keys()]) this.#resyncNever(organizationId);
    await this.#thread.close();
  }

  #do(task: Task, { signal }: ActionContext): Promise<Counts> {
    return this.#thread.run(task, signal);
  }

  #failed(error: unknown): unknown {
    if (!(error instanceof GrantFault)) return error;
    const { database, busySeconds } = this.config;
    const locked = `it was locked by another process for ${busySeconds} s`;
    const reason = error.code.startsWith('SQLITE_BUSY') ? locked : error.message;
    return failure('ACTION_FAILED', { reason: `The database ${database} was left as it is: ${reason}.` });
  }

  /** As a request of its own: it is in the history, and keeps the instance from going idle. */
  #resyncLater(organizationId: number): void {
    const { resync } = this.config;
    if (resync === false) return;
    this.#resyncIn(organizationId, (resync.everySeconds + Math.random() * resync.windowSeconds) * 1000);
  }

  #resyncIn(organizationId: number, ms: number): void {
    this.#resyncNever(organizationId);
    if (this.#stopped) return;
    const timer = this.clock.after(ms, () => {
      // Should it get lost on its way, the next one still comes.
      this.#resyncLater(organizationId);
      this.transport.send('ACLRESYNC', { organizationId }).catch((error: unknown) => {
        this.log.warn(
          { err: error, organizationId },
          `the periodic resync of ${organizationId} is refused: ${reasonOf(error)}`,
        );
        if (this.#periodic.has(organizationId)) this.#resyncIn(organizationId, AGAIN_MS);
      });
    });
    this.#periodic.set(organizationId, timer);
  }

  #resyncNever(organizationId: number): void {
    this.#periodic.get(organizationId)?.[Symbol.dispose]();
    this.#periodic.delete(organizationId);
  }
}
