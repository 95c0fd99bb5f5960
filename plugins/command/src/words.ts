/** A command's text that is not quoted as a shell would have it; the message is a clause that names the position. */
export class QuoteError extends Error {}

/** What a shell leaves alone without quotes. */
const PLAIN = /^[A-Za-z0-9_@%+=:,./-]+$/;

function isBlank(c: string): boolean {
  return c === ' ' || c === '\t' || c === '\n';
}

/**
 * The words of `text`, quoted as for a POSIX shell: '…' keeps everything, "…" everything but \ before one of $ ` " \ and
 * newline, \ outside of quotes keeps the next character. Nothing is expanded and no character is an operator. An unquoted
 * `*` becomes `star`. Throws {@link QuoteError} on a quote that is not closed and on a \ at the very end.
 */
export function splitWords(text: string, star = '*'): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let at = 0;
  while (at < text.length) {
    const c = text[at] as string;
    if (isBlank(c)) {
      if (word !== undefined) words.push(word);
      word = undefined;
      at++;
    } else if (c === "'") {
      const end = text.indexOf("'", at + 1);
      if (end < 0) throw notClosed('single', at);
      word = (word ?? '') + text.slice(at + 1, end);
      at = end + 1;
    } else if (c === '"') {
      const [inside, end] = doubleQuoted(text, at);
      word = (word ?? '') + inside;
      at = end + 1;
    } else if (c === '\\') {
      if (at + 1 === text.length) throw new QuoteError(`the \\ at character ${at + 1} has nothing after it to quote`);
      if (text[at + 1] !== '\n') word = (word ?? '') + text[at + 1];
      at += 2;
    } else {
      word = (word ?? '') + (c === '*' ? star : c);
      at++;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

function doubleQuoted(text: string, from: number): [inside: string, end: number] {
  let inside = '';
  for (let at = from + 1; at < text.length; at++) {
    const c = text[at] as string;
    if (c === '"') return [inside, at];
    const next = text[at + 1];
    if (c === '\\' && next !== undefined && '$`"\\\n'.includes(next)) {
      if (next !== '\n') inside += next;
      at++;
    } else inside += c;
  }
  throw notClosed('double', from);
}

function notClosed(kind: string, at: number): QuoteError {
  return new QuoteError(`the ${kind} quote at character ${at + 1} is not closed`);
}

/** One text that {@link splitWords} and a shell split into exactly these words: no two lists have the same. */
export function joinWords(words: readonly string[]): string {
  return words.map((word) => (PLAIN.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(' ');
}
