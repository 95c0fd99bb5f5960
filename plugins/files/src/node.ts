import { setTimeout as wait } from 'node:timers/promises';
import { CentreondError, isCentreondError, type JsonObject, type Transport } from '@centreond/plugin-sdk';

/** Refusals that mean that the node cannot be asked now. */
const NOT_NOW: ReadonlySet<string> = new Set([
  'NODE_UNREACHABLE',
  'BUSY',
  'STOPPING',
  'NOT_READY',
  'WAIT_OVER',
  'NOT_ACKNOWLEDGED',
  'TIMEOUT',
  'PLUGIN_CRASHED',
  'PLUGIN_KILLED',
  'INTERRUPTED',
  'NOT_CONNECTED',
  'CLIENT_CLOSED',
  'CLIENT_REPLACED',
  // It was known when the request was accepted: its carrier is not up again.
  'UNKNOWN_TARGET',
]);
/** Those that also mean it where the node has answered before: its plugin is being loaded again. */
const NOT_NOW_LATER: ReadonlySet<string> = new Set(['NODE_LACKS_ACTION', 'UNKNOWN_ACTION']);

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5000;
/** Both ends come to agree again at once; one that never does is broken. */
const OUT_OF_STEP_LIMIT = 100;

export interface NodeOptions {
  readonly transport: Transport;
  /** The node's id. */
  readonly target: string;
  readonly signal: AbortSignal;
}

/** What the receiving end does not take as things are: both ends agree again by opening. */
export class OutOfStep extends Error {}

/** The receiving end, which may be cut off at any time. */
export class Node {
  readonly #options: NodeOptions;
  #answered = false;
  #tries = 0;
  /** Why it could not be asked last; undefined since it has answered again. */
  waiting: string | undefined;

  constructor(options: NodeOptions) {
    this.#options = options;
  }

  /** Asks it. Rejects with its refusal, or at once with the reason of the signal. */
  async ask(action: string, data: object): Promise<JsonObject> {
    const { transport, target, signal } = this.#options;
    signal.throwIfAborted();
    let onAbort = () => {};
    const aborted = new Promise<never>((_, reject) => {
      onAbort = () => reject(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
    });
    try {
      const { data: answer } = await Promise.race([transport.send(action, data, { target }), aborted]);
      this.#answered = true;
      this.#tries = 0;
      this.waiting = undefined;
      return answer;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Repeats `attempt` until it resolves, with a growing delay while the node cannot be asked; rejects with any other failure. */
  async keepOn(attempt: () => Promise<void>): Promise<void> {
    const { signal } = this.#options;
    let outOfStep = 0;
    for (;;) {
      try {
        await attempt();
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (!this.#again(error)) throw error;
        if (error instanceof OutOfStep) {
          if (++outOfStep > OUT_OF_STEP_LIMIT) throw new CentreondError('FILES_OUT_OF_STEP', error.message);
        } else if (error instanceof Error) this.waiting = error.message;
      }
      const delay = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(this.#tries++, 10));
      await wait(delay * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }

  #again(error: unknown): boolean {
    if (error instanceof OutOfStep) return true;
    if (!isCentreondError(error)) return false;
    return NOT_NOW.has(error.code) || (this.#answered && NOT_NOW_LATER.has(error.code));
  }

  /** Tells it something and waits for nothing. */
  tell(action: string, data: object, failed: (error: unknown) => void): void {
    this.#options.transport.send(action, data, { target: this.#options.target }).catch(failed);
  }
}

/** The error that a file was answered with. */
export function errorOf({ error, message }: { error: string; message: string }): CentreondError {
  return new CentreondError(error, message);
}
