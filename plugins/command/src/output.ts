import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';

/** Bytes of one stream that are kept; the rest is read and dropped. */
const KEPT_BYTES = 1024 * 1024;
/** A chunk goes out when it has so many characters… */
const CHUNK_CHARS = 32 * 1024;
/** …or is so old. */
const CHUNK_MS = 50;
/** How long an output is still read after its command ended, where something else holds it open. */
const HELD_GRACE_MS = 1000;

/**
 * One output stream of a command: keeps its first 1 MiB as text, and hands the same text on in chunks, slowed down by what takes
 * them. A character is never cut in two; bytes that are not UTF-8 become U+FFFD.
 */
export class Output {
  /** Resolves when the stream has closed. */
  readonly closed: Promise<void>;
  readonly #source: Readable;
  readonly #give: (chunk: string) => Promise<void>;
  readonly #fail: (error: unknown) => void;
  readonly #decoder = new StringDecoder('utf8');
  #room = KEPT_BYTES;
  #truncated = false;
  #text = '';
  #waiting = '';
  #giving: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** `give` takes a chunk and resolves when it can take the next; `fail` is told why reading or giving failed. */
  constructor(source: Readable, give: (chunk: string) => Promise<void>, fail: (error: unknown) => void) {
    this.#source = source;
    this.#give = give;
    this.#fail = fail;
    this.closed = new Promise((resolve) => source.once('close', resolve));
    source.on('data', (bytes: Buffer) => this.#take(bytes));
    source.on('error', fail);
  }

  /** What was kept, as text. */
  get text(): string {
    return this.#text;
  }
  /** Whether there was more than what was kept. */
  get truncated(): boolean {
    return this.#truncated;
  }
  /** Bytes that were read and kept. */
  get keptBytes(): number {
    return KEPT_BYTES - this.#room;
  }
  /** Whether reading waits for what takes the chunks. */
  get blocked(): boolean {
    return this.#source.isPaused();
  }

  #take(bytes: Buffer): void {
    if (bytes.length > this.#room) this.#truncated = true;
    if (this.#room === 0) return;
    const kept = bytes.length > this.#room ? bytes.subarray(0, this.#room) : bytes;
    this.#room -= kept.length;
    this.#keep(this.#decoder.write(kept));
    if (this.#waiting.length < CHUNK_CHARS) this.#timer ??= setTimeout(() => this.#giveNow(), CHUNK_MS);
    else if (this.#giving) this.#source.pause();
    else this.#giveNow();
  }

  #keep(text: string): void {
    this.#text += text;
    this.#waiting += text;
  }

  #giveNow(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#giving || this.#waiting === '') return;
    const chunk = this.#waiting;
    this.#waiting = '';
    this.#giving = this.#give(chunk).then(
      () => {
        this.#giving = undefined;
        this.#giveNow();
        this.#source.resume();
      },
      (error) => this.#fail(error),
    );
  }

  /** Ends reading and hands on what is left; resolves when it is taken. What could not be read counts as truncated. */
  async finish(): Promise<void> {
    if (this.blocked) this.#truncated = true;
    this.#source.destroy();
    clearTimeout(this.#timer);
    // After a cut the decoder holds half a character, which is part of what was left out.
    if (!this.#truncated) this.#keep(this.#decoder.end());
    const rest = this.#waiting;
    this.#waiting = '';
    // Not after the chunk before: on a stop nobody may wait, and chunks keep the order of the calls.
    await Promise.all([this.#giving, rest === '' ? undefined : this.#give(rest)]);
  }
}

/** Resolves after `ms`, once all is read that had come by then: a process that was busy hears its timers before its pipes. */
export async function readFor(ms: number, outputs: readonly Output[]): Promise<void> {
  await pause(ms, undefined, { ref: false });
  const kept = () => outputs.reduce((sum, { keptBytes }) => sum + keptBytes, 0);
  let before: number;
  do {
    before = kept();
    await nextTurn();
  } while (kept() > before);
}

/** Resolves when nobody but a process outside of the command's group can be why an output is still open. */
export async function heldOpen(outputs: readonly Output[]): Promise<void> {
  do await readFor(HELD_GRACE_MS, outputs);
  while (outputs.some((output) => output.blocked));
}
