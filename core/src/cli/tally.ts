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
  readonly #nodes = new Map<Fate, Map<string, string[]>>();
  readonly #held: string[] = [];

  constructor(
    private readonly asked: Asked,
    /** Whether it was for all nodes that have the action. */
    readonly all: boolean,
    private readonly waits: boolean,
  ) {}

  /** Counts a node; `why` is the code of what went wrong. */
  add(node: string, fate: Fate, why = ''): void {
    const whys = this.#nodes.get(fate) ?? new Map<string, string[]>();
    this.#nodes.set(fate, whys);
    const those = whys.get(why);
    if (those) those.push(node);
    else whys.set(why, [node]);
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
        this.#whys(fate).map(([why, those]): [string, string] => [WORDS[fate], named(why, those) + this.#hint(why)]),
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
    return this.#whys(fate).reduce((sum, [, those]) => sum + those.length, 0);
  }

  #whys(fate: Fate): [string, string[]][] {
    return [...(this.#nodes.get(fate) ?? [])];
  }
}

function named(why: string, nodes: readonly string[]): string {
  return why === '' ? list(nodes) : `${why}: ${list(nodes)}`;
}
