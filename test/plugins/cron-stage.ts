import { setImmediate as turn } from 'node:timers/promises';
import CronPlugin from '@centreond/plugin-cron';
import { FakeClock as KitClock } from '@centreond/plugin-kit';
import type { ActionContext, CallOptions, Logger, NewRow, State, TokenStore, Transport } from '@centreond/plugin-sdk';
import { declarationOf } from '@centreond/plugin-sdk/internal';
import {
  type Ack,
  type CentreondError,
  failure,
  type HistoryFilter,
  type HistoryRow,
  type Json,
} from '@centreond/protocol';
import { expect } from 'vitest';
import { validate } from '../../plugin-sdk/sdk/dist/schema.js';
/** Lets everything that is ready run. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 12; i++) await turn();
}

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
  action: string;
  token: string;
  data: object;
  target: string | undefined;
  at: string;
}

/** What outlives a plugin: the router with its history and the state. Tokens are owned, repeats are known, rows are kept. */
export class Stage {
  /** What was accepted and so runs, once for each token. */
  readonly accepted: Sent[] = [];
  readonly repeats: string[] = [];
  readonly rows: HistoryRow[] = [];
  readonly logged: { level: string; message: string }[] = [];
  readonly kept = new Map<string, string>();
  /** Refusals that the next requests meet. */
  readonly refusals: CentreondError[] = [];
  /** Ends each request at once. */
  prompt = true;
  /** Requests reach the router only after this. */
  gate: Promise<void> = Promise.resolve();
  /** The plugin is dead as soon as a request of its is accepted. */
  diesOnAck = false;
  /** How many more writes of the state succeed before the plugin is as good as dead. */
  writesLeft = Number.POSITIVE_INFINITY;
  readonly #changed = new Set<() => void>();
  readonly #plugins: CronPlugin[] = [];

  constructor(readonly clock: FakeClock) {}

  end(token: string, code: 1 | 2 = 2, data: Json = {}): void {
    this.#row(token, 'RUN', code, data);
  }
  open(): string[] {
    const ended = new Set(this.rows.filter(({ code }) => code === 1 || code === 2).map(({ token }) => token));
    return this.accepted.map(({ token }) => token).filter((token) => !ended.has(token));
  }
  rowsOf(code: number): HistoryRow[] {
    return this.rows.filter((row) => row.code === code);
  }

  /** A plugin as the host makes it, started. */
  async plugin(config: object = {}): Promise<CronPlugin> {
    const { options } = declarationOf(CronPlugin);
    // As a file has it: without what is undefined.
    const written: unknown = JSON.parse(JSON.stringify({ timeZone: 'UTC', ...config }));
    const read = await validate(options.config ?? expect.fail('no config'), written);
    if (!read.ok) throw failure('INVALID_PLUGIN', { plugin: 'cron', reason: read.reason });
    type Config = ConstructorParameters<typeof CronPlugin>[0];
    const instance = { id: '1', of: 1, type: 'cron' };
    const { state, transport, tokens, log } = this.#services();
    const plugin = new CronPlugin(read.value as Config, state, transport, tokens, log, instance, this.clock);
    this.#plugins.push(plugin);
    await plugin.start();
    await settle();
    return plugin;
  }
  stop(): void {
    for (const plugin of this.#plugins.splice(0)) plugin.stop();
  }

  #row(token: string, type: string, code: number, data: Json): void {
    const time = Math.floor(this.clock.now() / 1000);
    this.rows.push({ id: this.rows.length + 1, token, type, node: 'n', code, etime: time, ctime: time, data });
    for (const wake of [...this.#changed]) wake();
  }

  #services() {
    // Of a plugin that is to die at its nth write: from then on it neither writes nor sends.
    const dead = () => this.writesLeft <= 0;
    const never = new Promise<never>(() => {});
    const write = async (work: () => void) => {
      await Promise.resolve();
      if (dead()) return never;
      this.writesLeft--;
      work();
    };
    const state: State = {
      get: async (key) => {
        const text = this.kept.get(key);
        return text === undefined ? undefined : (JSON.parse(text) as Json);
      },
      set: (key, value) => write(() => this.kept.set(key, JSON.stringify(value))),
      delete: (key) => write(() => this.kept.delete(key)),
      list: async (prefix) =>
        [...this.kept]
          .filter(([key]) => key.startsWith(prefix))
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([key, text]) => ({ key, value: JSON.parse(text) as Json })),
    };
    const send = async (action: string, data: object, options: CallOptions = {}): Promise<Ack> => {
      await this.gate;
      if (dead()) return never;
      const refusal = this.refusals.shift();
      if (refusal) throw refusal;
      const token = options.token ?? expect.fail('no token');
      const known = this.accepted.find((one) => one.token === token);
      if (known) {
        const same = known.action === action && JSON.stringify(known.data) === JSON.stringify(data);
        if (!same) throw failure('TOKEN_REUSED', { token, action: known.action });
        this.repeats.push(token);
        return { token, data: { duplicate: true } };
      }
      this.accepted.push({ action, token, data, target: options.target, at: new Date(this.clock.now()).toISOString() });
      this.#row(token, action, 0, {});
      if (this.prompt) this.end(token);
      if (this.diesOnAck) this.writesLeft = 0;
      return { token, data: {} };
    };
    const transport: Transport = {
      send,
      call: () => expect.fail('not used'),
      emit: () => expect.fail('not used'),
      link: () => expect.fail('not used'),
      carry: () => expect.fail('not used'),
    };
    const rows = this.rows;
    const changed = this.#changed;
    const tokens: TokenStore<number> = {
      append: async (drafts: readonly NewRow<number>[]) => {
        if (dead()) return never;
        for (const { token, code, data } of drafts) this.#row(token, 'PUTLOG', code, data);
      },
      query: async ({ token, code }: HistoryFilter) => rows.filter((row) => row.token === token && row.code === code),
      async *follow(token, { afterId = 0, signal }) {
        for (let last = afterId; !signal.aborted; ) {
          const row = rows.find((one) => one.token === token && one.id > last);
          if (row) {
            last = row.id;
            yield row;
            if (row.code === 1 || row.code === 2) return;
          } else {
            await new Promise<void>((resolve) => {
              const wake = () => {
                changed.delete(wake);
                signal.removeEventListener('abort', wake);
                resolve();
              };
              changed.add(wake);
              signal.addEventListener('abort', wake);
            });
          }
        }
      },
    };
    const logAt =
      (level: string) =>
      (...[fields, message]: [object | string, string?]) =>
        void this.logged.push({ level, message: message ?? String(fields) });
    const log: Logger = { debug: logAt('debug'), info: logAt('info'), warn: logAt('warn'), error: logAt('error') };
    return { state, transport, tokens, log };
  }
}

/** Calls an action as the host would: through its input schema, and its answer through its output schema. */
export async function call(plugin: CronPlugin, name: string, input: object): Promise<Json> {
  const action = declarationOf(CronPlugin).actions.find((one) => one.name === name) ?? expect.fail(`no ${name}`);
  const read = await validate(action.options.input, input);
  if (!read.ok) throw failure('INVALID_DATA', { action: name, reason: read.reason });
  const context: ActionContext = {
    token: 't',
    identity: 'root',
    target: '',
    deadline: 0,
    signal: new AbortController().signal,
    progress: async () => {},
  };
  const method = (plugin as unknown as Record<string, (input: unknown, context: ActionContext) => unknown>)[
    action.method
  ];
  const output = await method?.call(plugin, read.value, context);
  const checked = await validate(action.options.output, output);
  expect(checked).toEqual({ ok: true, value: output });
  return JSON.parse(JSON.stringify(output)) as Json;
}
