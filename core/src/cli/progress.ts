import { cellsOf } from './cells.ts';
import { lineOf, type Paint, viewOf } from './painted.ts';
import { spanText } from './print.ts';

const ESC = '\u001b[';
/** Often enough for the eye. */
const REDRAW_MS = 200;
const BAR_CELLS = 20;

/** How far requests to several nodes are, or another long work. */
export interface Standing {
  readonly total: number;
  /** Those that have their outcome, whatever it is. */
  readonly done: number;
  readonly running: number;
  /** What was done with them, in a word. */
  readonly verb?: string | undefined;
  /** Those that went wrong. */
  readonly failed: number;
  /** The last of them, in a word or two. */
  readonly lastFailure?: string | undefined;
  /** Which batch it is, of how many; and when the next one goes, in monotonic milliseconds. */
  readonly batch?: { readonly number: number; readonly of: number; readonly nextAt?: number | undefined } | undefined;
}

/** A line at the foot of a terminal that says how far it is; nothing at all where `stream` is no terminal. */
export class Progress implements Disposable {
  readonly #timer: NodeJS.Timeout | undefined;
  #drawn = false;

  constructor(
    private readonly stream: NodeJS.WriteStream,
    private readonly standing: () => Standing,
  ) {
    if (!stream.isTTY) return;
    this.#timer = setInterval(() => this.#draw(), REDRAW_MS);
    this.#timer.unref();
  }

  /** Takes the line away, so that something else can be printed; it is back a moment later. */
  clear(): void {
    if (this.#drawn) this.stream.write(`\r${ESC}K`);
    this.#drawn = false;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.clear();
  }

  #draw(): void {
    const { columns: width } = this.stream;
    const { paint } = viewOf(this.stream, 0);
    // One cell is left free: a full line would wrap.
    this.stream.write(`\r${progressLine(this.standing(), width - 1, performance.now(), paint)}${ESC}K`);
    this.#drawn = true;
  }
}

/** The line, in at most `width` cells: a bar if there is room for it. */
export function progressLine(standing: Standing, width: number, now: number, paint: Paint = (_, text) => text): string {
  const { total, done, running, verb, failed, lastFailure, batch } = standing;
  const next =
    batch?.nextAt === undefined ? '' : `, next in ${spanText(Math.max(0, Math.ceil((batch.nextAt - now) / 1000)))}`;
  const last = lastFailure === undefined ? '' : ` (last: ${lastFailure})`;
  const before = `${done} of ${total}${verb === undefined ? '' : ` ${verb}`}${running > 0 ? `, ${running} running` : ''}`;
  const trouble = failed > 0 ? `, ${failed} failed${last}` : '';
  const after = batch === undefined ? '' : `; batch ${batch.number} of ${batch.of}${next}`;
  const full = total === 0 ? BAR_CELLS : Math.floor((BAR_CELLS * done) / total);
  const bar = `[${'#'.repeat(full)}${'.'.repeat(BAR_CELLS - full)}] `;
  const fits = cellsOf(`${bar}${before}${trouble}${after}`) <= width;
  return lineOf([fits ? bar : '', before, { text: trouble, color: 'red' }, after], paint, width);
}
