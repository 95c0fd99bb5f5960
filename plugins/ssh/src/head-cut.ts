import { Transform, type TransformCallback } from 'node:stream';

/** What a login shell may say before the mark; of more, the last is looked at. */
const BEFORE_BYTES = 64 * 1024;
const NEWLINE = 10;

/**
 * Passes on what a command writes and keeps back what is not its own: all up to the line that starts with the mark, and a
 * second such line right after it, by which the script says that there will be no command.
 */
export class HeadCut extends Transform {
  /** Resolves with the first line's words after the mark once it has come; with undefined where the stream ends before. */
  readonly head: Promise<string[] | undefined>;
  /** The second line's words after the mark. */
  refusal: string[] | undefined;
  readonly #mark: Buffer;
  #tell: (words: string[] | undefined) => void = () => {};
  #at: 'before' | 'after' | 'through' = 'before';
  #held: Buffer = Buffer.alloc(0);

  constructor(mark: string) {
    super();
    this.#mark = Buffer.from(mark);
    this.head = new Promise((resolve) => {
      this.#tell = resolve;
    });
    this.once('close', () => this.#tell(undefined));
  }

  /** What came instead of the mark. */
  get before(): string {
    return this.#at === 'before' ? this.#held.toString() : '';
  }

  override _transform(bytes: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    if (this.#at === 'through') {
      done(null, bytes);
      return;
    }
    this.#held = Buffer.concat([this.#held, bytes]);
    this.#look();
    done();
  }

  override _flush(done: TransformCallback): void {
    this.#tell(undefined);
    if (this.#at === 'after') this.push(this.#held);
    done();
  }

  #look(): void {
    if (this.#at === 'before') {
      const from = this.#held.indexOf(this.#mark);
      const end = from < 0 ? -1 : this.#held.indexOf(NEWLINE, from);
      if (end < 0) {
        this.#held = this.#held.subarray(-BEFORE_BYTES);
        return;
      }
      this.#at = 'after';
      this.#tell(this.#words(from, end));
      this.#held = this.#held.subarray(end + 1);
    }
    const length = Math.min(this.#held.length, this.#mark.length);
    const marked = this.#held.subarray(0, length).equals(this.#mark.subarray(0, length));
    const end = marked ? this.#held.indexOf(NEWLINE) : -1;
    // It may still become a line of ours.
    if (marked && end < 0) return;
    if (marked) this.refusal = this.#words(0, end);
    this.#at = 'through';
    const rest = marked ? this.#held.subarray(end + 1) : this.#held;
    this.#held = Buffer.alloc(0);
    if (rest.length > 0) this.push(rest);
  }

  #words(from: number, end: number): string[] {
    return this.#held
      .toString('latin1', from + this.#mark.length, end)
      .split(' ')
      .filter((word) => word !== '');
  }
}
