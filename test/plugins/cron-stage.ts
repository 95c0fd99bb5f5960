import CronPlugin from '@centreond/plugin-cron';
import { FakeClock as KitClock, type TestedPlugin, testPlugin } from '@centreond/plugin-kit';
import { CentreondError, type HistoryRow, type Json, type JsonObject } from '@centreond/protocol';
import { expect } from 'vitest';

/** Time that stands still until a test moves it, by moments as people write them. */
export class FakeClock extends KitClock {
  constructor(start: string) {
    super(Date.parse(start));
  }
  /** Runs every timer up to `moment`, in order, each at its time. */
  to(moment: string): Promise<void> {
    return this.advance(Date.parse(moment) - this.now());
  }
  forward(seconds: number): Promise<void> {
    return this.advance(seconds * 1000);
  }
  override set(moment: string | number): void {
    super.set(typeof moment === 'number' ? moment : Date.parse(moment));
  }
}

export interface Sent {
  readonly action: string;
  readonly token: string;
  readonly data: object;
  readonly target: string;
  readonly at: string;
}

/** The cron plugin, and the action RUN that it fires, which ends as a test says. */
export class Stage {
  /** What was accepted and so runs, once for each token. */
  readonly accepted: Sent[] = [];
  /** Refusals that the next requests meet. */
  readonly refusals: CentreondError[] = [];
  /** What the plugin kept before it is started. */
  readonly before: Record<string, Json> = {};
  /** Ends each request at once. */
  prompt = true;
  #plugin: TestedPlugin<CronPlugin> | undefined;
  readonly #running = new Map<string, (error?: CentreondError) => void>();

  constructor(readonly clock: FakeClock) {}

  get tested(): TestedPlugin<CronPlugin> {
    return this.#plugin ?? expect.fail('no plugin was started');
  }
  get logged(): { level: string; message: string }[] {
    return this.tested.log.map(({ level, msg }) => ({ level, message: msg }));
  }

  /** Ends a request of RUN. */
  async end(token: string, error?: CentreondError): Promise<void> {
    const end = this.#running.get(token) ?? expect.fail(`${token} does not run`);
    this.#running.delete(token);
    end(error);
    await this.clock.forward(0);
  }
  open(): string[] {
    return [...this.#running.keys()];
  }
  rowsOf(code: number): HistoryRow[] {
    return this.#plugin?.rows.filter((row) => row.code === code) ?? [];
  }

  /** Starts the plugin; again after {@link stop} or its death: with its state, and with the history of the router. */
  async plugin(config: object = {}): Promise<void> {
    // As a file has it: without what is undefined.
    const whole = JSON.parse(JSON.stringify({ timeZone: 'UTC', ...config })) as JsonObject;
    if (this.#plugin) await this.#plugin.restart({ config: whole });
    else this.#plugin = await this.#started(whole);
    await this.clock.forward(0);
  }

  #started(config: JsonObject): Promise<TestedPlugin<CronPlugin>> {
    const { clock, before } = this;
    const refuse = () => this.refusals.shift();
    const answer = (data: JsonObject, { token, target }: { token: string; target: string }) => {
      this.accepted.push({ action: 'RUN', token, data, target, at: new Date(clock.now()).toISOString() });
      if (this.prompt) return {};
      return new Promise((resolve, reject) => {
        this.#running.set(token, (error) => (error ? reject(error) : resolve({})));
      });
    };
    const transport = { RUN: { refuse, answer } };
    const started = testPlugin(CronPlugin, { config, clock, state: before, transport });
    return started.then(async (plugin) => {
      for (const id of ['paris-1', 'lyon-1']) await plugin.router.nodes.register(id, { RUN: { refuse, answer } });
      return plugin;
    });
  }

  async stop(): Promise<void> {
    await this.#plugin?.stop();
  }

  /** Ends the plugin for good, which must not leave timers behind. */
  async close(): Promise<void> {
    await this.stop();
    expect(this.#plugin?.timersLeft ?? 0, 'timers left behind').toBe(0);
  }

  /** Calls an action of the plugin as an admin. Rejects with how it fails. */
  async call(name: Uppercase<string>, input: object): Promise<JsonObject> {
    const { ok, data } = await this.tested.call(name, input);
    if (!ok) throw new CentreondError(String(data.error), String(data.message));
    return data;
  }
}

/** A stage for each test, closed when it is over. */
export class Stages {
  readonly #open: Stage[] = [];

  open(start = '2025-11-22T10:00:00Z'): Stage {
    const made = new Stage(new FakeClock(start));
    this.#open.push(made);
    return made;
  }

  async close(): Promise<void> {
    for (const each of this.#open.splice(0)) await each.close();
  }
}
