/** Bytes of messages of one router that are not whole yet. */
const BYTES_OF_ONE = 64 * 1024 * 1024;
/** Bytes of those of all routers. */
const BYTES_OF_ALL = 256 * 1024 * 1024;
/** A message that is not whole after this time has lost a part. */
const WHOLE_WITHIN_MS = 60_000;

interface Gathering {
  readonly parts: Buffer[];
  readonly begun: number;
  bytes: number;
}

/** The unfinished messages of one router, the oldest first. */
class Unfinished {
  readonly #messages = new Map<string, Gathering>();
  bytes = 0;

  get oldest(): { readonly name: string; readonly begun: number } | undefined {
    for (const [name, { begun }] of this.#messages) return { name, begun };
    return undefined;
  }

  begin(name: string, begun: number): void {
    this.remove(name);
    this.#messages.set(name, { parts: [], begun, bytes: 0 });
  }

  /** Takes the part after those that are there. Undefined where that is another one: then the message is lost. */
  add(name: string, part: number, bytes: Buffer): readonly Buffer[] | undefined {
    const message = this.#messages.get(name);
    if (!message) return undefined;
    if (message.parts.length !== part) {
      this.remove(name);
      return undefined;
    }
    message.parts.push(bytes);
    message.bytes += bytes.length;
    this.bytes += bytes.length;
    return message.parts;
  }

  has(name: string): boolean {
    return this.#messages.has(name);
  }

  remove(name: string): void {
    this.bytes -= this.#messages.get(name)?.bytes ?? 0;
    this.#messages.delete(name);
  }
}

/** Puts messages together that came in parts. NATS keeps the order; of a message that lost a part nothing is kept. */
export class Parts {
  readonly #of = new Map<string, Unfinished>();
  readonly #now: () => number;

  /** `now` is in milliseconds and never goes back. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** What messages that are not whole yet take. */
  get bytes(): number {
    let sum = 0;
    for (const { bytes } of this.#of.values()) sum += bytes;
    return sum;
  }

  /** Takes a part. Returns the message once it is whole. Where there is too much, the oldest messages give way. */
  take(from: string, name: string, part: number, parts: number, bytes: Buffer): Buffer | undefined {
    if (parts === 1) return bytes;
    const all = this.#of.get(from) ?? new Unfinished();
    this.#of.set(from, all);
    if (part === 0) all.begin(name, this.#now());
    const gathered = all.add(name, part, bytes);
    if (!gathered) return undefined;
    while (all.bytes > BYTES_OF_ONE) this.#evict(all);
    while (this.bytes > BYTES_OF_ALL) this.#evict(this.#oldest());
    if (part < parts - 1 || !all.has(name)) return undefined;
    all.remove(name);
    return Buffer.concat(gathered);
  }

  /** Drops what has waited for its parts for too long. To be called every few seconds. */
  sweep(): void {
    const before = this.#now() - WHOLE_WITHIN_MS;
    for (const all of this.#of.values()) {
      for (let { oldest } = all; oldest && oldest.begun < before; { oldest } = all) all.remove(oldest.name);
    }
  }

  /** The router `from` is gone, with what it had not finished. */
  drop(from: string): void {
    this.#of.delete(from);
  }

  #evict(all: Unfinished | undefined): void {
    if (all?.oldest) all.remove(all.oldest.name);
  }

  #oldest(): Unfinished | undefined {
    const begun = (all: Unfinished) => all.oldest?.begun ?? Number.POSITIVE_INFINITY;
    return [...this.#of.values()].sort((a, b) => begun(a) - begun(b))[0];
  }
}
