import type { Transport } from '@centreond/plugin-sdk';
import { z } from 'zod';

const Schema = z.record(z.string(), z.unknown());
const DeclaredAction = z.object({
  name: z.string(),
  title: z.string(),
  description: z.string().optional(),
  input: Schema,
  output: Schema,
  access: z.array(z.string()),
  effects: z.string(),
  reply: z.enum(['ack', 'row']),
});
export type DeclaredAction = z.output<typeof DeclaredAction>;

const Manifests = z.object({
  plugins: z.array(z.object({ type: z.string(), title: z.string(), actions: z.array(DeclaredAction) })),
});
export type DeclaredPlugin = z.output<typeof Manifests>['plugins'][number];

/** Plugins come and go while the daemon runs: what they declare is asked again after this time. */
const FRESH_MS = 5000;

/** What the plugins of this router declare. */
export class DeclaredActions {
  #actions = new Map<string, DeclaredAction>();
  #plugins: readonly DeclaredPlugin[] = [];
  #asking: Promise<void> | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly transport: Pick<Transport, 'send'>,
    private readonly clock: { now(): number },
  ) {}

  /** The action `name`, or undefined if no plugin here declares it, 5 s ago at most. */
  async get(name: string): Promise<DeclaredAction | undefined> {
    // What is known is used while it is asked again: an action hardly ever changes how it answers.
    const known = this.#actions.get(name);
    const asking = this.#refresh();
    if (!known) await asking;
    else void asking.catch(() => {});
    return this.#actions.get(name);
  }

  async plugins(): Promise<readonly DeclaredPlugin[]> {
    await this.#refresh();
    return this.#plugins;
  }

  #refresh(): Promise<void> {
    if (this.clock.now() - this.#askedAt < FRESH_MS) return this.#asking ?? Promise.resolve();
    this.#askedAt = this.clock.now();
    this.#asking = this.#ask().catch((error: unknown) => {
      this.#askedAt = Number.NEGATIVE_INFINITY;
      throw error;
    });
    return this.#asking;
  }

  async #ask(): Promise<void> {
    const { plugins } = Manifests.parse((await this.transport.send('GETMANIFESTS', {})).data);
    this.#plugins = plugins;
    this.#actions = new Map(plugins.flatMap(({ actions }) => actions.map((action) => [action.name, action])));
  }
}
