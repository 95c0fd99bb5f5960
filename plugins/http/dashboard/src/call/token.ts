/** A new token: UUID version 7, which sorts by time. `random` fills bytes. */
export function newToken(now: number, random: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array): string {
  const bytes = random(new Uint8Array(16));
  for (let at = 0; at < 6; at++) bytes[at] = Math.floor(now / 2 ** (8 * (5 - at))) % 256;
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** The path of a call, on a node or here. `hold` is how long it is kept for a node that is away, such as `1h`; empty: not at all. */
export function callPath(action: string, target: string, token: string, hold = ''): string {
  const where = target === '' ? '' : `nodes/${encodeURIComponent(target)}/`;
  const query = new URLSearchParams({ token, ...(target !== '' && hold !== '' && { hold }) });
  return `${where}actions/${encodeURIComponent(action)}?${query}`;
}
