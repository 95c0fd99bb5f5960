/** DATA of a listed request is shown up to so many bytes of its text. */
export const DATA_BYTES = 4096;
const ERROR_CHARACTERS = 255;

/** DATA as it is listed: its text, or the first 4 KiB of it as a JSON string, and of the last character all or nothing. */
export function listedData(text: string, bytes: number): string {
  return bytes > DATA_BYTES ? JSON.stringify(headOf(text)) : text || '{}';
}

function headOf(text: string): string {
  const bytes = Buffer.from(text);
  let end = Math.min(DATA_BYTES, bytes.length);
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}

/** The beginning of the error code in the data of a row that failed, which may be cut; null if it has none. */
export function errorOf(data: string): string | null {
  try {
    const { error } = JSON.parse(data) as { error?: unknown };
    return typeof error === 'string' ? error.slice(0, ERROR_CHARACTERS) : null;
  } catch {
    // Of what is cut, the code may be whole, or longer than what is shown.
    const [, code] = /^\{"error":"([^"\\]*)/.exec(data) ?? [];
    return code === undefined ? null : code.slice(0, ERROR_CHARACTERS);
  }
}
