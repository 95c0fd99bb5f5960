import type { Asked } from './asked.ts';
import { EXIT } from './exit.ts';
import { countText, list } from './print.ts';

/** What came of a request to one node. */
export type Fate = 'finished' | 'failed' | 'refused' | 'late' | 'left' | 'unsent' | 'lacking';

/** In the order in which they are told. */
const WORDS: Readonly<Record<Exclude<Fate, 'lacking'>, string>> = {
  finished: 'finished',
  failed: 'failed',
  refused: 'refused',
  late: 'timed out',
  left: 'left running',
  unsent: 'not sent',
};

/** What came of a request to several nodes. */
export class Tally {
  readonly #outcomes: { node: string; fate: Fate; why: string }[] = [];
  readonly #held: string[] = [];

  constructor(
    private readonly asked: Asked,
    /** Whether it was for all nodes that have the action. */
    readonly all: boolean,
    private readonly waits: boolean,
  ) {}

  /** Counts a node; `why` is the code of what went wrong. */
  add(node: string, fate: Fate, why = ''): void {
    this.#outcomes.push({ node, fate, why });
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

  /** How many came to which end, then who did not finish, and why. */
  text(): string {
    const fates = (Object.keys(WORDS) as (keyof typeof WORDS)[]).filter((fate) => this.#count(fate) > 0);
    const total = fates.reduce((sum, fate) => sum + this.#count(fate), 0);
    const counts = fates.map((fate) => `${this.#count(fate)} ${this.#word(fate)}`);
    const lacking = this.#count('lacking');
    const lack = lacking === 0 ? '' : `; ${countText(lacking, 'node')} without ${this.asked.action} left out`;
    const lines: [string, string][] = fates
      .filter((fate) => fate !== 'finished')
      .flatMap((fate) =>
        [...Map.groupBy(this.#of(fate), ({ why }) => why)].map(([why, those]): [string, string] => {
          const nodes = list(those.map(({ node }) => node));
          return [WORDS[fate], `${why === '' ? '' : `${why}: `}${nodes}${this.#hint(why)}`];
        }),
      );
    if (!this.waits && this.#held.length > 0) lines.push(['held', list(this.#held)]);
    const width = Math.max(0, ...lines.map(([word]) => word.length));
    return [
      `${this.asked.action} on ${countText(total, 'node')}: ${counts.join(', ') || 'nothing came of it'}${lack}\n`,
      ...lines.map(([word, text]) => `  ${word.padEnd(width)}  ${text}\n`),
    ].join('');
  }

  #hint(why: string): string {
    return why === 'NODE_UNREACHABLE' && !this.asked.sending.envelope && !this.asked.isRead
      ? ' (--hold has it kept)'
      : '';
  }

  #word(fate: keyof typeof WORDS): string {
    if (fate !== 'finished' || !this.asked.ackOnly) return WORDS[fate];
    return this.waits ? 'answered' : 'accepted';
  }

  #count(fate: Fate): number {
    return this.#of(fate).length;
  }

  #of(fate: Fate) {
    return this.#outcomes.filter((outcome) => outcome.fate === fate);
  }
}
