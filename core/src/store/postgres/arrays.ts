/** Arrays as PostgreSQL reads them in its binary format: nothing to quote here, nothing to parse there. */

const TEXT = 25;
const BIGINT = 20;
const HEADER = 20;

function header(buffer: Buffer, type: number, length: number): number {
  buffer.writeInt32BE(length === 0 ? 0 : 1, 0);
  buffer.writeInt32BE(0, 4);
  buffer.writeInt32BE(type, 8);
  if (length === 0) return 12;
  buffer.writeInt32BE(length, 12);
  buffer.writeInt32BE(1, 16);
  return HEADER;
}

/** `text[]` */
export function textArray(texts: readonly string[]): Buffer {
  const stored = texts.map(toStored);
  let size = HEADER;
  for (const text of stored) size += 4 + Buffer.byteLength(text);
  const buffer = Buffer.allocUnsafe(texts.length === 0 ? 12 : size);
  let at = header(buffer, TEXT, texts.length);
  for (const text of stored) {
    const bytes = buffer.write(text, at + 4);
    buffer.writeInt32BE(bytes, at);
    at += 4 + bytes;
  }
  return buffer;
}

/** `bigint[]` */
export function bigintArray(numbers: readonly number[]): Buffer {
  const buffer = Buffer.allocUnsafe(numbers.length === 0 ? 12 : HEADER + 12 * numbers.length);
  let at = header(buffer, BIGINT, numbers.length);
  for (const number of numbers) {
    buffer.writeInt32BE(8, at);
    buffer.writeBigInt64BE(BigInt(number), at + 4);
    at += 12;
  }
  return buffer;
}

/** The bytes of all texts in an array. */
export function textBytes(array: Buffer, length: number): number {
  return length === 0 ? 0 : array.length - HEADER - 4 * length;
}

// PostgreSQL's text cannot hold U+0000, SQLite's can. U+0001 starts an escape, which keeps the order and the beginnings of texts.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is escaped.
const ESCAPED = /[\u0000\u0001]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is escaped.
const ESCAPES = /\u0001([\u0001\u0002])/g;

/** A text as it is stored. */
export function toStored(text: string): string {
  if (!text.includes('\u0000') && !text.includes('\u0001')) return text;
  return text.replace(ESCAPED, (one) => (one === '\u0000' ? '\u0001\u0001' : '\u0001\u0002'));
}

/** A stored text as it was. */
export function fromStored(text: string): string {
  if (!text.includes('\u0001')) return text;
  return text.replace(ESCAPES, (_, which: string) => (which === '\u0001' ? '\u0000' : '\u0001'));
}
