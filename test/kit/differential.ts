import fc from 'fast-check';
import { expect } from 'vitest';
import { play } from './play.ts';
import { DaemonRouter, KitRouter } from './routers.ts';
import { type Step, scripts } from './script.ts';

/** Scripts that random ones found, each played in every run. */
const FOUND: readonly (readonly Step[])[] = [
  // Whoever asks with the token of another's rows for what cannot be had is told that it cannot be had.
  [
    {
      who: 'alice',
      token: 'new',
      target: '',
      action: 'PUT',
      data: { token: '<token:1>', code: 99, data: {} },
      rest: 'ends',
    },
    { who: 'bob', token: 'new', target: 'nowhere', action: 'ECHO', data: {}, rest: 'ends' },
    { who: 'alice', token: 'new', target: '', action: 'CANCEL', data: { token: '<token:0>' }, rest: 'ends' },
  ],
];

/**
 * Plays random scripts on the kit and on a daemon, and fails with the shortest for which they differ; with NOSHRINK set, with the
 * first. Of a thousand steps, `slow` are a KILL and `slow` wait for a time limit.
 */
export async function compare(options: {
  readonly runs: number;
  readonly slow: number;
  readonly seed: number;
}): Promise<void> {
  const { runs, slow, seed } = options;
  await using daemon = await DaemonRouter.open();
  await using kit = await KitRouter.open();
  let number = 0;
  const property = fc.asyncProperty(scripts(slow), async (script) => {
    const run = `s${++number}`;
    const [mine, real] = await Promise.allSettled([play(kit, script, run), play(daemon, script, run)]);
    if (mine.status === 'rejected') await kit.reset();
    if (real.status === 'rejected') await daemon.reset();
    expect(mine, 'the kit, where the daemon is expected').toEqual(real);
    if (real.status === 'rejected') throw real.reason;
  });
  const examples = FOUND.map((script): [Step[]] => [[...script]]);
  await fc.assert(property, { numRuns: runs, seed, examples, endOnFailure: process.env.NOSHRINK !== undefined });
}
