// Each mistake does not compile, and the compiler's message holds the sentence that stands with it. `tsc -b` refuses an
// expectation that no longer holds; typed-edges.test.ts checks the sentences.

import type { Client } from '@centreond/client';
import {
  Action,
  type ActionContext,
  CLOCK,
  CONFIG,
  type CodesOf,
  type Health,
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
import { inject as injectUntyped } from 'tsyringe';
import { z } from 'zod';

const Input = z.strictObject({ city: z.string(), days: z.int().default(1) });
const Output = z.strictObject({ celsius: z.number() });
const Config = z.strictObject({ units: z.enum(['C', 'F']).default('C') });
const title = 'A sample';
const look = { title, input: Input, output: Output } as const;

export class Methods {
  // @ts-expect-error: The method does not return what the output schema takes.
  @Action('WRONG_OUTPUT', look)
  output(_: z.output<typeof Input>): { celsius: string } {
    return { celsius: '12' };
  }

  // @ts-expect-error: The method does not return what the output schema takes.
  @Action('WRONG_PROMISE', look)
  async promise(): Promise<{ fahrenheit: number }> {
    return { fahrenheit: 12 };
  }

  // @ts-expect-error: The method does not return what the output schema takes.
  @Action('NO_OUTPUT', look)
  nothing(): void {}

  // @ts-expect-error: The first parameter of the method does not take what the input schema yields.
  @Action('WRONG_INPUT', look)
  input(_: { town: string }): { celsius: number } {
    return { celsius: 12 };
  }

  // @ts-expect-error: The second parameter of the method is not an ActionContext.
  @Action('WRONG_CONTEXT', look)
  context(_: z.output<typeof Input>, __: string): { celsius: number } {
    return { celsius: 12 };
  }

  @Action('UNDECLARED_CODE', look)
  async code(_: z.output<typeof Input>, context: ActionContext<100>): Promise<{ celsius: number }> {
    await context.progress(0, {});
    await context.progress(100, {});
    // @ts-expect-error: The code of this row is not declared.
    await context.progress(101, {});
    return { celsius: 12 };
  }

  @Action('NO_CODES', look)
  async codes(_: z.output<typeof Input>, context: ActionContext): Promise<{ celsius: number }> {
    // @ts-expect-error: The code of this row is not declared.
    await context.progress(100, {});
    return { celsius: 12 };
  }

  // @ts-expect-error: No installed plugin declares the event ALRAM.
  @On('ALRAM')
  unknown(_: { at: string }): void {}

  // @ts-expect-error: The parameter of the listener does not take what the event ALARM carries.
  @On('ALARM')
  alarm(_: { when: Date }): void {}

  // @ts-expect-error: The parameter of the listener does not take what the event REGISTERNODE carries.
  @On('REGISTERNODE')
  node(_: { id: number }): void {}

  // @ts-expect-error: The listener of ALARM has a second parameter.
  @On('ALARM')
  two(_: { at: string }, __: ActionContext): void {}

  // @ts-expect-error: The parameter of the @Kill method does not take a KillRequest.
  @Kill({ graceSeconds: 1 })
  kill(_: string): void {}

  // @ts-expect-error: The @Kill method has a second parameter.
  @Kill({ graceSeconds: 1 })
  killTwo(_: KillRequest, __: number): void {}
}

const Page = z.strictObject({ url: z.strictObject({ host: z.string(), tags: z.array(z.string()) }) });
const fetch = { title, input: Page, output: Output } as const;

// @ts-expect-error: No method of the class takes an input with a text or a number at url.hots, which instances.key names.
@Plugin({ type: 'sample', title, instances: { key: 'url.hots', start: 'on-demand' } })
export class MisspeltKey {
  @Action('FETCH', fetch)
  fetch({ url }: z.output<typeof Page>, { deadline }: ActionContext): { celsius: number } {
    return { celsius: deadline + url.host.length };
  }
}

// @ts-expect-error: No method of the class takes an input with a text or a number at url, which instances.key names.
@Plugin({ type: 'sample', title, instances: { key: 'url', start: 'on-demand' } })
export class ObjectKey {
  @Action('FETCH', fetch)
  fetch(_: z.output<typeof Page>): { celsius: number } {
    return { celsius: 1 };
  }
}

// @ts-expect-error: No method of the class takes an input with a text or a number at url.tags.length, which
@Plugin({ type: 'sample', title, instances: { key: 'url.tags.length', start: 'on-demand' } })
export class ListKey {
  @Action('FETCH', fetch)
  fetch(_: z.output<typeof Page>): { celsius: number } {
    return { celsius: 1 };
  }
}

// @ts-expect-error: The class writes rows of the code 101, which @Plugin({ codes }) does not declare.
@Plugin({ type: 'sample', title, codes: { SAID: 100 } })
export class UndeclaredProgress {
  @Action('LOOK', look)
  async look(_: z.output<typeof Input>, context: ActionContext<101>): Promise<{ celsius: number }> {
    await context.progress(101, {});
    return { celsius: 12 };
  }
}

// @ts-expect-error: The class writes rows of the code 102, which @Plugin({ codes }) does not declare.
@Plugin({ type: 'sample', title, codes: { SAID: 100, HEARD: { code: 101, title: 'heard' } } })
export class UndeclaredBesideTitled {
  @Action('LOOK', look)
  async look(_: z.output<typeof Input>, context: ActionContext<100 | 101 | 102>): Promise<{ celsius: number }> {
    await context.progress(102, {});
    return { celsius: 12 };
  }
}

// @ts-expect-error: Property 'title' is missing in type '{ code: number; }' but required in type 'TitledCode'.
@Plugin({ type: 'sample', title, codes: { SAID: { code: 100 } } })
export class Untitled {}

const CODES = { SAID: { code: 100, title: 'said' } } as const;

@Plugin({ type: 'sample', title, codes: CODES })
export class Titled {
  @Action('LOOK', look)
  async look(_: z.output<typeof Input>, context: ActionContext<CodesOf<typeof CODES>>): Promise<{ celsius: number }> {
    // @ts-expect-error: The code of this row is not declared.
    await context.progress(101, {});
    return { celsius: 12 };
  }
}

// @ts-expect-error: The class writes rows of the code 120, which @Plugin({ codes }) does not declare.
@Plugin({ type: 'sample', title })
export class UndeclaredAppend {
  constructor(@inject(TOKEN_STORE) readonly tokens: TokenStore<120>) {}
}

export class Injected {
  constructor(
    // @ts-expect-error: @inject(LOGGER): the parameter does not take what LOGGER injects.
    @inject(LOGGER) readonly log: Transport,
    // @ts-expect-error: @inject(TRANSPORT): the parameter does not take what TRANSPORT injects.
    @inject(TRANSPORT) readonly transport: Logger,
    // @ts-expect-error: @inject(STATE): the parameter does not take what STATE injects.
    @inject(STATE) readonly state: Instance,
    // @ts-expect-error: @inject(CLOCK): the parameter does not take what CLOCK injects.
    @inject(CLOCK) readonly clock: State,
    // @ts-expect-error: @inject(CONFIG, schema): the parameter does not take what the schema yields.
    @inject(CONFIG, Config) readonly config: { units: number },
    // @ts-expect-error: @inject(CONFIG): the parameter is not a JsonObject. Write @inject(CONFIG, schema)
    @inject(CONFIG) readonly raw: z.output<typeof Config>,
    // @ts-expect-error: is not assignable to parameter of type 'InjectionToken<any>'
    @injectUntyped(STATE) readonly untyped: State,
  ) {}
}

export async function edges(transport: Transport, client: Client, tokens: TokenStore, health: Health): Promise<void> {
  // @ts-expect-error: Argument of type '"degraded"' is not assignable to parameter of type '"ok"'.
  health.report('degraded');
  // @ts-expect-error: Argument of type '"failed"' is not assignable to parameter of type
  health.report('failed', 'its disk is full');
  // @ts-expect-error: No installed plugin declares the action COMAND.
  await transport.call('COMAND', {});
  // @ts-expect-error: No installed plugin declares the action COMAND.
  await transport.send('COMAND', {});
  // @ts-expect-error: No installed plugin declares the action COMAND.
  await client.call('COMAND');
  // @ts-expect-error: No installed plugin declares the action COMAND.
  await client.send('COMAND');
  // @ts-expect-error: 'comand' does not exist in type
  await transport.call('COMMAND', { comand: 'date' });
  // @ts-expect-error: Expected 2-3 arguments, but got 1.
  await client.call('COMMAND');
  // @ts-expect-error: No installed plugin declares the event ALRAM.
  await transport.emit('ALRAM', { at: 'here' });
  // @ts-expect-error: Type 'number' is not assignable to type 'string'.
  await transport.emit('ALARM', { at: 1 });
  // @ts-expect-error: The code of this row is not declared.
  await tokens.append([{ token: 't', code: 100, data: {} }]);
}
