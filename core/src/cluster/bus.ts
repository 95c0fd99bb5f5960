import { randomUUID } from 'node:crypto';
import { type CentreondError, failure, isCentreondError, parseJson, reasonOf } from '@centreond/protocol';
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import { z } from 'zod';
import { Pending, Unanswered } from '../fleet/pending.ts';
import type { Log } from '../log.ts';
import { authentication, isRefusal, type NatsPlace, refusalOf } from './nats-credentials.ts';
import { Parts } from './parts.ts';

/** What one router has not answered another, at most. */
const ASKED_OF_ONE = 100_000;
const CONNECT_MS = 2000;
const AGAIN_MS = 500;
/** NATS says nothing for so long, twice: it is away. */
const PING_MS = 4000;
/** A message says who sends it, and what it is, before what it holds; NATS takes so many bytes. */
const HEAD_BYTES = 1024;

const Head = z.strictObject({
  from: z.string(),
  kind: z.enum(['ask', 'answer', 'tell']),
  what: z.string(),
  number: z.int(),
  part: z.int(),
  parts: z.int(),
});
type Head = z.output<typeof Head>;

export interface BusOptions {
  /** The cluster's name. */
  readonly cluster: string;
  /** This router's id. */
  readonly id: string;
  readonly place: NatsPlace;
  readonly log: Log;
}

/** What is heard. `answer` resolves with JSON text, or rejects with a refusal. */
export interface Hearing {
  answer(from: string, what: string, text: string): Promise<string>;
  told(from: string, what: string, text: string): void;
  /** NATS is there, again or for the first time; or away, for this reason. */
  changed(away: string | undefined): void;
}

/**
 * What the routers of a cluster say to each other, over NATS. All of it can be lost: who asks has a limit, and who is told something
 * finds it in the database too.
 */
export class Bus {
  readonly #options: BusOptions;
  readonly #asked = new Map<string, Pending>();
  readonly #parts = new Parts();
  #hearing: Hearing | undefined;
  #nats: NatsConnection | undefined;
  #away: string | undefined = 'NATS was not reached yet';
  #number = 0;
  #isClosed = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(options: BusOptions) {
    this.#options = options;
  }

  get servers(): string {
    return this.#options.place.servers;
  }

  /** Why NATS is away; undefined where it is there. */
  get away(): string | undefined {
    return this.#away;
  }

  /**
   * Connects, and goes on trying where NATS is away. Rejects with a plain Error where it refuses the credentials, which says what to
   * change. Call it once.
   */
  async open(hearing: Hearing): Promise<void> {
    this.#hearing = hearing;
    try {
      await this.#connect();
    } catch (error) {
      if (isRefusal(error)) throw new Error(refusalOf(error, this.#options.place));
      this.#leave(`no NATS answers at ${this.#options.place.servers} (${reasonOf(error)})`);
      this.#tryAgain();
    }
  }

  /** Asks the router `to`. Resolves with its answer, JSON text; rejects with its refusal, or with Unanswered after `limitMs`. */
  ask(to: string, what: string, text: string, limitMs: number): Promise<string> {
    if (this.#away !== undefined) {
      return Promise.reject(failure('NODE_UNREACHABLE', { target: to, why: `is not reached: ${this.#away}` }));
    }
    let pending = this.#asked.get(to);
    if (!pending) {
      pending = new Pending(to, ASKED_OF_ONE);
      this.#asked.set(to, pending);
    }
    const number = ++this.#number;
    return pending.ask(String(number), limitMs, () => this.#send(this.#to(to), 'ask', what, number, text));
  }

  /** Tells one router something, or all for `*`. Lost where NATS is away. */
  tell(to: string, what: string, text: string): void {
    if (this.#away === undefined) this.#send(this.#to(to), 'tell', what, 0, text);
  }

  /** The router `id` is gone: what it was asked rejects with Unanswered. */
  drop(id: string): void {
    this.#asked.get(id)?.drop();
    this.#parts.drop(id);
  }

  /** Says and hears nothing more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    for (const pending of this.#asked.values()) pending.drop();
    await this.#nats?.close();
  }

  #to(id: string): string {
    const word = (text: string) => text.replaceAll('.', '%2E');
    const all = `centreond.${word(this.#options.cluster)}`;
    return id === '*' ? `${all}.nodes` : `${all}.router.${word(id)}`;
  }

  async #connect(): Promise<void> {
    // Imported only where it is used: most routers are by themselves.
    const { connect } = await import('@nats-io/transport-node');
    const { place, id } = this.#options;
    const nats = await connect({
      ...{ servers: place.servers.split(','), name: `centreond ${id}`, timeout: CONNECT_MS, noEcho: true },
      ...{ maxReconnectAttempts: -1, reconnectTimeWait: AGAIN_MS, reconnectJitter: AGAIN_MS / 2 },
      ...{ pingInterval: PING_MS, maxPingOut: 1, ignoreAuthErrorAbort: true, noAsyncTraces: true },
      ...(await authentication(place.credentials)),
    });
    if (this.#isClosed) return nats.close();
    this.#nats = nats;
    const callback = (error: Error | null, message: Msg) => {
      if (error) this.#options.log.warn({ reason: reasonOf(error) }, 'NATS reports an error');
      else this.#hear(Buffer.from(message.data));
    };
    for (const subject of [this.#to(id), this.#to('*')]) nats.subscribe(subject, { callback });
    void this.#watch(nats);
    await nats.flush();
    this.#return();
  }

  #tryAgain(): void {
    if (this.#isClosed) return;
    this.#retry = setTimeout(() => {
      this.#connect().catch((error: unknown) => {
        const { place } = this.#options;
        this.#leave(
          isRefusal(error) ? refusalOf(error, place) : `no NATS answers at ${place.servers} (${reasonOf(error)})`,
        );
        this.#tryAgain();
      });
    }, AGAIN_MS).unref();
  }

  async #watch(nats: NatsConnection): Promise<void> {
    for await (const status of nats.status()) {
      if (this.#isClosed) return;
      if (status.type === 'disconnect') this.#leave(`the connection to NATS at ${this.#options.place.servers} is lost`);
      else if (status.type === 'reconnect') this.#return();
      else if (status.type === 'error') {
        this.#options.log.warn({ reason: reasonOf(status.error) }, 'NATS reports an error');
      }
    }
  }

  #leave(reason: string): void {
    const before = this.#away;
    this.#away = reason;
    for (const pending of this.#asked.values()) pending.drop();
    if (before === reason) return;
    this.#options.log.warn(`${reason}; requests for what other routers carry are refused, or held, until it is back`);
    this.#hearing?.changed(reason);
  }

  #return(): void {
    if (this.#away === undefined) return;
    this.#away = undefined;
    this.#options.log.info(`NATS is there: ${this.#options.place.servers}`);
    this.#hearing?.changed(undefined);
  }

  #send(subject: string, kind: Head['kind'], what: string, number: number, text: string): void {
    const nats = this.#nats;
    if (!nats) return;
    const body = Buffer.from(text);
    const size = (nats.info?.max_payload ?? 1024 * 1024) - HEAD_BYTES;
    const parts = Math.max(1, Math.ceil(body.length / size));
    for (let part = 0; part < parts; part++) {
      const head: Head = { from: this.#options.id, kind, what, number, part, parts };
      this.#publish(
        nats,
        subject,
        Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), body.subarray(part * size, (part + 1) * size)]),
      );
    }
  }

  /** What cannot be sent is lost, as what NATS loses. */
  #publish(nats: NatsConnection, subject: string, message: Buffer): void {
    try {
      nats.publish(subject, message);
    } catch (error) {
      this.#options.log.debug({ err: error }, `NATS did not take a message: ${reasonOf(error)}`);
    }
  }

  #hear(message: Buffer): void {
    const end = message.indexOf('\n');
    const read = Head.safeParse(parsed(message.subarray(0, end).toString()));
    if (!read.success) {
      this.#options.log.warn('something that is no router of this version speaks on the NATS subjects of this cluster');
      return;
    }
    const { from, kind, what, number, part, parts } = read.data;
    const whole = this.#parts.take(from, `${kind} ${what} ${number}`, part, parts, message.subarray(end + 1));
    if (whole === undefined) return;
    const text = whole.toString();
    if (kind === 'answer') this.#asked.get(from)?.answer(String(number), text);
    else if (kind === 'tell') this.#tell(from, what, text);
    else void this.#answer(from, what, number, text);
  }

  #tell(from: string, what: string, text: string): void {
    try {
      this.#hearing?.told(from, what, text);
    } catch (error) {
      // Anybody may speak on these subjects whom NATS lets in.
      this.#options.log.warn(
        { err: error, router: from },
        `what ${from} told (${what}) is not understood: ${reasonOf(error)}`,
      );
    }
  }

  async #answer(from: string, what: string, number: number, text: string): Promise<void> {
    const answer = await this.#answerOf(from, what, text);
    if (answer !== undefined && this.#away === undefined) this.#send(this.#to(from), 'answer', what, number, answer);
  }

  /** Undefined where nobody knows what came of it: who asked finds that out by itself. */
  async #answerOf(from: string, what: string, text: string): Promise<string | undefined> {
    try {
      return `{"code":0,"data":${await this.#hearing?.answer(from, what, text)}}`;
    } catch (error) {
      if (error instanceof Unanswered) return undefined;
      return JSON.stringify({ code: 1, data: this.#refusal(what, error).toData() });
    }
  }

  #refusal(what: string, error: unknown): CentreondError {
    if (isCentreondError(error)) return error;
    const reference = randomUUID();
    this.#options.log.error(
      { err: error, reference },
      `what another router asked (${what}) failed: ${reasonOf(error)}`,
    );
    return failure('INTERNAL', { reference });
  }
}

function parsed(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}
