import AclPlugin from '@centreond/plugin-acl';
import type { ActionContext, CallOptions, Logger, Transport } from '@centreond/plugin-sdk';
import { declarationOf } from '@centreond/plugin-sdk/internal';
import { CentreondError, failure } from '@centreond/protocol';
import { expect } from 'vitest';
import { validate } from '../../plugin-sdk/sdk/dist/schema.js';
import type { Clock } from '../../plugins/acl/dist/clock.js';

type Config = ConstructorParameters<typeof AclPlugin>[0];

/** An instance of the plugin as the host makes it, with what it sends, logs and waits for. */
export class AclStage {
  readonly sent: { action: string; data: object }[] = [];
  readonly logged: string[] = [];
  readonly timers = new Set<{ ms: number; run: () => void }>();
  refusal: CentreondError | undefined;
  #plugin: AclPlugin | undefined;

  async start(config: object): Promise<this> {
    const { options } = declarationOf(AclPlugin);
    const read = await validate(options.config ?? expect.fail('no config'), config);
    if (!read.ok) throw failure('INVALID_PLUGIN', { plugin: 'acl', reason: read.reason });
    const log = (...[fields, message]: [object | string, string?]) => void this.logged.push(message ?? String(fields));
    const logger: Logger = { debug: log, info: log, warn: log, error: log };
    const transport: Transport = {
      send: async (action: string, data: object, _options?: CallOptions) => {
        if (this.refusal) throw this.refusal;
        this.sent.push({ action, data });
        return { token: 't', data: {} };
      },
      call: () => expect.fail('not used'),
      emit: () => expect.fail('not used'),
      link: () => expect.fail('not used'),
      carry: () => expect.fail('not used'),
    };
    const clock: Clock = {
      now: () => Date.now(),
      after: (ms, run) => {
        const timer = { ms, run };
        this.timers.add(timer);
        return { [Symbol.dispose]: () => this.timers.delete(timer) };
      },
    };
    this.#plugin = new AclPlugin(read.value as Config, transport, logger, clock);
    return this;
  }

  get plugin(): AclPlugin {
    return this.#plugin ?? expect.fail('not started');
  }

  /** Calls an action through its schemas. */
  async call(name: string, input: object, signal: AbortSignal = new AbortController().signal): Promise<object> {
    const action = declarationOf(AclPlugin).actions.find((one) => one.name === name) ?? expect.fail(`no ${name}`);
    const read = await validate(action.options.input, input);
    if (!read.ok) throw failure('INVALID_DATA', { action: name, reason: read.reason });
    const context: ActionContext = {
      token: 't',
      identity: 'root',
      target: '',
      deadline: 0,
      signal,
      progress: async () => {},
    };
    const method = (this.plugin as unknown as Record<string, (input: unknown, context: ActionContext) => unknown>)[
      action.method
    ];
    const output = await method?.call(this.plugin, read.value, context);
    expect(await validate(action.options.output, output)).toEqual({ ok: true, value: output });
    return output as object;
  }

  /** The one timer that waits comes due. */
  due(): void {
    const [timer] = this.timers;
    if (!timer || this.timers.size > 1) expect.fail(`${this.timers.size} timers`);
    this.timers.delete(timer);
    timer.run();
  }
  get waits(): number[] {
    return [...this.timers].map(({ ms }) => ms);
  }

  async stop(): Promise<void> {
    await this.#plugin?.stop();
    expect(this.timers.size, 'timers left behind').toBe(0);
  }
}
