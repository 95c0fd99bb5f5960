/** One server-sent event. */
export interface ServerEvent {
  /** The last id that the stream gave, with this event or before it. */
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

/** Reads server-sent events from text that comes in pieces, cut anywhere. */
export class EventParser {
  #rest = '';
  #isAfterReturn = false;
  #event = '';
  #data: string[] = [];
  #id = '';
  /** How long the server asks to wait before the next connection, in milliseconds. */
  retryMs: number | undefined;

  constructor(lastId = '') {
    this.#id = lastId;
  }

  /** The id from which to go on. */
  get lastId(): string {
    return this.#id;
  }

  /** The events that `text` completes. */
  push(text: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    for (const line of this.#lines(text)) {
      if (line === '') {
        if (this.#data.length > 0) {
          events.push({ id: this.#id, event: this.#event || 'message', data: this.#data.join('\n') });
        }
        this.#event = '';
        this.#data = [];
      } else this.#field(line);
    }
    return events;
  }

  /** Lines end with CR, LF or both; a CR at the end of a piece may have its LF in the next one. */
  #lines(text: string): string[] {
    let all = this.#rest + text;
    if (this.#isAfterReturn && all.startsWith('\n')) all = all.slice(1);
    if (all !== '') this.#isAfterReturn = all.endsWith('\r');
    const lines = all.split(/\r\n|\r|\n/);
    this.#rest = lines.pop() ?? '';
    return lines;
  }

  #field(line: string): void {
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'data') this.#data.push(value);
    else if (name === 'event') this.#event = value;
    else if (name === 'id' && !value.includes('\0')) this.#id = value;
    else if (name === 'retry' && /^\d+$/.test(value)) this.retryMs = Number(value);
  }
}
