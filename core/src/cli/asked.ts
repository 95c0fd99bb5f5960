import type { EnvelopeOptions, SendOptions } from '@centreond/client';
import type { JsonObject } from '@centreond/protocol';
import { parseDuration } from '../config/units.ts';
import { misuse } from './connection.ts';
import type { Globals } from './exit.ts';
import { momentText } from './print.ts';

/** How long the router holds a request that names no deadline. */
const HOLD_MS = 24 * 3600 * 1000;

export interface CallOptions extends Globals {
  /** A node, several with commas between, or `all`. */
  readonly target?: string;
  /** With several nodes each request has TOKEN:NODE. */
  readonly token?: string;
  readonly follow?: boolean;
  /** `--no-wait`. */
  readonly wait: boolean;
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
  /** Its ACK has its answer: there are no rows, and nothing to keep. */
  readonly isRead: boolean;
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

/** Milliseconds of an option. Throws wrong usage. */
export function durationOf(option: string, text: string): number {
  const parsed = parseDuration(text);
  if (typeof parsed === 'number') return parsed;
  throw misuse(`${option} ${text}: ${parsed.refused}. Write a whole number and ms, s, m, h or d.`);
}
