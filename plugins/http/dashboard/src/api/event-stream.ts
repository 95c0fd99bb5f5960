import { EventParser, type ServerEvent } from './event-parser.ts';

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

export type StreamState = 'connecting' | 'live' | 'waiting';

export interface StreamOptions {
  /** Opens the stream after the event `lastId`; empty: from the start. */
  open(lastId: string, signal: AbortSignal): Promise<Response>;
  /** The error of a response that is none of 2xx. */
  refusalOf(response: Response): Promise<Error>;
  onEvent(event: ServerEvent): void;
  onState?(state: StreamState): void;
  /** An event of this name ends the stream for good. */
  readonly last?: string;
  readonly lastId?: string;
  readonly signal: AbortSignal;
  /** Resolves after `ms`, rejects when `signal` aborts. */
  wait?(ms: number, signal: AbortSignal): Promise<void>;
}

/**
 * Reads server-sent events until `last` comes or `signal` aborts. A connection that ends or fails is opened again from the event
 * after the last one seen, after growing pauses. Rejects with the refusal if the server refuses it for good, and with the
 * reason of `signal`.
 */
export async function readEvents(options: StreamOptions): Promise<void> {
  const { signal, onEvent, onState, wait = pause } = options;
  let { lastId = '' } = options;
  let failures = 0;
  for (;;) {
    signal.throwIfAborted();
    onState?.('connecting');
    const parser = new EventParser(lastId);
    try {
      const response = await options.open(lastId, signal);
      if (!response.ok) {
        if (!isPassing(response.status)) throw new Refused(await options.refusalOf(response));
        await response.body?.cancel();
      } else {
        onState?.('live');
        for await (const event of eventsOf(response, parser)) {
          lastId = event.id;
          failures = 0;
          onEvent(event);
          if (event.event === options.last) return;
        }
      }
    } catch (error) {
      if (error instanceof Refused) throw error.cause;
      signal.throwIfAborted();
    }
    onState?.('waiting');
    await wait(parser.retryMs ?? waitOf(failures++), signal);
  }
}

class Refused extends Error {
  constructor(override readonly cause: Error) {
    super(cause.message);
  }
}

/** Statuses that say: not now. */
function isPassing(status: number): boolean {
  return status === 429 || status >= 500;
}

/** Doubles with each failure in a row; a part of it by chance, so that many pages do not come back at once. */
export function waitOf(failures: number, chance = Math.random()): number {
  const whole = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures);
  return whole / 2 + (whole / 2) * chance;
}

async function* eventsOf(response: Response, parser: EventParser): AsyncGenerator<ServerEvent> {
  if (!response.body) return;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    await reader.cancel();
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = () => {
      signal.removeEventListener('abort', stop);
      resolve();
    };
    const timer = setTimeout(done, ms);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    signal.addEventListener('abort', stop, { once: true });
  });
}
