import { isCentreondError, type JsonObject, parseData, reasonOf } from '@centreond/protocol';
import { z } from 'zod';
import type { Log } from '../log.ts';
import type { Envelope } from '../router/envelope.ts';
import type { Logs, ToldRow } from './logs.ts';
import type { Routes } from './routes.ts';

/** How often each node's log is looked at, in case that something of it did not come by itself. */
const PASS_EVERY_MS = 60_000;
/** Nodes whose logs are looked at side by side. */
const AT_ONCE = 16;
const PAGE_ROWS = 1000;
/** Pages of one pass; the next one goes on. */
const PASS_PAGES = 10_000;
/** Of a node that has no log of its own, or does not know how to stream it. */
const LACKS: ReadonlySet<string> = new Set(['UNKNOWN_ACTION', 'NODE_LACKS_ACTION', 'FORBIDDEN']);
const EMPTY: Envelope = { text: '' };

const End = z.object({ epoch: z.string(), last: z.number() });
const Page = z.object({ result: z.array(z.unknown()), more: z.boolean() });
const Epoch = z.object({ epoch: z.string().optional() });

export interface LogSyncOptions {
  readonly logs: Logs;
  readonly log: Log;
  readonly routes: Routes;
  /** Asks a node, by the best way; rejects with its refusal. */
  ask(action: string, target: string, data: JsonObject, envelope: Envelope): Promise<string>;
  /** The rows of an answer, checked. */
  rowsOf(result: readonly unknown[]): readonly ToldRow[];
}

/** Has the logs of nodes brought up to now: when somebody asks, and once a minute. */
export class LogSync {
  readonly #options: LogSyncOptions;
  /** One pass over a node's log at a time. */
  readonly #passes = new Map<string, Promise<void>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LogSyncOptions) {
    this.#options = options;
  }

  /** Looks at all logs from now on. Call once. */
  start(): void {
    this.#timer = setTimeout(() => void this.#passAll(), PASS_EVERY_MS).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #passAll(): Promise<void> {
    const due = this.#options.routes
      .status()
      .filter(({ state, kind, router }) => state === 'up' && kind !== 'ssh' && router === undefined);
    const work = async () => {
      for (let node = due.pop(); node && this.#timer; node = due.pop()) await this.#passOne(node.id);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    if (this.#timer) this.start();
  }

  async #passOne(node: string): Promise<void> {
    await this.sync(node, EMPTY).catch((error: unknown) => {
      this.#options.log.warn({ err: error, node }, `the log of ${node} was not brought up to now: ${reasonOf(error)}`);
    });
  }

  /** Resolves when all that `node` has written so far is here. Rejects with NODE_UNREACHABLE, or what the store says. */
  async sync(node: string, envelope: Envelope): Promise<void> {
    const { logs, routes, ask } = this.#options;
    const path = routes.pick(node);
    if (path?.carrier.synchronise) return path.carrier.synchronise(node);
    // What is behind a node comes with that node's log.
    const via = path?.via ?? node;
    try {
      const { epoch, last } = End.parse(parseData(await ask('SYNCLOGS', node, {}, envelope)));
      await logs.reaches(via, epoch, last);
    } catch (error) {
      if (!isCentreondError(error) || !LACKS.has(error.code)) throw error;
      let pass = this.#passes.get(via);
      if (!pass) {
        pass = this.#pass(via, envelope).finally(() => this.#passes.delete(via));
        this.#passes.set(via, pass);
      }
      await pass;
    }
  }

  /** Fetches what a node does not stream, from the cursor on. */
  async #pass(node: string, envelope: Envelope): Promise<void> {
    const { logs, ask, routes, rowsOf } = this.#options;
    try {
      const epoch = logs.epochOf(node) ?? Epoch.parse(parseData(await ask('INFORMATION', node, {}, envelope))).epoch;
      if (epoch === undefined) return;
      for (let pages = 0; pages < PASS_PAGES; pages++) {
        const path = routes.pick(node);
        if (!path) return;
        const from = logs.positionOf(node, epoch);
        const { result, more } = Page.parse(
          parseData(await ask('GETLOG', node, { id: from, limit: PAGE_ROWS }, envelope)),
        );
        const rows = rowsOf(result);
        const last = rows.at(-1)?.id;
        if (last === undefined) return;
        const { carrier, via } = path;
        const teller = { node: via, speaksFor: (other: string) => routes.leads(carrier, via, other) };
        const taken = await logs.takeAnswer(teller, { epoch, rows, last }, from);
        if (!more || taken.last <= from) return;
      }
    } catch (error) {
      if (!isCentreondError(error) || !LACKS.has(error.code)) throw error;
    }
  }
}
