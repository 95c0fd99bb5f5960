import type { Odd, Outcome, Refusal } from './batch.ts';

/** What a call came to: its row's id, or what else there is to say. */
export type Done = number | (Omit<Odd, 'at'> & { id?: number });

export function refused(refusal: Refusal, reason = ''): Done {
  return { refused: refusal, reason };
}

/** The outcome of so many batches, whose calls came to `dones`; `failed` says why nothing was written. */
export function outcomeOf(
  dones: readonly Done[],
  about: Pick<Outcome, 'batches' | 'ctime' | 'failed' | 'bytes' | 'ms'>,
): Outcome {
  const odds: Odd[] = [];
  const ids = dones.map((done, at) => {
    if (typeof done === 'number') return done;
    const { id = 0, ...odd } = done;
    odds.push({ at, ...odd });
    return id;
  });
  return { kind: 'outcome', ...about, ids, odds, behind: false };
}

/** The outcome of batches of which nothing was done, since what was before them failed for `reason`. */
export function outcomeBehind(about: Pick<Outcome, 'batches' | 'ctime' | 'bytes'>, reason: string): Outcome {
  return { kind: 'outcome', ...about, ids: [], odds: [], ms: 0, failed: reason, behind: true };
}
