import { setImmediate } from 'node:timers/promises';
import { reasonOf } from '@centreond/protocol';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Log } from '../log.ts';
import { authentication, deniedBy, isRefusal, type NatsPlace, refusalOf } from './nats-credentials.ts';

const CONNECT_MS = 2000;
const AGAIN_MS = 500;
/** NATS says nothing for so long, twice: it is away. */
const PING_MS = 4000;
const MAX_PAYLOAD = 1024 * 1024;

export interface NatsLinkOptions {
  /** What the server shows of it. */
  readonly name: string;
  readonly place: NatsPlace;
  /** What is heard. */
  readonly subjects: readonly string[];
  /** What its user has to be let on: a pattern for all subjects. */
  readonly all: string;
  readonly log: Log;
  /** A message that says nothing: NATS takes it, or refuses it. */
  hello(subject: string): Buffer;
  heard(subject: string, message: Buffer): void;
  /** NATS is there, again or for the first time; or away, for this reason. */
  changed(away: string | undefined): void;
}

/** What came of a connection before it is used. */
interface Trial {
  isOver: boolean;
  readonly failures: unknown[];
}

/** The one connection with NATS, made again whenever it is lost. */
export class NatsLink {
  readonly #options: NatsLinkOptions;
  #nats: NatsConnection | undefined;
  #away: string | undefined = 'NATS was not reached yet';
  #isClosed = false;
  #retry: NodeJS.Timeout | undefined;
  /** Where a message was not let through: before it is there again, NATS is asked. */
  readonly #denied = new Set<string>();

  constructor(options: NatsLinkOptions) {
    this.#options = options;
  }

  /** Why NATS is away; undefined where it is there. */
  get away(): string | undefined {
    return this.#away;
  }

  /** Bytes that a message may have. */
  get maxPayload(): number {
    return this.#nats?.info?.max_payload ?? MAX_PAYLOAD;
  }

  /**
   * Connects, and goes on trying where NATS is away. Rejects with a plain Error where it refuses the credentials, or these subjects to
   * them, which says what to change. Call it once.
   */
  async open(): Promise<void> {
    try {
      await this.#connect();
    } catch (error) {
      if (isRefusal(error)) throw new Error(this.#reason(error));
      this.#leave(this.#reason(error));
      this.#tryAgain();
    }
  }

  /** What cannot be sent is lost, as what NATS loses. */
  publish(subject: string, message: Buffer): void {
    if (this.#away !== undefined) return;
    try {
      this.#nats?.publish(subject, message);
    } catch (error) {
      this.#options.log.debug({ err: error }, `NATS did not take a message: ${reasonOf(error)}`);
    }
  }

  /** Says and hears nothing more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#away = 'this router has left the cluster';
    clearTimeout(this.#retry);
    await this.#end(this.#nats);
  }

  async #connect(): Promise<void> {
    // Imported only where it is used: most routers are by themselves.
    const { connect } = await import('@nats-io/transport-node');
    const { place, name } = this.#options;
    const nats = await connect({
      ...{ servers: place.servers.split(','), name, timeout: CONNECT_MS, noEcho: true },
      ...{ maxReconnectAttempts: -1, reconnectTimeWait: AGAIN_MS, reconnectJitter: AGAIN_MS / 2 },
      ...{ pingInterval: PING_MS, maxPingOut: 1, ignoreAuthErrorAbort: true, noAsyncTraces: true },
      ...(await authentication(place.credentials)),
    });
    if (this.#isClosed) return nats.close();
    this.#nats = nats;
    const trial: Trial = { isOver: false, failures: [] };
    void this.#watch(nats, trial);
    try {
      await this.#tryOut(nats, trial);
    } catch (error) {
      // It would go on by itself, beside the next one.
      await this.#end(nats);
      throw error;
    }
    this.#denied.clear();
    this.#return();
  }

  /** Resolves once everything is heard and may be said; rejects with what NATS does not permit. */
  async #tryOut(nats: NatsConnection, trial: Trial): Promise<void> {
    const { subjects, heard, hello } = this.#options;
    for (const subject of subjects) {
      // An error is a status, too.
      const callback = (error: Error | null, { data }: { readonly data: Uint8Array }) => {
        if (!error && nats === this.#nats) heard(subject, Buffer.from(data));
      };
      nats.subscribe(subject, { callback });
    }
    for (const subject of [...subjects, ...this.#denied]) nats.publish(subject, hello(subject));
    await nats.flush();
    // What NATS refused before it answered is a status by the next turn.
    await setImmediate();
    trial.isOver = true;
    if (trial.failures.length > 0) throw trial.failures.find(isRefusal) ?? trial.failures[0];
  }

  async #watch(nats: NatsConnection, trial: Trial): Promise<void> {
    const lost = `the connection to NATS at ${this.#options.place.servers} is lost`;
    for await (const status of nats.status()) {
      if (nats !== this.#nats) return;
      if (!trial.isOver) {
        if (status.type === 'error') trial.failures.push(status.error);
        else if (status.type === 'disconnect') trial.failures.push(new Error('the connection was lost at once'));
      } else if (status.type === 'disconnect') this.#leave(lost);
      else if (status.type === 'reconnect') this.#return();
      else if (status.type === 'error') this.#failed(nats, status.error);
    }
    // NATS's client gave it up.
    if (nats !== this.#nats || !trial.isOver) return;
    this.#leave(lost);
    await this.#end(nats);
    this.#tryAgain();
  }

  #failed(nats: NatsConnection, error: Error): void {
    const denied = deniedBy(error);
    if (!denied) {
      this.#options.log.warn({ reason: reasonOf(error) }, 'NATS reports an error');
      return;
    }
    if (denied.operation === 'publish') this.#denied.add(denied.subject);
    this.#leave(this.#reason(error));
    void this.#end(nats);
    this.#tryAgain();
  }

  /** Closes a connection, once. */
  async #end(nats: NatsConnection | undefined): Promise<void> {
    if (this.#nats === nats) this.#nats = undefined;
    try {
      await nats?.close();
    } catch (error) {
      this.#options.log.debug({ err: error }, `a connection to NATS did not close well: ${reasonOf(error)}`);
    }
  }

  #tryAgain(): void {
    if (this.#isClosed) return;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      this.#connect().catch((error: unknown) => {
        this.#leave(this.#reason(error));
        this.#tryAgain();
      });
    }, AGAIN_MS).unref();
  }

  #reason(error: unknown): string {
    const { place, all } = this.#options;
    return isRefusal(error) ? refusalOf(error, place, all) : `no NATS answers at ${place.servers} (${reasonOf(error)})`;
  }

  #leave(reason: string): void {
    if (this.#isClosed || this.#away === reason) return;
    this.#away = reason;
    this.#options.log.warn(`${reason}; requests for what other routers carry are refused, or held, until it is back`);
    this.#options.changed(reason);
  }

  #return(): void {
    if (this.#isClosed || this.#away === undefined) return;
    this.#away = undefined;
    this.#options.log.info(`NATS is there: ${this.#options.place.servers}`);
    this.#options.changed(undefined);
  }
}
