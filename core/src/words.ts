/**
 * The candidate that `word` was probably meant to be, or undefined. Case, `-` and `_` are not told apart; beyond that, one
 * slip in three characters is forgiven (left out, put in, mistaken or swapped).
 */
export function near(word: string, candidates: readonly string[]): string | undefined {
  const plain = fold(word);
  let best: string | undefined;
  // At least one character of the word has to be right.
  let least = Math.min(plain.length - 1, Math.max(1, Math.floor(plain.length / 3))) + 1;
  for (const candidate of candidates) {
    const distance = slips(plain, fold(candidate));
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

function fold(word: string): string {
  return word.toLowerCase().replaceAll(/[-_]/g, '');
}

/** Optimal string alignment distance. */
function slips(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let least = Math.min(at(above, j) + 1, at(row, j - 1) + 1, at(above, j - 1) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, at(before, j - 2) + 1);
      row.push(least);
    }
    before = above;
    above = row;
  }
  return at(above, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
}

/** A value as it may stand in a sentence: short, and structures by kind only. */
export function describe(value: unknown): string {
  if (typeof value === 'object' || value === undefined) return kindOf(value);
  const json = JSON.stringify(value);
  return json.length > 80 ? `${json.slice(0, 77)}…` : json;
}

/** What kind of value it is, without the value itself. */
export function kindOf(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  return typeof value === 'string' ? 'text' : `a ${typeof value}`;
}

/** Controls, and what turns the direction of the text: nobody's label may steer a terminal. */
const STEERING = /[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu;

/** Text from elsewhere, fit for a terminal: what would steer it is shown as `�`. */
export function plain(text: string): string {
  return text.replaceAll(STEERING, '�');
}
