/** Text that parsers trip over. */
const WORDS = [
  ...[
    '[',
    ']',
    '] [',
    ' ',
    '"',
    "'",
    '{',
    '}',
    ',',
    ':',
    '\\',
    '\0',
    '\n',
    '\r',
    '\t',
    '=',
    '.',
    '+',
    '/',
    '-',
    '&',
    '*',
  ],
  ...['0', '-0', '-1', '1e309', '-1e309', '1e-400', '9007199254740993', '4294967296', '2147483648', 'NaN', 'Infinity'],
  ...[
    'null',
    'true',
    '[]',
    '{}',
    '""',
    '__proto__',
    'constructor',
    'toString',
    '$',
    '$ref',
    'length',
    '~',
    '<<',
    '...',
  ],
  ...['\\ud800', '\\u0000', '\u00e9', '\u2028', '\ufeff', '\ud83d\ude00', '\ud800', '==', '%', '---', '!!js', '#', '|'],
];
const BYTES = [0x00, 0x01, 0x02, 0x04, 0x08, 0x0a, 0x20, 0x5b, 0x5d, 0x7f, 0x80, 0xbf, 0xc0, 0xed, 0xf4, 0xfe, 0xff];
const SIZES = [0, 1, 2, 3, 4, 7, 8, 12, 27, 28, 31, 32, 63, 64, 65, 254, 255, 256, 257, 1023, 1024, 1025];
/** A mutation copies at most this many bytes. */
const LONGEST_COPY = 64;

/** The chance by which a case is made. The same seed makes the same case. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Of [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    const state = this.#state;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number of [0, limit). */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  chance(part: number): boolean {
    return this.next() < part;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }

  /** What one of `kinds` makes. */
  one<T>(kinds: readonly (() => T)[]): T {
    return this.pick(kinds)();
  }

  /** Up to `limit` things. */
  list<T>(limit: number, make: (index: number) => T): T[] {
    return Array.from({ length: this.below(limit + 1) }, (_, i) => make(i));
  }

  word(): string {
    return this.pick(WORDS);
  }

  /** A size near a limit that protocols have. */
  size(limit: number): number {
    return this.chance(0.5) ? Math.min(limit, this.pick(SIZES)) : this.below(limit + 1);
  }

  bytes(length: number): Buffer {
    const out = Buffer.allocUnsafe(length);
    for (let i = 0; i < length; i++) out[i] = this.chance(0.2) ? this.pick(BYTES) : this.below(256);
    return out;
  }

  /** `length` characters of `alphabet`. */
  text(alphabet: string, length: number): string {
    let out = '';
    for (let i = 0; i < length; i++) out += alphabet[this.below(alphabet.length)];
    return out;
  }

  /** Any text, up to `limit` characters. */
  anyText(limit: number): string {
    return this.one([
      () => this.word(),
      () =>
        this.list(4, () => this.word())
          .join('')
          .slice(0, limit),
      () => this.text('abcXYZ019._:-/ ', this.size(limit)),
      () => this.bytes(this.below(Math.min(limit, 40) + 1)).toString('latin1'),
    ]);
  }

  /** A JSON value, at most `depth` containers within one another. */
  json(depth = 4): unknown {
    const leaf: (() => unknown)[] = [
      () => null,
      () => this.chance(0.5),
      () => this.pick([0, -0, -1, 1, 1.5, 1e300, 5e-324, 2 ** 31, 2 ** 53, -(2 ** 53), 65_537]),
      () => this.below(1000),
      () => this.anyText(60),
    ];
    if (depth <= 0) return this.one(leaf);
    return this.one<unknown>([
      ...leaf,
      () => this.list(5, () => this.json(depth - 1)),
      () =>
        Object.fromEntries(
          this.list(5, () => [this.chance(0.3) ? this.word() : this.text('abc', 2), this.json(depth - 1)]),
        ),
    ]);
  }

  /** `value`, a JSON value, with a few of its parts replaced, removed, renamed, copied or nested. */
  mutatedJson(value: unknown, part = 0.08): unknown {
    if (this.chance(part * 0.5)) return this.json(2);
    if (Array.isArray(value)) {
      const items = value.flatMap((item) => this.#copies(part, this.mutatedJson(item, part)));
      return this.chance(part * 0.3) ? [items] : items;
    }
    if (typeof value !== 'object' || value === null) {
      if (!this.chance(part)) return value;
      return this.one([() => this.json(1), () => String(value) + this.word(), () => [value], () => ({ value })]);
    }
    const entries = Object.entries(value).flatMap(([key, item]) =>
      this.#copies(part * 0.5, [
        this.chance(part * 0.3) ? this.anyText(20) : key,
        this.mutatedJson(item, part),
      ] as const),
    );
    if (this.chance(part)) entries.push([this.anyText(20), this.json(2)]);
    return Object.fromEntries(entries);
  }

  #copies<T>(part: number, one: T): T[] {
    if (!this.chance(part)) return [one];
    return this.chance(0.7) ? [] : [one, one];
  }

  /** `bytes` with one to four changes. */
  mutated(bytes: Buffer, other: Buffer = bytes): Buffer {
    let out = Buffer.from(bytes);
    for (let times = 1 + this.below(4); times > 0; times--) {
      const at = this.below(out.length + 1);
      const to = Math.min(out.length, at + this.below(LONGEST_COPY));
      const from = this.below(other.length + 1);
      const middle = this.one<Buffer>([
        () => Buffer.alloc(0),
        () => this.bytes(this.below(9)),
        () => Buffer.from(this.word()),
        () => Buffer.concat([out.subarray(at, to), out.subarray(at, to)]),
        () => out.subarray(at, to).map((byte) => byte ^ (1 << this.below(8))) as Buffer,
        () => other.subarray(from, from + this.below(LONGEST_COPY)),
        () => Buffer.alloc(this.size(300), this.pick(BYTES)),
      ]);
      // A cut end is what a broken connection leaves.
      const rest = this.chance(0.1) ? Buffer.alloc(0) : out.subarray(to);
      out = Buffer.concat([out.subarray(0, at), middle, rest]);
    }
    return out;
  }
}
