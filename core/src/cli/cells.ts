const GRAPHEMES = new Intl.Segmenter(undefined, { granularity: 'grapheme' });
const ASCII = /^[ -~]*$/;
/** What terminals draw two cells wide: East Asian wide and full-width characters, and pictures. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}|\ufe0f/u;
const NOTHING = /^[\p{Mn}\p{Me}\p{Cf}]+$/u;

/** How many cells of a terminal a text takes. */
export function cellsOf(text: string): number {
  if (ASCII.test(text)) return text.length;
  let cells = 0;
  for (const { segment } of GRAPHEMES.segment(text)) cells += widthOf(segment);
  return cells;
}

/** A text in at most so many cells, with `…` where it was cut: at its end, or in the middle for what differs at both ends. */
export function cut(text: string, cells: number, where: 'end' | 'middle' = 'end'): string {
  if (cellsOf(text) <= cells) return text;
  if (cells < 1) return '';
  const graphemes = [...GRAPHEMES.segment(text)].map(({ segment }) => segment);
  const tail = where === 'end' ? [] : take(graphemes.toReversed(), Math.floor((cells - 1) / 2)).toReversed();
  const head = take(graphemes, cells - 1 - cellsOf(tail.join('')));
  return `${head.join('')}…${tail.join('')}`;
}

/** A text with spaces up to so many cells. */
export function padded(text: string, cells: number): string {
  return text + ' '.repeat(Math.max(0, cells - cellsOf(text)));
}

/** A text in lines of at most so many cells, broken between words; a word that is longer has a line of its own. */
export function wrapped(text: string, cells: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && cellsOf(line) + 1 + cellsOf(word) > cells) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

function take(graphemes: readonly string[], cells: number): string[] {
  const taken: string[] = [];
  let left = cells;
  for (const grapheme of graphemes) {
    left -= widthOf(grapheme);
    if (left < 0) break;
    taken.push(grapheme);
  }
  return taken;
}

function widthOf(grapheme: string): number {
  if (NOTHING.test(grapheme)) return 0;
  return WIDE.test(grapheme) ? 2 : 1;
}
