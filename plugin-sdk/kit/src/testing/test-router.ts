import type { CallOptions } from '@centreond/plugin-sdk';
import type { Access, ActionManifest, Manifest } from '@centreond/plugin-sdk/internal';
import { type RouterSchema, routerSchema } from '@centreond/plugin-sdk/json-schema';
import {
  ACCEPTED,
  CentreondError,
  FAILED,
  FINISHED,
  failure,
  faultOf,
  formatAck,
  formatMessage,
  type HistoryRow,
  isCentreondError,
  isTerminal,
  type Json,
  type JsonObject,
  MAX_DEPTH,
  newToken,
  type Outcome,
  parseData,
  parseJson,
  parseMessage,
  reasonOf,
} from '@centreond/protocol';
import type { Clock } from './clock.ts';
import { TestHistory } from './history.ts';
import type { LateRow } from './log-lines.ts';
import { TestServices } from './test-services.ts';

/** How long the router waits for the end of a request that it has aborted before it ends it itself. */
export const ABORT_GRACE_MS = 6000;
/** How long a call of the testing kit waits where it is not told, so that no test hangs. */
const CALL_LIMIT_MS = 10_000;

/** A role of PROTOCOL.md: who may call what. */
export type Role = 'client' | 'node' | 'router' | 'admin' | 'plugin';

const ALLOWS: Readonly<Record<Access, readonly Role[]>> = {
  client: ['client', 'router', 'plugin', 'admin'],
  node: ['node', 'router', 'plugin', 'admin'],
  router: ['router', 'admin'],
  admin: ['admin'],
  internal: ['plugin'],
};

/** How the testing kit makes a request. */
export interface TestCall extends Pick<CallOptions, 'token' | 'signal' | 'onRow'> {
  /** Who asks; `@local` when left out. */
  readonly identity?: string;
  /** What the caller may be; `client`, or `admin` for `@local`, when left out. */
  readonly roles?: readonly Role[];
  /** When the request is no longer wanted: whole seconds since the epoch, by the clock of the test. */
  readonly deadline?: number;
  /** Milliseconds of real time to wait for the end before WAIT_OVER; 10,000 when left out. */
  readonly timeoutMs?: number;
  /** The node that TARGET names, for an action that runs `here`; none when left out. */
  readonly target?: string;
  /** Hands the input to the plugin even where the router would refuse it: to see what the plugin's own schema says. */
  readonly unchecked?: boolean;
}

/** How a request ended, with every row of its token, the terminal one last. */
export interface TestOutcome<Output = Json> extends Omit<Outcome, 'data'> {
  /** The action's output where `ok`, else `{error, message}`. */
  readonly data: Output;
  readonly rows: readonly HistoryRow[];
}

/** What an action that the plugin calls answers; what it throws is the call's failure. */
export type Answer = (data: JsonObject, request: { action: string; token: string; target: string }) => unknown;

interface Request {
  readonly token: string;
  readonly action: ActionManifest;
  readonly owner: string;
  readonly input: JsonObject;
  readonly wantedUntil: number | undefined;
  readonly target: string;
  state: 'waiting' | 'running' | 'ended';
  aborted?: CentreondError;
  takeBack?: () => void;
}

export interface TestRouterOptions {
  readonly manifest: Manifest;
  readonly clock: Clock;
  readonly maxMessage: number;
  /** What other actions answer, by name. */
  readonly answers: Readonly<Record<string, Answer>>;
  readonly state: Map<string, Json>;
  /** Hands a message to the instance. */
  toInstance(message: string): void;
}

/**
 * A router for one instance, in memory: checks, records, hands over, ends and shows requests as the real one does, and answers
 * what the plugin asks of it. It knows neither processes nor sockets.
 */
export class TestRouter {
  readonly history: TestHistory;
  readonly services: TestServices;
  /** Rows that came after the end of their token, or under one that nobody knows: the real router drops them. */
  readonly late: LateRow[] = [];
  /** Tokens that the router had to end itself, since the plugin did not within {@link ABORT_GRACE_MS} of the abort. */
  readonly abandoned: string[] = [];
  /** Why nothing is handed over any more. */
  gone: CentreondError | undefined;
  readonly #requests = new Map<string, Request>();
  readonly #waiting = new Set<Request>();
  readonly #runningOf = new Map<string, number>();
  /** What the plugin is to answer in the ACK, by number. */
  readonly #asked = new Map<string, { readonly token: string; take(code: number, answer: JsonObject): void }>();
  #questions = 0;
  readonly #inputs = new Map<string, RouterSchema>();
  readonly #codes: ReadonlySet<number>;

  constructor(readonly options: TestRouterOptions) {
    const { manifest, clock } = options;
    this.history = new TestHistory(clock);
    this.#codes = new Set([ACCEPTED, ...Object.values(manifest.codes)]);
    for (const { name, input } of manifest.actions) this.#inputs.set(name, routerSchema(input));
    this.services = new TestServices(manifest, options.state, options.toInstance);
  }

  /** Requests that have not ended. */
  get open(): readonly string[] {
    return [...this.#requests.values()].filter(({ state }) => state !== 'ended').map(({ token }) => token);
  }

  /**
   * Makes a request and resolves with how it ended. Rejects with what the router would answer instead of taking it
   * (UNKNOWN_ACTION, FORBIDDEN, INVALID_DATA …), or WAIT_OVER.
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

  /** Makes a request and returns its token once it is recorded. Throws the refusals of {@link call}. */
  send(name: string, input: object, options: TestCall = {}): string {
    const { identity = '@local', unchecked = false } = options;
    const action = this.#allowed(name, options);
    if (action.reply === 'ack') {
      const reason = `${name} answers in the ACK and has no rows; ask() shows its answer`;
      throw failure('INVALID_PLUGIN', { plugin: this.options.manifest.type, reason });
    }
    const data = this.#checked(name, input, unchecked);
    const token = options.token ?? newToken();
    const known = this.history.find(token);
    if (known) {
      const remedy = 'It belongs to another identity. Choose a new token.';
      if (known.owner !== identity) throw failure('FORBIDDEN', { identity, what: `use the token ${token}`, remedy });
      throw failure('TOKEN_REUSED', { token, action: known.type });
    }
    if (this.gone) throw this.gone;
    const request: Request = {
      token,
      action,
      owner: identity,
      input: data,
      wantedUntil: options.deadline === undefined ? undefined : options.deadline * 1000,
      target: action.runs === 'here' ? (options.target ?? '') : '',
      state: 'waiting',
    };
    this.#requests.set(token, request);
    this.history.claim(token, identity, name);
    this.history.append(token, ACCEPTED, { owner: identity, target: '' });
    this.#waiting.add(request);
    this.#dispatch();
    return token;
  }

  /**
   * Asks an action with `reply: 'ack'` and resolves with its answer. Rejects with what the router refuses, what the action
   * throws, TIMEOUT once the time that it declares is over, and what ended the plugin meanwhile.
   */
  ask(name: string, input: object, options: TestCall = {}): Promise<JsonObject> {
    return new Promise((resolve, reject) => {
      const { identity = '@local', unchecked = false, token = newToken(), target = '' } = options;
      const action = this.#allowed(name, options);
      if (action.reply !== 'ack') {
        const reason = `${name} ends by a row and does not answer in the ACK; call() shows how it ends`;
        throw failure('INVALID_PLUGIN', { plugin: this.options.manifest.type, reason });
      }
      const data = this.#checked(name, input, unchecked);
      if (this.gone) throw this.gone;
      const { clock, toInstance } = this.options;
      const number = String(++this.#questions);
      const ms = action.timeoutSeconds * 1000;
      const late = failure('TIMEOUT', { action: name, seconds: action.timeoutSeconds });
      const takeBack = clock.in(ms, () => {
        this.#asked.delete(number);
        toInstance(formatMessage('ABORT', token, number, late.toData()));
        reject(late);
      });
      this.#asked.set(number, {
        token,
        take: (code, answer) => {
          takeBack();
          if (code === 0) resolve(answer);
          else reject(new CentreondError(String(answer.error), String(answer.message)));
        },
      });
      const $ = { from: identity, deadline: clock.now() + ms, ...(target !== '' && { target }) };
      toInstance(formatMessage(name, token, number, { $, ...data }));
    });
  }

  #answered(number: string, code: number, answer: JsonObject): void {
    const question = this.#asked.get(number);
    this.#asked.delete(number);
    question?.take(code, answer);
  }

  /** The action, where the caller may call it. */
  #allowed(name: string, { identity = '@local', roles = [identity === '@local' ? 'admin' : 'client'] }: TestCall) {
    const action = this.options.manifest.actions.find((each) => each.name === name);
    if (!action) throw failure('UNKNOWN_ACTION', { action: name, near: undefined });
    if (!action.access.some((access) => roles.some((role) => ALLOWS[access].includes(role)))) {
      const remedy = `It has the role ${roles.join(', ')}, and ${name} is for: ${[...action.access, 'admin'].join(', ')}.`;
      throw failure('FORBIDDEN', { identity, what: `call ${name}`, remedy });
    }
    return action;
  }

  #checked(name: string, input: object, unchecked: boolean): JsonObject {
    const data = parseData(JSON.stringify(input));
    const reason = faultOf(data, MAX_DEPTH) ?? (unchecked ? undefined : this.#inputs.get(name)?.check(data));
    if (reason) throw failure('INVALID_DATA', { action: name, reason });
    return data;
  }

  /** Aborts a request, as CANCEL and the end of its time do. Returns whether it was open. */
  abort(token: string, reason: CentreondError): boolean {
    const request = this.#requests.get(token);
    if (!request || request.state === 'ended' || request.aborted) return false;
    request.aborted = reason;
    if (request.state === 'waiting') this.#end(request, FAILED, { ...reason.toData() });
    else {
      this.options.toInstance(formatMessage('ABORT', token, '', reason.toData()));
      this.#settleLater(request, ABORT_GRACE_MS, () => {
        this.abandoned.push(token);
        this.#end(request, FAILED, { ...reason.toData() });
      });
    }
    return true;
  }

  /** The instance is gone, or takes nothing more: what is open ends with what `reasonOf` says, and so does what comes. */
  end(why: CentreondError, reasonFor: (token: string) => CentreondError): void {
    this.gone ??= why;
    for (const request of this.#requests.values()) {
      if (request.state !== 'ended')
        this.#end(request, FAILED, { ...(request.aborted ?? reasonFor(request.token)).toData() });
    }
    for (const [number, { token }] of this.#asked) this.#answered(number, FAILED, { ...reasonFor(token).toData() });
  }

  /** Takes a message of the instance: a row, an answer, an event, or a request of the plugin's own. */
  receive(text: string): void {
    const message = parseMessage(text);
    if (message.action === 'ROW') this.#row(message.token, Number(message.target), parseJson(message.data) as Json);
    else if (message.action === 'ANSWER')
      this.#answered(message.token, Number(message.target), parseData(message.data));
    else if (!this.services.receive(message)) {
      void this.#serve(message.action, message.token, message.target, parseData(message.data));
    }
  }

  #dispatch(): void {
    for (const request of this.#waiting) {
      const { action, token, owner, input, target, wantedUntil = Number.POSITIVE_INFINITY } = request;
      const running = this.#runningOf.get(action.name) ?? 0;
      if (running >= action.concurrency) continue;
      this.#waiting.delete(request);
      request.state = 'running';
      this.#runningOf.set(action.name, running + 1);
      const now = this.options.clock.now();
      const deadline = Math.min(now + action.timeoutSeconds * 1000, wantedUntil);
      const seconds = Math.max(0, Math.round((deadline - now) / 1000));
      this.#settleLater(request, deadline - now, () =>
        this.abort(token, failure('TIMEOUT', { action: action.name, seconds })),
      );
      const $ = { from: owner, deadline, ...(target !== '' && { target }) };
      this.options.toInstance(formatMessage(action.name, token, '', { $, ...input }));
    }
  }

  #settleLater(request: Request, ms: number, run: () => void): void {
    request.takeBack?.();
    request.takeBack = this.options.clock.in(ms, run);
  }

  #row(token: string, code: number, data: Json): void {
    const request = this.#requests.get(token);
    if (request?.state !== 'running') this.late.push({ token, action: request?.action.name ?? '', code });
    else if (isTerminal(code)) this.#end(request, code, data);
    else this.history.append(token, code, data);
  }

  #end(request: Request, code: number, data: Json): void {
    const { name } = request.action;
    if (request.state === 'running') this.#runningOf.set(name, (this.#runningOf.get(name) ?? 1) - 1);
    this.#waiting.delete(request);
    request.state = 'ended';
    request.takeBack?.();
    this.history.append(request.token, code, data);
    this.#dispatch();
  }

  // ---- what the plugin asks ---------------------------------------------------------------------------------------

  async #serve(action: string, token: string, target: string, envelope: JsonObject): Promise<void> {
    const { $: _, ...data } = envelope;
    let reply: string;
    try {
      reply = formatAck(token, 0, JSON.stringify((await this.#answer(action, token, target, data)) ?? {}));
    } catch (error) {
      const told = isCentreondError(error) ? error : failure('ACTION_FAILED', { reason: reasonOf(error) });
      reply = formatAck(token, 1, JSON.stringify(told.toData()));
    }
    this.options.toInstance(action === 'PING' ? `[PONG] [${token}] [] ${reply.slice(reply.indexOf('{'))}` : reply);
    if (action === 'FOLLOW') this.#follow(data);
  }

  async #answer(action: string, token: string, target: string, data: JsonObject): Promise<unknown> {
    const { manifest, answers } = this.options;
    const identity = `@${manifest.type}`;
    switch (action) {
      case 'PING':
        return { id: 'test', hostname: 'test', version: '0.0.0' };
      case 'GETLOG':
        return { action: 'getlog', id: 'test', ...this.history.query(data) };
      case 'PUTLOG': {
        const runs = (each: string) => this.#requests.get(each)?.state === 'running';
        return this.history.put(data as never, { identity, codes: this.#codes, runs });
      }
      case 'FOLLOW':
        return {};
      case 'CANCEL': {
        const cancelled = String(data.token);
        return {
          token: cancelled,
          cancelled: this.abort(cancelled, failure('CANCELLED', { token: cancelled, by: identity })),
        };
      }
    }
    const served = this.services.answer(action, data);
    if (served) return served;
    const answer = answers[action];
    const inAck = manifest.actions.some(({ name, reply }) => name === action && reply === 'ack');
    if (inAck) {
      // On another node it is the test's to answer.
      if (answer) return await answer(data, { action, token, target });
      return await this.ask(action, data, { token, identity, roles: ['plugin'], target });
    }
    if (answer) this.#run(action, token, target, data, answer);
    else this.send(action, data, { token, identity, roles: ['plugin'] });
    return {};
  }

  #follow({ token, id = 0 }: JsonObject): void {
    const stop = this.history.follow(String(token), Number(id), (row) => {
      this.options.toInstance(`[LOG] [${row.token}] ${JSON.stringify(row)}`);
      if (isTerminal(row.code)) queueMicrotask(() => stop());
    });
  }

  /** Another action, by the test's answer: accepted, then ended with what the answer gives. */
  #run(action: string, token: string, target: string, data: JsonObject, answer: Answer): void {
    this.history.claim(token, `@${this.options.manifest.type}`, action);
    this.history.append(token, ACCEPTED, { owner: `@${this.options.manifest.type}`, target });
    Promise.resolve()
      .then(() => answer(data, { action, token, target }))
      .then(
        (output) => this.history.append(token, 2, (output ?? {}) as Json),
        (error: unknown) => {
          const told = isCentreondError(error) ? error : failure('ACTION_FAILED', { reason: reasonOf(error) });
          this.history.append(token, FAILED, { ...told.toData() });
        },
      );
  }
}
