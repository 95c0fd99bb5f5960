import type { CallOptions, Clock } from '@centreond/plugin-sdk';
import type { Manifest } from '@centreond/plugin-sdk/internal';
import {
  type CentreondError,
  FAILED,
  FINISHED,
  FrameError,
  failure,
  faultOf,
  formatAck,
  type HistoryRow,
  isTerminal,
  type Json,
  type JsonObject,
  MAX_DEPTH,
  MAX_ELEMENTS,
  newToken,
  type Outcome,
  parseData,
  parseJson,
  parseMessage,
  TooManyElements,
} from '@centreond/protocol';
import { type Answer, type TestAction, toldError } from './answers.ts';
import { TestCoreActions } from './core-actions.ts';
import { Crew, type InstanceHost } from './crew.ts';
import { TestFaults } from './faults.ts';
import { TestHistory } from './history.ts';
import { type Asking, TestLadder } from './ladder.ts';
import type { LateRow } from './log-lines.ts';
import { TestNodes } from './nodes.ts';
import type { Role, TestPeer } from './peer.ts';
import { TestCallers } from './test-callers.ts';
import { TestRequests } from './test-requests.ts';
import { TestServices } from './test-services.ts';

/** How long a call of the testing kit waits where it is not told, so that no test hangs. */
const CALL_LIMIT_MS = 10_000;
/** Open requests of one identity, as in the real router's config. */
const OPEN_LIMIT = 100_000;

/** How the testing kit makes a request. */
export interface TestCall extends Pick<CallOptions, 'token' | 'signal' | 'onRow' | 'target'> {
  /** Who asks; `@local` if omitted. */
  readonly identity?: string;
  /** What the caller may be; `client`, or `admin` for `@local`, if omitted. */
  readonly roles?: readonly Role[];
  /** When the request is no longer wanted: whole seconds since the epoch, by the clock of the test. */
  readonly deadline?: number;
  /** Milliseconds of real time to wait for the end before WAIT_OVER; 10,000 if omitted. */
  readonly timeoutMs?: number;
  /** Hands the input to the plugin even where the router would refuse it: to see what the plugin's own schema says. */
  readonly unchecked?: boolean;
}

/** How a request ended, with every row of its token, the terminal one last. */
export interface TestOutcome<Output = Json> extends Omit<Outcome, 'data'> {
  /** The action's output where `ok`, else `{error, message}`. */
  readonly data: Output;
  readonly rows: readonly HistoryRow[];
}

export interface TestRouterOptions {
  readonly manifest: Manifest;
  readonly clock: Clock;
  readonly maxMessage: number;
  /** What other actions answer, by name, here and on every node. */
  readonly answers: Readonly<Record<string, Answer | TestAction>>;
  readonly state: Map<string, Json>;
  /** Open requests of one identity; 100,000 if omitted. */
  readonly maxRequests?: number | undefined;
  /** The one instance that takes every request; if omitted, those that the manifest declares. */
  readonly only?: string;
  readonly instances: InstanceHost;
  /** Ends the instances as the death of their processes does. */
  crash(): void;
}

/**
 * A router for one plugin, in memory: it checks, records, hands over, ends and shows requests as the real one does, and answers
 * what the plugin asks of it. It knows neither processes nor sockets. `test/kit` compares the two.
 */
export class TestRouter {
  readonly history: TestHistory;
  readonly services: TestServices;
  /** Those for whom the plugin calls, by `callAs`. */
  readonly callers: TestCallers;
  /** The nodes that requests may name as TARGET: those of the test, and those that the plugin carries. */
  readonly nodes: TestNodes;
  readonly faults: TestFaults;
  /** @internal */
  readonly crew: Crew;
  readonly #requests: TestRequests;
  readonly #core: TestCoreActions;
  readonly #ladder: TestLadder;
  readonly #instances = new Map<string, TestPeer>();

  constructor(readonly options: TestRouterOptions) {
    const { manifest, clock, maxMessage, answers, instances, maxRequests = OPEN_LIMIT } = options;
    this.faults = new TestFaults(() => options.crash());
    this.history = new TestHistory(clock);
    this.#requests = new TestRequests(this.history, clock, maxRequests);
    const hears = (event: string) => this.#hearers(event);
    const toInstance = (id: string, message: string) => instances.send(id, message);
    this.services = new TestServices(manifest, options.state, toInstance, hears);
    const take = (peer: TestPeer, message: string) => this.#take(peer, message);
    this.callers = new TestCallers({ type: manifest.type, toInstance, take });
    const { services, callers } = this;
    const ready = (address: string) => services.ready(address);
    const vacant = (address: string) => {
      services.gone(address);
      callers.gone(address);
    };
    this.crew = new Crew(manifest, this.#requests, instances, ready, vacant, options.only);
    this.nodes = new TestNodes(this.services, this.#requests, answers);
    const checkReserved: TestLadder['checkReserved'] = (...who) => this.#ladder.checkReserved(...who);
    const { history, crew } = this;
    const requests = this.#requests;
    this.#core = new TestCoreActions({ type: manifest.type, maxMessage, history, requests, crew, checkReserved });
    this.#ladder = new TestLadder({
      manifest,
      clock,
      history,
      requests,
      crew,
      core: this.#core,
      nodes: this.nodes,
      services: this.services,
    });
  }

  /** The tokens of requests that have not ended. */
  get open(): readonly string[] {
    return this.#requests.open;
  }
  /** Rows that came after the end of their token, or under one that nobody knows: the real router drops them. */
  get late(): LateRow[] {
    return this.#requests.late;
  }
  /** Tokens that the router had to end itself, since the plugin did not within 6 s of the abort. */
  get abandoned(): readonly string[] {
    return this.#requests.abandoned;
  }
  /** Why nothing is handed over any more. */
  get gone(): CentreondError | undefined {
    return this.crew.gone;
  }
  set gone(why: CentreondError | undefined) {
    this.crew.gone = why;
  }

  /**
   * Connects a peer that speaks the protocol's messages, as a client, a node or a router does after its handshake. `receive` takes
   * ACK, PONG and LOG. The result sends a message; what is malformed is answered, and never thrown.
   */
  connect(
    { identity, roles }: { readonly identity: string; readonly roles: readonly Role[] },
    receive: (message: string) => void,
  ): (message: string) => void {
    const peer: TestPeer = { identity, roles, send: receive };
    return (message) => this.#take(peer, message);
  }

  /**
   * Makes a request and resolves with how it ended; a repeat resolves with how the first one ended. Rejects with what the router
   * would answer instead of taking it (UNKNOWN_ACTION, FORBIDDEN, INVALID_DATA …), or WAIT_OVER.
   */
  async call(name: string, input: object, options: TestCall = {}): Promise<TestOutcome> {
    const { signal, onRow, timeoutMs = CALL_LIMIT_MS } = options;
    signal?.throwIfAborted();
    const token = this.send(name, input, options);
    const row = await new Promise<HistoryRow>((resolve, reject) => {
      const settle = (act: () => void) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        unfollow();
        act();
      };
      const onAbort = () => settle(() => reject(signal?.reason));
      const timer = setTimeout(
        () => settle(() => reject(failure('WAIT_OVER', { token, seconds: timeoutMs / 1000 }))),
        timeoutMs,
      );
      signal?.addEventListener('abort', onAbort, { once: true });
      let unfollow = () => {};
      unfollow = this.history.follow(token, 0, (each) => {
        onRow?.(each);
        if (isTerminal(each.code)) queueMicrotask(() => settle(() => resolve(each)));
      });
    });
    const rows = this.history.rows.filter((each) => each.token === token && each.id <= row.id);
    const ok = row.code === FINISHED;
    return { token, ok, code: ok ? FINISHED : FAILED, data: row.data, row, rows };
  }

  /** Makes a request and returns its token once it is recorded, or repeats an earlier one. Throws the refusals of {@link call}. */
  send(name: string, input: object, options: TestCall = {}): string {
    const { manifest } = this.options;
    if (manifest.actions.some((action) => action.name === name && action.reply === 'ack')) {
      const reason = `${name} answers in the ACK and has no rows; ask() shows its answer`;
      throw failure('INVALID_PLUGIN', { plugin: manifest.type, reason });
    }
    const { token = newToken() } = options;
    const taken = this.#ladder.take(this.#peerOf(options), this.#asking(name, token, input, options));
    if (!(taken instanceof Promise)) taken.after?.();
    return token;
  }

  /**
   * Asks an action with `reply: 'ack'` and resolves with its answer. Rejects with what the router refuses, what the action
   * throws, TIMEOUT once the time that it declares is over, and what ended the plugin meanwhile.
   */
  async ask(name: string, input: object, options: TestCall = {}): Promise<JsonObject> {
    const { manifest } = this.options;
    if (manifest.actions.some((action) => action.name === name && action.reply !== 'ack')) {
      const reason = `${name} ends by a row and does not answer in the ACK; call() shows how it ends`;
      throw failure('INVALID_PLUGIN', { plugin: manifest.type, reason });
    }
    const { token = newToken() } = options;
    const taken = await this.#ladder.take(this.#peerOf(options), this.#asking(name, token, input, options));
    taken.after?.();
    return taken.data;
  }

  #peerOf({ identity = '@local', roles = [identity === '@local' ? 'admin' : 'client'] }: TestCall): TestPeer {
    return { identity, roles, send: () => {} };
  }

  #asking(action: string, token: string, input: object, options: TestCall): Asking {
    const { target = '', deadline, unchecked = false } = options;
    const data = parseData(JSON.stringify(input));
    const fault = faultOf(data, MAX_DEPTH);
    if (fault) throw failure('INVALID_DATA', { action, reason: fault });
    return { action, token, target, data, envelope: deadline === undefined ? undefined : { deadline }, unchecked };
  }

  /** `accepted` is told of the action of a message that is not refused, once its ACK is sent. */
  #take(peer: TestPeer, message: string, accepted: (action: string) => void = () => {}): void {
    let token = '';
    let action = '';
    const refuse = (error: unknown) => {
      peer.send(formatAck(token, 1, JSON.stringify(toldError(error).toData())));
      this.#core.refused(peer, token);
    };
    try {
      const { maxMessage: limit } = this.options;
      const bytes = Buffer.byteLength(message);
      if (bytes > limit) throw failure('TOO_LARGE', { bytes, limit });
      const parsed = parseMessage(message);
      ({ token, action } = parsed);
      const { $, ...data } = dataOf(action, parsed.data, token);
      const taken = this.#ladder.take(peer, {
        action,
        token,
        target: parsed.target,
        data,
        envelope: $,
        unchecked: false,
      });
      const answer = (ack: Awaited<typeof taken>) => {
        const text = formatAck(ack.token, 0, JSON.stringify(ack.data));
        peer.send(action === 'PING' ? `[PONG] [${token}] [] ${text.slice(text.indexOf('{'))}` : text);
        ack.after?.();
        accepted(action);
      };
      if (taken instanceof Promise) taken.then(answer, refuse);
      else answer(taken);
    } catch (error) {
      if (error instanceof FrameError) ({ token } = error);
      refuse(error);
    }
  }

  /** Aborts a request, as CANCEL and the end of its time do. Returns whether it was open. */
  abort(token: string, reason: CentreondError): boolean {
    const request = this.#requests.get(token);
    return request !== undefined && this.#requests.abort(request, reason);
  }

  /** The plugin is gone, or takes nothing more: what is open ends with what `reasonFor` says, and so does what comes. */
  end(why: CentreondError, reasonFor: (token: string) => CentreondError): void {
    this.faults.ended();
    this.crew.end(why, reasonFor);
  }

  /** Takes a message of an instance: a row, an answer, an event, or a request of the plugin's own. */
  receive(address: string, text: string): void {
    if (text.startsWith('[ROW] ')) {
      const { token, target, data } = parseMessage(text);
      this.faults.pass('ROW', () => this.crew.row(address, token, Number(target), parseJson(data) as Json));
    } else if (text.startsWith('[ANSWER] ')) {
      const { token: number, target, data } = parseMessage(text);
      this.crew.answered(address, number, Number(target), parseData(data));
    } else if (!this.services.receive(text) && !this.callers.receive(address, text)) {
      const peer = this.#instance(address);
      const [, action = ''] = /^\[([A-Z][A-Z0-9_-]*)\]/.exec(text) ?? [];
      this.faults.pass(action, () => this.#take(peer, text, (one) => this.faults.taken(one)));
    }
  }

  #instance(id: string): TestPeer {
    const { manifest, instances } = this.options;
    const known = this.#instances.get(id);
    if (known) return known;
    const identity = `@${manifest.type}`;
    const peer: TestPeer = {
      identity,
      roles: ['plugin'],
      instance: id,
      send: (message) => instances.send(id, message),
    };
    this.#instances.set(id, peer);
    return peer;
  }

  /** The instances that hear of an event now: each one of a keyed plugin that listens in each, else the first that is ready. */
  #hearers(event: string): readonly string[] | undefined {
    const { manifest } = this.options;
    const listener = manifest.listens.find((listens) => listens.event === event);
    if (!listener) return [];
    const { ready } = this.crew;
    if ('key' in manifest.instances && listener.in !== 'one') return ready;
    return ready.length > 0 ? ready.slice(0, 1) : undefined;
  }
}

function dataOf(action: string, text: string, token: string): JsonObject {
  try {
    return parseData(text, token, MAX_ELEMENTS);
  } catch (error) {
    throw error instanceof TooManyElements ? failure('INVALID_DATA', { action, reason: error.message }) : error;
  }
}
