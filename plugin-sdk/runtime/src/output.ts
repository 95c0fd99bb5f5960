import { StringDecoder } from 'node:string_decoder';

/** Text without an end of line that is kept for the rest of its line, in characters. */
const LINE_CHARACTERS = 8192;
const END_OF_LINE = 10;

/** What one writer has begun and not ended. */
interface Begun {
  readonly decoder: StringDecoder;
  text: string;
}

/**
 * Writes to `stream` whole lines only, those of a seat as entries that bear its mark, so that the host can tell the plugins of one process
 * apart and finds a secret that was written in pieces. What a writer has begun stays until it ends the line, the line gets too
 * long, or the process exits. `seatOf` names the seat whose code runs.
 */
export function attributeOutput(stream: NodeJS.WriteStream, seatOf: () => number | undefined): void {
  const write = stream.write.bind(stream);
  const begun = new Map<number | undefined, Begun>();
  const say = (seat: number | undefined, line: string) =>
    seat === undefined ? `${line}\n` : `${JSON.stringify({ level: 'info', $: { seat }, msg: line })}\n`;

  stream.write = (
    chunk: string | Uint8Array,
    encoding?: BufferEncoding | ((error?: Error | null) => void),
    written?: (error?: Error | null) => void,
  ): boolean => {
    const callback = typeof encoding === 'function' ? encoding : written;
    const seat = seatOf();
    const own = begun.get(seat) ?? { decoder: new StringDecoder(), text: '' };
    const bytes =
      typeof chunk === 'string' ? Buffer.from(chunk, typeof encoding === 'string' ? encoding : 'utf8') : chunk;
    const lines = (own.text + own.decoder.write(Buffer.from(bytes))).split('\n');
    own.text = lines.pop() ?? '';
    if (own.text.length > LINE_CHARACTERS) lines.push(own.text.slice(0, LINE_CHARACTERS));
    own.text = own.text.length > LINE_CHARACTERS ? own.text.slice(LINE_CHARACTERS) : own.text;
    if (own.text === '' && bytes.at(-1) === END_OF_LINE) begun.delete(seat);
    else begun.set(seat, own);
    return write(lines.map((line) => say(seat, line)).join(''), callback);
  };
  process.once('exit', () => {
    for (const [seat, { text }] of begun) if (text !== '') write(say(seat, text));
  });
}
