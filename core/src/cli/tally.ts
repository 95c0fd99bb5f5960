import type { Asked } from './asked.ts';
import { wrapped } from './cells.ts';
import { EXIT } from './exit.ts';
import { countText, list } from './print.ts';

/** What came of a request to one node. */
export type Fate = 'finished' | 'failed' | 'refused' | 'late' | 'left' | 'unsent' | 'lacking';

/** In the order in which they are told. */
export const WORDS: Readonly<Record<Exclude<Fate, 'lacking'>, string>> = {
  finished: 'finished',
  failed: 'failed',
  refused: 'refused',
  late: 'timed out',
  left: 'left running',
  unsent: 'not sent',
};

/** The outcome of one node. */
export interface Outcome {
  readonly node: string;
  readonly fate: Fate;
  /** What went wrong, in a word: the code of an error, or how a command ended. */
  readonly why?: string | undefined;
  readonly token?: string | undefined;
  /** How long it took, as seen from here. */
  readonly tookMs?: number;
  /** What it said, as lines to print; where it was refused, why. */
  readonly text?: string;
}

/** What came of a request to several nodes. */
export class Tally {
  readonly outcomes: Outcome[] = [];
  /** Those that went wrong: refused, failed, or not ended in time. */
  readonly troubles: Outcome[] = [];
  readonly #held: string[] = [];

  constructor(private readonly asked: Asked) {}

  add(outcome: Outcome): void {
    this.outcomes.push(outcome);
    const { fate } = outcome;
    if (fate === 'failed' || fate === 'refused' || fate === 'late') this.troubles.push(outcome);
  }

  /** Counts a node whose request waits at the router. */
  held(node: string): void {
    this.#held.push(node);
  }

  get exit(): number {
    if (this.#count('failed') + this.#count('refused') + this.#count('left') + this.#count('unsent') > 0) {
      return EXIT.failed;
    }
    if (this.#count('late') > 0) return EXIT.timedOut;
    return this.#count('finished') > 0 ? EXIT.done : EXIT.failed;
  }

  /** How many came to which end, then who did not finish, and why; in lines of at most `width` cells, if that is known. */
  text(width?: number): string {
    const fates = (Object.keys(WORDS) as (keyof typeof WORDS)[]).filter((fate) => this.#count(fate) > 0);
    const total = fates.reduce((sum, fate) => sum + this.#count(fate), 0);
    const counts = fates.map((fate) => `${this.#count(fate)} ${this.#word(fate)}`);
    const lacking = this.#count('lacking');
    const lack = lacking === 0 ? '' : `; ${countText(lacking, 'node')} without ${this.asked.action} left out`;
    // Who was not asked at all may be asked again: those are named in full.
    const named = (nodes: readonly string[], fate: Fate) =>
      list(nodes, width === undefined || fate === 'unsent' ? Number.POSITIVE_INFINITY : 10);
    const lines: [string, string][] = fates
      .filter((fate) => fate !== 'finished')
      .flatMap((fate) =>
        [...Map.groupBy(this.#of(fate), ({ why = '' }) => why)].map(([why, those]): [string, string] => {
          const nodes = named(
            those.map(({ node }) => node),
            fate,
          );
          return [WORDS[fate], `${why === '' ? '' : `${why}: `}${nodes}${this.#hint(why)}`];
        }),
      );
    if (this.asked.onlyAccepted && this.#held.length > 0) lines.push(['held', named(this.#held, 'finished')]);
    const head = Math.max(0, ...lines.map(([word]) => word.length));
    const below = lines.flatMap(([word, text]) =>
      (width === undefined ? [text] : wrapped(text, Math.max(20, width - head - 4))).map(
        (line, i) => `  ${(i === 0 ? word : '').padEnd(head)}  ${line}\n`,
      ),
    );
    return [
      `${this.asked.action} on ${countText(total, 'node')}: ${counts.join(', ') || 'nothing came of it'}${lack}\n`,
      ...below,
    ].join('');
  }

  #hint(why: string): string {
    return why === 'NODE_UNREACHABLE' && !this.asked.sending.envelope && !this.asked.isRead
      ? ' (--hold has it kept)'
      : '';
  }

  #word(fate: keyof typeof WORDS): string {
    return fate === 'finished' ? finishedWord(this.asked) : WORDS[fate];
  }

  #count(fate: Fate): number {
    return this.#of(fate).length;
  }

  #of(fate: Fate) {
    return this.outcomes.filter((outcome) => outcome.fate === fate);
  }
}

/** What a request came to that went well. */
export function finishedWord({ onlyAccepted, isRead }: Asked): string {
  if (onlyAccepted) return 'accepted';
  return isRead ? 'answered' : 'finished';
}
