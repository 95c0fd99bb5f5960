// What has to compile, beside the mistakes.

import type { Client } from '@centreond/client';
import {
  Action,
  type ActionContext,
  CLOCK,
  type Clock,
  CONFIG,
  type CodesOf,
  INSTANCE,
  type Instance,
  inject,
  Kill,
  type KillRequest,
  LOGGER,
  type Logger,
  On,
  Plugin,
  STATE,
  type State,
  TOKEN_STORE,
  type TokenStore,
  TRANSPORT,
  type Transport,
} from '@centreond/plugin-sdk';
import { z } from 'zod';

const Input = z.strictObject({ city: z.string(), days: z.int().default(1) });
const Output = z.strictObject({ celsius: z.number().optional() });
const Config = z.strictObject({ units: z.enum(['C', 'F']).default('C') });
const CODES = { LOOKING: 120, FOUND: { code: 121, title: 'found' } } as const;
const look = { title: 'Look', input: Input, output: Output } as const;
const OWN_CLOCK = Symbol.for('sample.CLOCK');

@Plugin({ type: 'sample', title: 'A sample', config: Config, codes: CODES })
export class Sample {
  constructor(
    @inject(CONFIG, Config) private readonly config: z.output<typeof Config>,
    @inject(LOGGER) readonly log: Pick<Logger, 'info'>,
    @inject(TRANSPORT) readonly transport: Transport,
    @inject(TOKEN_STORE) readonly tokens: TokenStore<typeof CODES.FOUND.code>,
    @inject(STATE) readonly state: State | undefined,
    @inject(INSTANCE) readonly instance: Instance,
    @inject(CLOCK) readonly clock: Clock,
    @inject(OWN_CLOCK, { isOptional: true }) readonly ownClock: { now(): number } = Date,
  ) {}

  @Action('LOOK', look)
  async look(
    input: z.output<typeof Input>,
    context: ActionContext<CodesOf<typeof CODES>>,
  ): Promise<{ celsius: number }> {
    await context.progress(CODES.LOOKING, { city: input.city, units: this.config.units });
    await this.tokens.append([{ token: context.token, code: 121, data: {} }]);
    return this.helped(context);
  }

  @Action('LOOK_AT_SIGNAL', look)
  signal(_: { city: string }, { signal }: { signal: AbortSignal }) {
    return signal.aborted ? {} : { celsius: 12 };
  }

  @Action('FAIL', look)
  fail(): never {
    throw new Error('always');
  }

  @On('ALARM')
  alarm({ at }: { at: string }): void {
    this.log.info(at);
  }

  @On('UNREGISTERNODE')
  async gone(): Promise<void> {}

  @Kill({ graceSeconds: 1 })
  async kill({ reason }: KillRequest): Promise<void> {
    this.log.info(reason.message);
  }

  helped(context: ActionContext): { celsius: number } {
    return { celsius: context.deadline };
  }
}

const Page = z.strictObject({ url: z.strictObject({ host: z.string(), port: z.int() }) });

@Plugin({ type: 'sample', title: 'A sample', instances: { key: 'url.host', start: 'on-demand' } })
export class KeyedByPath {
  start(): void {}

  @Action('FETCH', { title: 'Fetch', input: Page, output: Output })
  fetch({ url }: z.output<typeof Page>): { celsius?: number } {
    return { celsius: url.port };
  }
}

@Plugin({ type: 'sample', title: 'A sample', instances: { key: 'url.port', start: 'eager' } })
export class KeyedByNumber {
  @Action('FETCH', { title: 'Fetch', input: Page, output: Output })
  fetch(_: unknown): { celsius?: number } {
    return {};
  }

  @Action('DROP', { title: 'Drop', input: Page, output: Output })
  drop(): { celsius?: number } {
    return {};
  }
}

export async function edges(transport: Transport, client: Client, named: string): Promise<number> {
  await transport.emit('ALARM', { at: 'here' });
  await transport.call(named, { anything: 1 });
  await client.send('GETLOG', undefined, { timeoutMs: 1000 });
  await client.send('PING');
  const { data } = await client.send('GETLOG');
  const ended = await client.call('COMMAND', { command: 'date' }, { target: 'poller', timeoutMs: 1000 });
  const inner = await transport.call('COMMAND', { command: 'date' });
  if (!ended.ok) throw new Error(ended.data.message);
  return data.more || !inner.ok ? 0 : ended.data.exitCode + inner.data.exitCode;
}
