/** Bytes of messages of one router that are not whole yet. */
const BYTES_OF_ONE = 64 * 1024 * 1024;

interface Gathering {
  readonly parts: Buffer[];
  bytes: number;
}

/** Puts messages together that came in parts. NATS keeps the order; of a message that lost a part nothing is kept. */
export class Parts {
  readonly #of = new Map<string, Map<string, Gathering>>();

  /** Takes a part. Returns the message once it is whole. */
  take(from: string, name: string, part: number, parts: number, bytes: Buffer): Buffer | undefined {
    if (parts === 1) return bytes;
    const all = this.#of.get(from) ?? new Map<string, Gathering>();
    this.#of.set(from, all);
    if (part === 0) all.set(name, { parts: [], bytes: 0 });
    const gathering = all.get(name);
    if (!gathering) return undefined;
    gathering.bytes += bytes.length;
    if (gathering.parts.length !== part || this.#bytesOf(all) > BYTES_OF_ONE) {
      all.delete(name);
      return undefined;
    }
    gathering.parts.push(bytes);
    if (part < parts - 1) return undefined;
    all.delete(name);
    return Buffer.concat(gathering.parts);
  }

  /** The router `from` is gone, with what it had not finished. */
  drop(from: string): void {
    this.#of.delete(from);
  }

  #bytesOf(all: Map<string, Gathering>): number {
    let sum = 0;
    for (const { bytes } of all.values()) sum += bytes;
    return sum;
  }
}
