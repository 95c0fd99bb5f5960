import { randomUUID } from 'node:crypto';
import { type CentreondError, failure, isCentreondError, reasonOf } from '@centreond/protocol';
import { Pending, Unanswered } from '../fleet/pending.ts';
import type { Log } from '../log.ts';
import { DroppedMessages } from './dropped-messages.ts';
import type { NatsPlace } from './nats-credentials.ts';
import { NatsLink } from './nats-link.ts';
import { Parts } from './parts.ts';
import { type Said, SEALED_BYTES, Seal, type SealOptions } from './seal.ts';

/** What one router has not answered another, at most. */
const ASKED_OF_ONE = 100_000;
const SWEEP_MS = 10_000;
const HELLO: Said = { kind: 'hello', what: '', number: 0, asker: 0, part: 0, parts: 1 };

export interface BusOptions extends SealOptions {
  /** The cluster's name. */
  readonly cluster: string;
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
 * finds it in the database too. What is heard is by a router of the cluster and for this one, once: {@link Seal}.
 */
export class Bus {
  readonly #options: BusOptions;
  readonly #link: NatsLink;
  readonly #seal: Seal;
  readonly #dropped: DroppedMessages;
  readonly #asked = new Map<string, Pending>();
  readonly #parts = new Parts();
  #hearing: Hearing | undefined;
  #number = 0;
  #sweeping: NodeJS.Timeout | undefined;

  constructor(options: BusOptions) {
    this.#options = options;
    const { id, place, log } = options;
    this.#seal = new Seal(options);
    this.#dropped = new DroppedMessages(log);
    this.#link = new NatsLink({
      ...{ name: `centreond ${id}`, place, log },
      ...{ subjects: [this.#to(id), this.#to('*')], all: `${this.#all()}.>` },
      hello: (subject) => this.#seal.seal(subject, HELLO, Buffer.alloc(0)),
      heard: (subject, message) => this.#hear(subject, message),
      changed: (away) => this.#changed(away),
    });
  }

  get servers(): string {
    return this.#options.place.servers;
  }

  /** Why NATS is away; undefined where it is there. */
  get away(): string | undefined {
    return this.#link.away;
  }

  /** How many messages were dropped, and why. */
  get counters(): object {
    return { dropped: this.#dropped.counters };
  }

  /**
   * Connects, and goes on trying where NATS is away. Rejects with a plain Error where it refuses the credentials, or the subjects of the
   * cluster to them, which says what to change. Call it once.
   */
  async open(hearing: Hearing): Promise<void> {
    this.#hearing = hearing;
    this.#sweeping = setInterval(() => this.#parts.sweep(), SWEEP_MS).unref();
    await this.#link.open();
  }

  /** Asks the router `to`. Resolves with its answer, JSON text; rejects with its refusal, or with Unanswered after `limitMs`. */
  ask(to: string, what: string, text: string, limitMs: number): Promise<string> {
    if (this.away !== undefined) {
      return Promise.reject(failure('NODE_UNREACHABLE', { target: to, why: `is not reached: ${this.away}` }));
    }
    let pending = this.#asked.get(to);
    if (!pending) {
      pending = new Pending(to, ASKED_OF_ONE);
      this.#asked.set(to, pending);
    }
    const number = ++this.#number;
    return pending.ask(String(number), limitMs, () => this.#send(to, { kind: 'ask', what, number, asker: 0 }, text));
  }

  /** Tells one router something, or all for `*`. Lost where NATS is away. */
  tell(to: string, what: string, text: string): void {
    this.#send(to, { kind: 'tell', what, number: 0, asker: 0 }, text);
  }

  /** The router `id` is gone: what it was asked rejects with Unanswered. */
  drop(id: string): void {
    this.#asked.get(id)?.drop();
    this.#parts.drop(id);
  }

  /** Says and hears nothing more. */
  async close(): Promise<void> {
    clearInterval(this.#sweeping);
    for (const pending of this.#asked.values()) pending.drop();
    await this.#link.close();
  }

  #all(): string {
    return `centreond.${word(this.#options.cluster)}`;
  }

  #to(id: string): string {
    return id === '*' ? `${this.#all()}.nodes` : `${this.#all()}.router.${word(id)}`;
  }

  #changed(away: string | undefined): void {
    if (away !== undefined) for (const pending of this.#asked.values()) pending.drop();
    this.#hearing?.changed(away);
  }

  #send(to: string, said: Omit<Said, 'part' | 'parts'>, text: string): void {
    if (this.away !== undefined) return;
    const subject = this.#to(to);
    const body = Buffer.from(text);
    const size = this.#link.maxPayload - SEALED_BYTES;
    const parts = Math.max(1, Math.ceil(body.length / size));
    for (let part = 0; part < parts; part++) {
      const piece = body.subarray(part * size, (part + 1) * size);
      this.#link.publish(subject, this.#seal.seal(subject, { ...said, part, parts }, piece));
    }
  }

  #hear(subject: string, message: Buffer): void {
    const opened = this.#seal.open(subject, message);
    if (typeof opened === 'string') {
      this.#dropped.count(opened);
      return;
    }
    const { from, process, kind, what, number, asker, part, parts } = opened.head;
    // An answer to an earlier process of this router: its numbers are not those of this one.
    if (kind === 'hello' || (kind === 'answer' && asker !== this.#options.process)) return;
    const whole = this.#parts.take(from, `${process} ${kind} ${what} ${number}`, part, parts, opened.body);
    if (whole === undefined) return;
    const text = whole.toString();
    if (kind === 'answer') this.#asked.get(from)?.answer(String(number), text);
    else if (kind === 'tell') this.#tell(from, what, text);
    else void this.#answer(from, { kind: 'answer', what, number, asker: process }, text);
  }

  #tell(from: string, what: string, text: string): void {
    try {
      this.#hearing?.told(from, what, text);
    } catch (error) {
      // Of another version.
      this.#options.log.warn(
        { err: error, router: from },
        `what ${from} told (${what}) is not understood: ${reasonOf(error)}`,
      );
    }
  }

  async #answer(from: string, said: Omit<Said, 'part' | 'parts'>, text: string): Promise<void> {
    const answer = await this.#answerOf(from, said.what, text);
    if (answer !== undefined) this.#send(from, said, answer);
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

/** As one word of a subject. */
function word(text: string): string {
  return text.replaceAll('.', '%2E');
}
