import 'reflect-metadata'; // first: the decorators need it
import { setTimeout as wait } from 'node:timers/promises';
import { Action, type ActionContext, CONFIG, inject, Plugin } from '@centreond/plugin-sdk';
import { z } from 'zod';

const Config = z.strictObject({
  greeting: z.string().min(1).default('Hello').describe('what a greeting starts with'),
});

const Input = z.strictObject({
  name: z.string().min(1).max(100).describe('whom to greet'),
  times: z.int().min(1).max(10).default(1).describe('how often'),
});

const Output = z.strictObject({ text: z.string() });

/** Rows of progress: `{said}`. */
const SAID = 100;

@Plugin({
  type: 'sample',
  title: 'Greets people',
  config: Config,
  codes: { SAID: { code: SAID, title: 'said' } },
})
export default class SamplePlugin {
  constructor(@inject(CONFIG, Config) private readonly config: z.output<typeof Config>) {}

  @Action('SAMPLE', {
    title: 'Greet somebody',
    input: Input,
    output: Output,
    effects: 'read',
    idempotent: true,
    inFlight: 'requeue',
    timeoutSeconds: 30,
  })
  async sample(
    { name, times }: z.output<typeof Input>,
    context: ActionContext<typeof SAID>,
  ): Promise<z.input<typeof Output>> {
    for (let said = 1; said <= times; said++) {
      await wait(50, undefined, { signal: context.signal }); // ends at once on cancel, timeout and kill
      await context.progress(SAID, { said });
    }
    return { text: `${this.config.greeting}, ${name}!` };
  }
}
