import type { EnvelopeOptions, SendOptions } from '@centreond/client';
import type { Json, JsonObject } from '@centreond/protocol';
import type { Globals } from './exit.ts';
import { durationOf, momentText } from './time.ts';

/** How long the router holds a request that names no deadline. */
const HOLD_MS = 24 * 3600 * 1000;

export interface CallOptions extends Globals {
  /** A node, several with commas between, globs among them, or `all`. */
  readonly target?: string;
  /** Only nodes that have all of these labels, `key=value` each. */
  readonly label?: readonly string[];
  /** So many nodes at a time, or such a share of them. */
  readonly batch?: string;
  /** No further batch once something failed. */
  readonly failFast?: boolean;
  /** Whether an exit code of a command counts; undefined where the request says so itself. */
  readonly checkExit?: boolean;
  /** With several nodes each request has TOKEN:NODE. */
  readonly token?: string;
  readonly follow?: boolean;
  /** The pause between batches, of --wait; false for --no-wait. */
  readonly wait?: string | false;
  readonly timeout?: string;
  /** How long to keep it where there is no way to the node; empty for as long as the router does by itself. */
  readonly hold?: string;
}

/** What a request says, to whichever nodes. */
export interface Asked {
  readonly action: string;
  readonly data: JsonObject;
  /** How long to wait for it, and how long the router holds it. */
  readonly sending: Pick<SendOptions, 'timeoutMs' | 'envelope'>;
  /** Only its ACK is waited for: nobody asked for more, or its answer is there. */
  readonly ackOnly: boolean;
  /** Nobody waits for its outcome: the result is its token. */
  readonly onlyAccepted: boolean;
  /** Its ACK has its answer: there are no rows, and nothing to keep. */
  readonly isRead: boolean;
  /** A command's own exit code other than 0 is a failure. */
  readonly checkExit: boolean;
}

/** How a command failed that ran, by its output: `exit 3`, or the signal that ended it; undefined if it has no exit code or 0. */
export function exitFault(data: Json): string | undefined {
  if (typeof data !== 'object' || data === null || !('exitCode' in data)) return undefined;
  const { exitCode, signal } = data;
  if (exitCode === 0) return undefined;
  if (typeof exitCode === 'number') return `exit ${exitCode}`;
  return typeof signal === 'string' ? signal : 'no exit code';
}

/** Until when the router holds a request. */
export function untilText({ deadline }: EnvelopeOptions): string {
  return momentText(deadline ?? Math.floor((Date.now() + HOLD_MS) / 1000));
}

/** The envelope of a request that is to be held; the empty duration leaves it to the router how long. */
export function envelopeOf(hold: string): EnvelopeOptions {
  if (hold === '') return { hold: true };
  return { hold: true, deadline: Math.ceil((Date.now() + durationOf('--hold', hold)) / 1000) };
}
