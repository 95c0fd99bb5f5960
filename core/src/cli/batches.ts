import { misuse } from './connection.ts';
import { durationOf } from './time.ts';

/** How a request goes to many nodes: so many at a time. */
export interface Batches {
  /** How many of `count` nodes are one batch. */
  sizeOf(count: number): number;
  /** Between the end of one batch and the next, in milliseconds. */
  readonly pauseMs: number;
  /** No further batch once something failed. */
  readonly failFast: boolean;
}

/** What is written of --batch, --wait, --no-wait and --fail-fast. */
export interface BatchWords {
  readonly batch?: string;
  /** The duration of --wait, or false for --no-wait. */
  readonly wait?: string | false;
  readonly failFast?: boolean;
}

/** Reads them; undefined without --batch: all at once. Throws USAGE. */
export function batchesOf({ batch, wait, failFast = false }: BatchWords): Batches | undefined {
  if (batch === undefined) {
    if (typeof wait === 'string')
      throw misuse('--wait is the pause between batches: add --batch, such as --batch 10%.');
    if (failFast) throw misuse('--fail-fast stops before the next batch: add --batch, such as --batch 10%.');
    return undefined;
  }
  if (wait === false) {
    throw misuse('--no-wait with --batch: a batch is over once its requests have ended. Omit one of the two.');
  }
  const [, digits, percent] = /^([1-9][0-9]{0,8})(%?)$/.exec(batch) ?? [];
  const number = Number(digits);
  if (digits === undefined || (percent === '%' && number > 100)) {
    throw misuse(`--batch ${batch}: write how many nodes, such as 20, or a share of them from 1% to 100%.`);
  }
  return {
    sizeOf: (count) => (percent === '%' ? Math.ceil((count * number) / 100) : number),
    pauseMs: wait === undefined ? 0 : durationOf('--wait', wait),
    failFast,
  };
}
