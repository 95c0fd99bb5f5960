/**
 * Marks what is written to `stream` with the seat whose code wrote it, so that the host can tell the plugins of one process apart: each
 * line becomes an entry of the log. Text that ends within a line, and text of no seat, is written unchanged.
 */
export function attributeOutput(stream: NodeJS.WriteStream, seatOf: () => number | undefined): void {
  const write = stream.write.bind(stream);
  stream.write = (
    chunk: string | Uint8Array,
    encoding?: BufferEncoding | ((error?: Error | null) => void),
    written?: (error?: Error | null) => void,
  ): boolean => {
    const seat = seatOf();
    const text = typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
    const callback = typeof encoding === 'function' ? encoding : written;
    if (seat === undefined || !text.endsWith('\n'))
      return write(chunk, typeof encoding === 'string' ? encoding : undefined, callback);
    const lines = text.slice(0, -1).split('\n');
    return write(lines.map((msg) => `${JSON.stringify({ level: 'info', msg, seat })}\n`).join(''), callback);
  };
}
