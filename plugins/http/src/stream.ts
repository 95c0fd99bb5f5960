import { setTimeout as pause } from 'node:timers/promises';
import type { CallerSession } from '@centreond/plugin-sdk/callers';
import type { FastifyReply } from 'fastify';
import type { Caller } from './callers.ts';
import { leftOf } from './calls.ts';
import { answerOf } from './failure.ts';

/** A line goes at least so often, so that nothing between here and the reader takes the connection for dead. */
const ALIVE_MS = 15_000;
const REFUSED_WITHIN_MS = 500;
const READ_WITHIN_MS = 60_000;

/** One server-sent event. */
export interface ServerSentEvent {
  readonly id: string | number;
  readonly event: string;
  readonly data: unknown;
}

/**
 * Answers with what `events` yields as server-sent events, until it ends, the reader leaves or `stopping` aborts. A slow reader
 * makes it wait. Rejects with a refusal that comes at once; one that comes later is the last event, `error`.
 */
export async function stream(
  caller: Caller,
  reply: FastifyReply,
  stopping: AbortSignal,
  events: (session: CallerSession, signal: AbortSignal) => AsyncIterable<ServerSentEvent>,
): Promise<void> {
  const { session, close } = caller.open();
  const signal = AbortSignal.any([leftOf(reply), stopping]);
  const source = events(session, signal)[Symbol.asyncIterator]();
  const first = source.next();
  try {
    // A refusal comes at once, and is an answer like any other. Where nothing happens yet, the stream begins all the same.
    await Promise.race([first, pause(REFUSED_WITHIN_MS, undefined, { ref: false })]);
  } catch (error) {
    close();
    throw error;
  }
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(200, {
    ...headersOf(reply),
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
    'x-content-type-options': 'nosniff',
  });
  raw.write(': connected\n\n');
  const alive = setInterval(() => raw.write(': alive\n\n'), ALIVE_MS);
  try {
    for (let next = await first; !next.done && !signal.aborted; next = await source.next()) {
      const { id, event, data } = next.value;
      const isTaken = raw.write(`id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
      if (!isTaken) await drained(reply, signal);
    }
  } catch (error) {
    if (!signal.aborted) raw.write(`event: error\ndata: ${JSON.stringify(answerOf(error).body)}\n\n`);
  } finally {
    clearInterval(alive);
    close();
    await source.return?.();
    raw.end();
  }
}

function headersOf(reply: FastifyReply): Record<string, string> {
  return Object.fromEntries(Object.entries(reply.getHeaders()).map(([name, value]) => [name, String(value)]));
}

function drained({ raw }: FastifyReply, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    // A reader that does not read loses its place.
    const limit = setTimeout(() => raw.destroy(), READ_WITHIN_MS).unref();
    const done = () => {
      clearTimeout(limit);
      raw.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    raw.once('drain', done);
    signal.addEventListener('abort', done, { once: true });
  });
}
