import type { WriteStream } from 'node:tty';
import { stripVTControlCharacters } from 'node:util';
import { cellsOf } from './cells.ts';

const ESC = '\u001b[';
/** A screen of its own, no cursor, no wrapping; and back. */
const ENTER = `${ESC}?1049h${ESC}?25l${ESC}?7l`;
const LEAVE = `${ESC}?7h${ESC}?25h${ESC}?1049l`;
/** Terminals that know it show what is between them at once. */
const [TOGETHER, SHOW] = [`${ESC}?2026h`, `${ESC}?2026l`];
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** A terminal that is drawn again and again, until a signal ends it. However that comes about, it is left as it was. */
export class LiveScreen implements Disposable {
  readonly #out: WriteStream;
  readonly #ended = new AbortController();
  readonly #redraw: () => void;

  /** `redraw` is to draw again: the screen has another size, or was somebody else's meanwhile. */
  constructor(out: WriteStream, redraw: () => void) {
    this.#out = out;
    this.#redraw = redraw;
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
    process.on('SIGTSTP', this.#onStop);
    process.on('SIGCONT', this.#onContinue);
    process.on('exit', this.#leave);
    out.on('resize', redraw);
    out.write(ENTER);
  }

  get width(): number {
    return this.#out.columns;
  }
  get height(): number {
    return this.#out.rows;
  }
  /** Aborts where the person, or the system, asks to leave. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** Puts lines over those that are there. None may be longer than the screen is wide. */
  draw(text: string): void {
    const lines = text.replace(/\n$/, '').split('\n').slice(0, this.height);
    // Each line clears its own rest: nothing is blank in between, so nothing flickers. A full one has none to clear.
    const whole = lines.map((line) => `${line}${this.#fills(line) ? '' : `${ESC}K`}`).join('\r\n');
    const below = lines.length < this.height ? `\r\n${ESC}J` : '';
    this.#out.write(`${TOGETHER}${ESC}H${whole}${below}${SHOW}`);
  }

  [Symbol.dispose](): void {
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
    process.off('SIGTSTP', this.#onStop);
    process.off('SIGCONT', this.#onContinue);
    process.off('exit', this.#leave);
    this.#out.off('resize', this.#redraw);
    this.#leave();
  }

  #fills(line: string): boolean {
    return cellsOf(stripVTControlCharacters(line)) >= this.width;
  }

  readonly #leave = () => {
    this.#out.write(LEAVE);
  };
  readonly #onSignal = () => this.#ended.abort();
  readonly #onStop = () => {
    this.#leave();
    process.kill(process.pid, 'SIGSTOP');
  };
  readonly #onContinue = () => {
    this.#out.write(ENTER);
    this.#redraw();
  };
}
