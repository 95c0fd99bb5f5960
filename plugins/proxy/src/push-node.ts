import type { CarriedNode, NodeOptions } from '@centreond/carrying';
import { type Ack, failure, isCentreondError, type JsonObject, reasonOf } from '@centreond/plugin-sdk';
import type { CarriedRequest, Link, NodeAnnouncement, NodeState, Subnode } from '@centreond/plugin-sdk/nodes';
import { type About, readAbout, readSubnodes } from './far-side.ts';
import { LogIntake } from './log-intake.ts';
import type { PushConfig } from './push-config.ts';

/** What a node's announcement takes of a reason. */
const REASON_CHARACTERS = 1024;
const TICK_MS = 1000;
const BEAT_MS = 5000;
/** Without a word for so long, a node is unreachable. */
const SILENCE_MS = 15_000;
/** A session that is made anew within this time was no absence: what comes meanwhile goes again. */
const GRACE_MS = 1000;
const SYNC_LIMIT_MS = 10_000;
const CLOSE_LIMIT_MS = 2000;
/** What is logged once only is remembered up to here; then nothing more of it is logged. */
const SAID_LIMIT = 1000;

/** One session of the link, from its handshake to its end. */
interface Session {
  /** Who answers there: the node itself, or another whose id this is. */
  answers: 'nobody' | 'node' | 'stranger';
  /** Whether what the node has was asked for at least once. */
  looked: boolean;
  looking: boolean;
  synced: boolean;
}

/**
 * A node with a daemon of its own, over a link to its external door. It is up once it has said that it is the one, and what it
 * has; it is asked so again every 5 s.
 */
export class PushNode implements CarriedNode {
  readonly #link: Link;
  readonly #intake: LogIntake;
  readonly #tick: NodeJS.Timeout;
  #grace: NodeJS.Timeout | undefined;
  #session: Session | undefined;
  #linkState: NodeState = 'connecting';
  #reason = 'it was not tried yet';
  #state: NodeState = 'connecting';
  /** Monotonic milliseconds. */
  #heardAt = performance.now();
  #pingedAt = Number.NEGATIVE_INFINITY;
  #lostAt = Number.NEGATIVE_INFINITY;
  #lastPing: number | undefined;
  #lastPong: number | undefined;
  #roundTripMs: number | undefined;
  #about: About | undefined;
  #subnodes: readonly Subnode[] = [];
  readonly #allowed: ReadonlySet<string>;
  /** What was logged and is not logged again. */
  readonly #said = new Set<string>();
  #closed = false;

  constructor(
    private readonly config: PushConfig,
    private readonly options: NodeOptions,
  ) {
    const { id, address, fingerprint, subnodes } = config;
    this.#allowed = new Set(subnodes);
    this.#intake = new LogIntake(id, options.transport);
    this.#tick = setInterval(() => this.#onTick(), TICK_MS).unref();
    this.#link = options.transport.link({
      address,
      fingerprint,
      onRequest: (request) => this.#take(request),
      onState: (state, reason) => this.#onLink(state, reason),
    });
  }

  get id(): string {
    return this.config.id;
  }

  announcement(): NodeAnnouncement {
    const { id, name, labels, score, address } = this.config;
    const { labels: own, ...about } = this.#about ?? {};
    return {
      id,
      kind: 'push',
      address,
      state: this.#state,
      ...(this.#state !== 'up' && { reason: this.#reason.slice(0, REASON_CHARACTERS) }),
      ...(name !== undefined && { name }),
      ...(score !== undefined && { score }),
      ...about,
      ...((labels ?? own) && { labels: { ...own, ...labels } }),
      subnodes: this.#subnodes,
      ...(this.#lastPing !== undefined && { lastPing: this.#lastPing }),
      ...(this.#lastPong !== undefined && { lastPong: this.#lastPong }),
      ...(this.#roundTripMs !== undefined && { roundTripMs: this.#roundTripMs }),
    };
  }

  async deliver(request: CarriedRequest): Promise<Ack> {
    if (this.#session?.answers !== 'node') throw failure('NODE_UNREACHABLE', { target: request.target });
    const ack = await this.#link.forward(request);
    this.#heardAt = performance.now();
    return ack;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#tick);
    clearTimeout(this.#grace);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(resolve, CLOSE_LIMIT_MS, 'late');
    });
    const ended = await Promise.race([this.#link.close(), late]);
    clearTimeout(timer);
    if (ended === 'late')
      this.options.log.warn(`the link to ${this.id} did not close within ${CLOSE_LIMIT_MS / 1000} s`);
  }

  // ---- state ------------------------------------------------------------------------------------------------------

  #onLink(state: NodeState, reason: string): void {
    this.#linkState = state;
    if (reason !== '' && reason !== this.#reason) {
      this.#reason = reason;
      if (this.#state !== 'up') this.options.changed();
    }
    if (state === 'up') {
      this.#session = { answers: 'nobody', looked: false, looking: false, synced: false };
      void this.#beat(this.#session);
    } else if (this.#session) {
      this.#session = undefined;
      this.#lostAt = performance.now();
      this.#grace = setTimeout(() => this.#judge(), GRACE_MS);
    }
    this.#judge();
  }

  #onTick(): void {
    if (this.#session && performance.now() - this.#pingedAt >= BEAT_MS) void this.#beat(this.#session);
    this.#judge();
  }

  /** Finds out what the state is now, and tells of it where it is another. */
  #judge(): void {
    const state = this.#stateNow();
    if (state === this.#state || this.#closed) return;
    this.#state = state;
    const { log, changed } = this.options;
    const { id, address } = this.config;
    if (state === 'up') log.info({ node: id }, `the node ${id} at ${address} is up`);
    else log.warn({ node: id }, `the node ${id} at ${address} is ${state}: ${this.#reason}`);
    changed();
  }

  #stateNow(): NodeState {
    const now = performance.now();
    const silent = now - this.#heardAt >= SILENCE_MS;
    if (this.#session?.answers === 'stranger') return 'unreachable';
    if (this.#session?.looked && !silent) return 'up';
    if (this.#session && silent) this.#reason = `no answer for ${SILENCE_MS / 1000} s`;
    if (this.#state === 'up' && !silent && now - this.#lostAt < GRACE_MS) return 'up';
    return silent || this.#linkState === 'unreachable' ? 'unreachable' : 'connecting';
  }

  // ---- what is asked of the node ----------------------------------------------------------------------------------

  async #beat(session: Session): Promise<void> {
    if (!(await this.#ping(session))) return;
    if (!session.synced) void this.#askForLog(session);
    if (session.looking) return;
    session.looking = true;
    await this.#look(session);
    session.looking = false;
    session.looked = true;
    if (session !== this.#session) return;
    this.#judge();
    this.options.changed();
  }

  /** Whether the node itself answers by this session. */
  async #ping(session: Session): Promise<boolean> {
    this.#pingedAt = performance.now();
    this.#lastPing = secondsNow();
    try {
      const { id, roundTripMs } = await this.#link.ping();
      // A PING of an earlier session is sent again in the next one: its time says nothing.
      if (session !== this.#session) return false;
      if (id !== this.id) {
        this.#meetStranger(session, id);
        return false;
      }
      session.answers = 'node';
      this.#heardAt = performance.now();
      this.#lastPong = secondsNow();
      this.#roundTripMs = Math.round(roundTripMs * 1000) / 1000;
      this.options.changed();
      return true;
    } catch (error) {
      // Silence and the link's end are told by the state.
      this.options.log.debug({ node: this.id }, `no PONG from ${this.id}: ${reasonOf(error)}`);
      return false;
    }
  }

  #meetStranger(session: Session, other: string): void {
    const { id, address } = this.config;
    session.answers = 'stranger';
    this.#reason = `the router that answers there is ${other}`;
    const remedy = `Give the node the id ${other} in the config, or correct its address and fingerprint.`;
    this.#sayOnce(`at ${address} answers the router ${other}, not ${id}: nothing goes there. ${remedy}`);
    this.#judge();
  }

  async #look(session: Session): Promise<void> {
    const [about, behind] = await Promise.allSettled([readAbout(this.#link), readSubnodes(this.#link)]);
    if (session !== this.#session) return;
    if (about.status === 'fulfilled') this.#about = about.value;
    else this.#missed('INFORMATION', about.reason);
    if (behind.status === 'fulfilled') this.#subnodes = this.#accepted(behind.value);
    else this.#missed('CONSTATUS', behind.reason);
  }

  /** What was known stays: the next beat asks again. */
  #missed(action: string, error: unknown): void {
    const message = `${action} of the node ${this.id} cannot be read: ${reasonOf(error)}`;
    if (isCentreondError(error)) this.options.log.debug({ node: this.id }, message);
    else this.#sayOnce(message);
  }

  #accepted(all: readonly Subnode[]): readonly Subnode[] {
    const others = all.filter((sub) => sub.id !== this.id);
    const refused = others.filter((sub) => !this.#allowed.has(sub.id)).map((sub) => sub.id);
    const fresh = refused.filter((sub) => this.#isNews(`subnode ${sub}`));
    if (fresh.length > 0) {
      this.options.log.warn(
        { node: this.id },
        `${this.id} announces nodes that its entry here does not list under subnodes: ${fresh.join(', ')}; they are ignored`,
      );
    }
    return others.filter((sub) => this.#allowed.has(sub.id));
  }

  /** From now on the node hands up its log by this session. */
  async #askForLog(session: Session): Promise<void> {
    session.synced = true;
    try {
      await this.#link.send('SYNCLOGS', {}, { timeoutMs: SYNC_LIMIT_MS });
    } catch (error) {
      const code = isCentreondError(error) ? error.code : '';
      // Another implementation: its log is fetched.
      if (code === 'UNKNOWN_ACTION') return;
      if (code === 'FORBIDDEN') {
        this.#sayOnce(
          `${this.id} does not take this router as its parent: ${reasonOf(error)} List this router there with the role router.`,
        );
        return;
      }
      session.synced = false;
      this.options.log.debug({ node: this.id }, `${this.id} was not asked for its log yet: ${reasonOf(error)}`);
    }
  }

  #sayOnce(message: string): void {
    if (this.#isNews(message)) this.options.log.warn({ node: this.id }, message);
  }

  #isNews(what: string): boolean {
    if (this.#said.has(what) || this.#said.size >= SAID_LIMIT) return false;
    this.#said.add(what);
    return true;
  }

  // ---- what comes up the link -------------------------------------------------------------------------------------

  async #take(request: CarriedRequest): Promise<JsonObject> {
    const { id } = this;
    // Whose rows they are follows from the link: not before it is known who is at its other end.
    if (this.#session?.answers !== 'node') {
      const remedy = `This router connected to reach the node ${id}, which has not answered here.`;
      throw failure('FORBIDDEN', { identity: 'the other end of this link', what: `ask for ${request.action}`, remedy });
    }
    this.#heardAt = performance.now();
    return this.#intake.take(request);
  }
}

function secondsNow(): number {
  return Math.floor(Date.now() / 1000);
}
