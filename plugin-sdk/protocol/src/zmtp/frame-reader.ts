import { COMMAND, LONG, MORE } from './wire.ts';

/** Takes what a {@link FrameReader} cuts out of a stream. May pause or stop the reader. */
export interface FrameSink {
  /**
   * The body of a message. It is a view of the received chunk if one chunk holds it whole, so keeping it keeps that chunk;
   * its bytes are never written again.
   */
  message(body: Buffer): void;
  /** The body of a command, with the same lifetime. */
  command(body: Buffer): void;
}

/** Why a stream of frames cannot go on. */
export type FrameFault = 'malformed' | 'multipart' | 'tooLarge';

const RESERVED = 0xf8;
const LONG_HEAD = 9;
const SHORT_HEAD = 2;
// The first bytes that an incomplete frame takes. After that, memory at most doubles with what arrives.
const FIRST_BYTES = 1024;
// A frame of a trusted peer up to this size takes its memory at once.
const TRUSTED_BYTES = 1024 * 1024;
const NONE = Buffer.alloc(0);

/**
 * Cuts ZMTP 3 frames out of a stream of chunks. Of a frame that is incomplete it takes at most twice the bytes that arrived,
 * and a constant (1 MiB of a trusted peer); a frame's size is checked before any memory is taken for it.
 */
export class FrameReader {
  #state: 'reading' | 'paused' | 'stopped' = 'reading';
  /** Its first `#have` bytes arrived and wait: for the rest of their frame, or for the end of a pause. */
  #kept: Buffer = NONE;
  #have = 0;
  /** Bytes of the incomplete frame, or of its head if that is incomplete. */
  #need = 0;
  #atOnce = FIRST_BYTES;

  /** Bodies may have `maxMessage` bytes, those of commands `maxCommand`. */
  constructor(
    private readonly sink: FrameSink,
    private maxMessage: number,
    private readonly maxCommand: number,
  ) {}

  /** Trusts the peer, and allows messages of `maxMessage` bytes, from the next frame on. */
  trust(maxMessage: number): void {
    this.maxMessage = maxMessage;
    this.#atOnce = TRUSTED_BYTES;
  }

  get paused(): boolean {
    return this.#state === 'paused';
  }

  /** Bytes of memory that wait for the rest of a frame, or for the end of a pause. */
  get retained(): number {
    return this.#kept.length;
  }

  /** Hands the frames in `chunk` to the sink. Returns the fault that ends the stream, once. */
  push(chunk: Buffer): FrameFault | undefined {
    if (this.#state === 'stopped') return undefined;
    if (this.#have === 0) return this.#read(chunk);
    const have = this.#have + chunk.length;
    if (have > this.#kept.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(have, Math.min(this.#need, 2 * have)));
      this.#kept.copy(grown, 0, 0, this.#have);
      this.#kept = grown;
    }
    chunk.copy(this.#kept, this.#have);
    this.#have = have;
    return this.#state === 'reading' && have >= this.#need ? this.#again() : undefined;
  }

  /** Hands up nothing more until {@link resume}, not even what has arrived. */
  pause(): void {
    if (this.#state === 'reading') this.#state = 'paused';
  }

  /** Ends a pause and hands up what waited. Returns as {@link push} does. */
  resume(): FrameFault | undefined {
    if (this.#state !== 'paused') return undefined;
    this.#state = 'reading';
    return this.#again();
  }

  /** Hands up nothing ever again, and forgets what waits. */
  stop(): void {
    this.#state = 'stopped';
    this.#kept = NONE;
    this.#have = 0;
  }

  #again(): FrameFault | undefined {
    const bytes = this.#kept.subarray(0, this.#have);
    this.#kept = NONE;
    this.#have = 0;
    return this.#read(bytes);
  }

  #read(bytes: Buffer): FrameFault | undefined {
    let at = 0;
    while (at < bytes.length && this.#state === 'reading') {
      const flags = bytes[at] as number;
      const isCommand = (flags & COMMAND) !== 0;
      const isPart = (flags & MORE) !== 0;
      // Seen before the size: a message of several frames is refused before memory is taken for its first one.
      if ((flags & RESERVED) !== 0 || (isCommand && isPart)) return this.#fault('malformed');
      if (isPart) return this.#fault('multipart');
      const head = (flags & LONG) === 0 ? SHORT_HEAD : LONG_HEAD;
      const left = bytes.length - at;
      if (left < head) return this.#keep(bytes.subarray(at), head);
      const size = sizeIn(bytes, at, head);
      if (size > (isCommand ? this.maxCommand : this.maxMessage)) return this.#fault('tooLarge');
      if (left < head + size) return this.#keep(bytes.subarray(at), head + size);
      const body = bytes.subarray(at + head, at + head + size);
      at += head + size;
      if (isCommand) this.sink.command(body);
      else this.sink.message(body);
    }
    if (this.#state === 'paused' && at < bytes.length) {
      this.#kept = bytes.subarray(at);
      this.#have = this.#kept.length;
    }
    return undefined;
  }

  /** Copies the beginning of an incomplete frame, so that it does not keep the whole chunk. */
  #keep(rest: Buffer, need: number): undefined {
    this.#kept = Buffer.allocUnsafeSlow(Math.min(need, Math.max(this.#atOnce, 2 * rest.length)));
    this.#have = rest.copy(this.#kept);
    this.#need = need;
  }

  #fault(fault: FrameFault): FrameFault {
    this.stop();
    return fault;
  }
}

function sizeIn(bytes: Buffer, at: number, head: number): number {
  if (head === SHORT_HEAD) return bytes[at + 1] as number;
  // Above 2^53 this is not exact, and far beyond every limit.
  return bytes.readUInt32BE(at + 1) * 2 ** 32 + bytes.readUInt32BE(at + 5);
}
