import { Action, Plugin } from '@centreond/plugin-sdk';
import { z } from 'zod';
import { Shares } from '../shares.ts';
import type { Chronicle, Happenings } from './chronicle.ts';
import { type AskContext, READ } from './declaring.ts';

const LONGEST_WAIT_SECONDS = 30;
/** Askers that wait for events at a time. */
const WAITING = { count: 1000, perIdentity: { count: 16 } };

const GetEvents = z.strictObject({
  after: z
    .int()
    .min(0)
    .max(2 ** 52)
    .describe(
      'The id after which to begin: last of the answer before, or 0 for all that are kept. Omitted: from now on.',
    )
    .exactOptional(),
  waitSeconds: z
    .number()
    .min(0)
    .max(LONGEST_WAIT_SECONDS)
    .describe('How long to wait for one if there is none yet; 0 if omitted.')
    .exactOptional(),
  limit: z.int().min(1).max(1000).describe('100 if omitted.').exactOptional(),
});

export interface EventActionsOptions {
  readonly chronicle: Chronicle;
}

/** What happens on this router, for people. */
@Plugin({ type: 'core', title: 'The router itself', isolation: 'core' })
export class EventActions {
  readonly #shares = new Shares('those who wait for events', WAITING);

  constructor(private readonly options: EventActionsOptions) {}

  @Action('GETEVENTS', {
    ...READ,
    title: 'Ask what happened on this router, or wait for it',
    description:
      'Nodes up and down, plugins ended, restarted and quarantined, keys, purges, requests refused with BUSY. Each event has id, time in milliseconds, kind, text (a sentence), and the fields of its kind. gap says that events after `after` are not kept any more: more happened than 1 MiB holds, or the router was started again.',
    input: GetEvents,
    access: ['internal', 'admin'],
    timeoutSeconds: LONGEST_WAIT_SECONDS + 10,
    runs: 'here',
  })
  async getEvents(
    { after, waitSeconds = 0, limit = 100 }: z.output<typeof GetEvents>,
    { caller: { identity } }: AskContext,
  ): Promise<Happenings> {
    const { chronicle } = this.options;
    const from = after ?? chronicle.last;
    if (waitSeconds > 0) {
      const full = this.#shares.refusal(identity, 0);
      if (full) throw full;
      this.#shares.take(identity, 0);
      try {
        await chronicle.wait(from, waitSeconds * 1000);
      } finally {
        this.#shares.give(identity, 0);
      }
    }
    return chronicle.after(from, limit);
  }
}
