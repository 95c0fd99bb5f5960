import { splitWords } from '@centreond/command';

/** An unquoted `*` of a pattern; no argument can contain it. */
const STAR = '\0';

/** One word of a pattern: the literal texts between its stars. */
type WordPattern = readonly string[];

interface Pattern {
  /** The entry as written, where it has no star: what a shell may be given verbatim. */
  readonly verbatim: string | undefined;
  readonly words: readonly WordPattern[];
  /** Whether it ends in `**`. */
  readonly open: boolean;
}

/** Letters, digits, quotes and marks that no shell acts upon. */
const INERT = /^[\p{L}\p{N}_@%+=:,./ \t'"-]*$/u;
/** A path's segment `..`. */
const UPWARDS = /(?:^|[/=:,])\.\.(?:\/|$)/;

function parsePattern(entry: string): Pattern {
  const words = splitWords(entry, STAR);
  if (words.length === 0) throw new Error('it is empty');
  const open = words.at(-1) === STAR + STAR;
  if (open) words.pop();
  if (words.length === 0) throw new Error('** alone allows everything; leave `allow` out for that');
  if (words.some((word) => word.includes(STAR + STAR))) throw new Error('** can only be the last word');
  return {
    verbatim: open || words.some((word) => word.includes(STAR)) ? undefined : entry,
    words: words.map((word) => word.split(STAR)),
    open,
  };
}

/** Linear: each literal is looked for once, leftmost after the one before. */
function fits(pattern: WordPattern, word: string): boolean {
  const first = pattern[0] as string;
  if (pattern.length === 1) return word === first;
  const last = pattern.at(-1) as string;
  // A star is a value that the operator left open, never an option that he did not think of.
  if (first === '' && word.startsWith('-')) return false;
  if (pattern.some((literal) => literal !== '') && UPWARDS.test(word)) return false;
  if (!word.startsWith(first)) return false;
  let at = first.length;
  for (const literal of pattern.slice(1, -1)) {
    const found = word.indexOf(literal, at);
    if (found < 0) return false;
    at = found + literal.length;
  }
  return word.length - last.length >= at && word.endsWith(last);
}

/**
 * The operator's list of commands that may run. A pattern is split into words as a command is, and fits a command of the
 * same words; an unquoted `*` in a word stands for any text within that one argument, a last word `**` for any further
 * arguments. A `*` that starts a word does not stand for a leading `-`, and one beside other text not for a path with `..`.
 */
export class AllowList {
  readonly #patterns: readonly Pattern[];

  /** Throws an Error whose message is a clause that says which entry is wrong and why. */
  constructor(entries: readonly string[]) {
    this.#patterns = entries.map((entry) => {
      try {
        return parsePattern(entry);
      } catch (error) {
        throw new Error(`the pattern ${JSON.stringify(entry)} cannot be used: ${(error as Error).message}`);
      }
    });
  }

  /** Whether these words may be run as a program and its arguments. */
  allows(argv: readonly string[]): boolean {
    return this.#patterns.some(
      ({ words, open }) =>
        (open ? argv.length >= words.length : argv.length === words.length) &&
        words.every((word, index) => fits(word, argv[index] as string)),
    );
  }

  /**
   * Whether a shell may be given `text`: it is an entry without `*`, character for character, or it means nothing to a
   * shell but its words, and these may be run. Throws QuoteError as splitWords does.
   */
  allowsShell(text: string): boolean {
    if (this.#patterns.some(({ verbatim }) => verbatim === text)) return true;
    if (!INERT.test(text)) return false;
    const words = splitWords(text);
    // NAME=value before a program sets its environment.
    return words[0] !== undefined && !words[0].includes('=') && this.allows(words);
  }
}
