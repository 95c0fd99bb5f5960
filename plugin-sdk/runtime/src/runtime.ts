import type { ActionContext, Logger, PluginClass } from '@centreond/plugin-sdk';
import { type ActionDeclaration, actionAs, declarationOf, rowCodesOf, validate } from '@centreond/plugin-sdk/internal';
import {
  ACCEPTED,
  CallRefusal,
  CentreondError,
  decodeText,
  type ErrorData,
  FAILED,
  FINISHED,
  FIRST_PLUGIN_CODE,
  failure,
  faultOf,
  formatMessage,
  isCentreondError,
  type Json,
  MAX_ROW_DEPTH,
  type Message,
  parseJson,
  parseReply,
  ROW_ROOM,
  reasonOf,
} from '@centreond/protocol';
import { Hearing } from './hearing.ts';

/** What the core puts around the DATA of a request that it hands to an instance. */
export interface Delivery {
  from: string;
  /** Milliseconds since the epoch. */
  deadline: number;
  /** The node that TARGET named, for an action that runs here whatever that is. */
  target?: string;
}

/** How the runtime reaches the core. */
export interface CoreLink {
  send(message: string): void;
  /** Sends a row; rows keep their order. */
  row(message: string): void;
  /** Rows that wait for earlier ones to be stored. */
  readonly held: number;
  /** A promise while the link is congested, or too many rows are on their way to the disk. */
  ready(): Promise<void> | undefined;
}

/** What of a thrown message goes into the terminal row. */
const THROWN_CHARACTERS = 8192;
/** Only those who do not await their rows come to so many. */
const HELD_ROWS = 100_000;

const DONE = Promise.resolve();

type Methods = Record<string, (...args: unknown[]) => unknown>;

interface Running {
  abort(reason: CentreondError): void;
}

/**
 * Runs the requests of one instance: validates, calls the plugin's methods, sends rows and exactly one terminal row for each.
 * Neither knows processes nor sockets; the caller feeds it the messages of the link. `as` is the type that the config gives the
 * plugin, if it does: requests then come by the names of {@link actionAs}.
 */
export class InstanceRuntime {
  readonly #running = new Map<string, Running>();
  /** What it is to answer in the ACK, by number. */
  readonly #asked = new Map<string, Running>();
  readonly #actions = new Map<string, ActionDeclaration>();
  readonly #codes: ReadonlySet<number>;
  readonly #hearing: Hearing;
  readonly #kill: string | undefined;
  readonly #plugin: Methods;
  readonly #type: string;

  constructor(
    plugin: object,
    readonly link: CoreLink,
    readonly log: Logger,
    readonly maxMessage: number,
    as?: string,
  ) {
    const declaration = declarationOf(plugin.constructor as PluginClass);
    this.#plugin = plugin as Methods;
    this.#type = as ?? declaration.options.type;
    for (const action of declaration.actions) {
      const name = as === undefined ? action.name : actionAs(as, action.name);
      this.#actions.set(name, { ...action, name });
    }
    this.#codes = new Set([ACCEPTED, ...rowCodesOf(declaration.options.codes).map(({ code }) => code)]);
    this.#hearing = new Hearing(log);
    for (const { event, method } of declaration.listens) {
      this.#hearing.listen(event, `${this.#type}: ${method} on ${event}`, (data) => this.#plugin[method]?.(data));
    }
    this.#kill = declaration.kill?.method;
  }

  /** How many requests run. */
  get inFlight(): number {
    return this.#running.size + this.#asked.size;
  }

  /** Takes a message of the link. Returns false for those that are not the runtime's: replies, and STOP. */
  receive(frame: Buffer | string): boolean {
    const message = parseReply(typeof frame === 'string' ? frame : decodeText(frame));
    const action = this.#actions.get(message.action);
    if (action?.options.reply === 'ack') void this.#answer(action, message);
    else if (action) void this.#run(action, message.token, message.data);
    else if (message.action === 'ABORT') {
      const reason = JSON.parse(message.data) as { error: string; message: string };
      const running = message.target === '' ? this.#running.get(message.token) : this.#asked.get(message.target);
      running?.abort(new CentreondError(reason.error, reason.message, { details: { token: message.token } }));
    } else if (message.action === 'EVENT') {
      this.#hearing.hear(message.token, message.data);
      // Says that this process still turns: the core bounds what is on its way to one that does not.
      this.link.send(formatMessage('HEARD', message.token, message.target));
    } else if (message.action === 'BEAT') this.link.send('[BEAT] [] []');
    else if (message.action === 'RELEASE') void this.#release(JSON.parse(message.data) as { id: string } & ErrorData);
    else return false;
    return true;
  }

  /** Aborts every running request for `reason`. */
  abortAll(reason: CentreondError): void {
    for (const running of [...this.#running.values(), ...this.#asked.values()]) running.abort(reason);
  }

  /** KILL: what runs is aborted, the plugin's kill handler lets go of what it holds, and the host is told. */
  async #release({ id, error, message }: { id: string } & ErrorData): Promise<void> {
    const reason = new CentreondError(error, message);
    this.abortAll(reason);
    try {
      if (this.#kill) await this.#plugin[this.#kill]?.({ id, reason });
    } catch (thrown) {
      this.log.error({ err: thrown }, `${this.#type}: its kill handler threw: ${reasonOf(thrown)}`);
    }
    this.link.send('[RELEASED] [] []');
  }

  async #run(action: ActionDeclaration, token: string, data: string): Promise<void> {
    const { $, ...input } = parseJson(data) as { $: Delivery };
    const context = new RequestContext(token, $, this.#codes, this.link, action.name, this.log, this.maxMessage);
    this.#running.set(token, context);
    try {
      this.#end(context, FINISHED, await this.#outputOf(action, input, context));
    } catch (thrown) {
      this.#end(context, FAILED, JSON.stringify(this.#failureOf(thrown, context, action.name)));
    } finally {
      this.#running.delete(token);
    }
  }

  /** One that answers in the ACK. */
  async #answer(action: ActionDeclaration, { token, target: number, data }: Message): Promise<void> {
    const { $, ...input } = parseJson(data) as { $: Delivery };
    const context = new RequestContext(token, $, undefined, this.link, action.name, this.log, this.maxMessage);
    this.#asked.set(number, context);
    let code = 0;
    let answer: string;
    try {
      answer = await this.#outputOf(action, input, context);
      if (!answer.startsWith('{')) {
        throw failure('INVALID_OUTPUT', { action: action.name, reason: 'an answer in the ACK is an object' });
      }
    } catch (thrown) {
      code = 1;
      answer = JSON.stringify(this.#failureOf(thrown, context, action.name));
    } finally {
      context.ended = true;
      this.#asked.delete(number);
    }
    this.link.send(formatMessage('ANSWER', number, String(code), answer));
  }

  /** Validates, runs and validates again: the output as JSON text. */
  async #outputOf(action: ActionDeclaration, input: object, context: RequestContext): Promise<string> {
    const checked = await validate(action.options.input, input);
    if (!checked.ok) throw failure('INVALID_DATA', { action: action.name, reason: checked.reason });
    // An ABORT that came right behind its request: a listener that the method adds would never be called.
    if (context.aborted) throw context.aborted;
    const method = this.#plugin[action.method];
    const output = await method?.call(this.#plugin, checked.value, context as ActionContext<number>);
    if (context.aborted) throw context.aborted;
    return await this.#outputText(action, output);
  }

  async #outputText(action: ActionDeclaration, output: unknown): Promise<string> {
    const refuse = (reason: string) => failure('INVALID_OUTPUT', { action: action.name, reason });
    const checked = await validate(action.options.output, output);
    if (!checked.ok) throw refuse(checked.reason);
    return rowText(checked.value, this.maxMessage, refuse);
  }

  #failureOf(thrown: unknown, context: RequestContext, action: string): object {
    context.endedBy = thrown;
    const reason = context.aborted;
    if (reason && !(isCentreondError(thrown) && thrown.code === reason.code)) return reason.toData();
    if (thrown instanceof CallRefusal) {
      const end = thrown.asEnd();
      return { ...end.toData(), ...(end !== thrown && { cause: thrown.toData() }) };
    }
    if (isCentreondError(thrown)) return { error: thrown.code, message: thrown.message.slice(0, THROWN_CHARACTERS) };
    this.log.error(
      { err: thrown, token: context.token, action },
      `${this.#type}: ${action} threw: ${reasonOf(thrown)}`,
    );
    return failure('ACTION_FAILED', { reason: reasonOf(thrown).slice(0, THROWN_CHARACTERS) }).toData();
  }

  #end(context: RequestContext, code: number, data: string): void {
    context.ended = true;
    this.link.row(formatMessage('ROW', context.token, String(code), data));
  }
}

/** What a row's data may be: not too deep, and small enough for every message that carries the row. */
function rowText(value: unknown, maxMessage: number, refuse: (reason: string) => CentreondError): string {
  const fault = faultOf(value, MAX_ROW_DEPTH);
  if (fault) throw refuse(`it ${fault}`);
  const text = JSON.stringify(value) ?? 'null';
  const limit = maxMessage - ROW_ROOM;
  if (text.length > limit / 3 && Buffer.byteLength(text) > limit) throw refuse(`it is larger than ${limit} bytes`);
  return text;
}

/** Why no row of `code` can be written, which is not one of `codes`: 0 and those that the plugin declares. */
function codeFault(code: number, codes: ReadonlySet<number>): string {
  const own = [...codes].filter((one) => one !== ACCEPTED).join(', ') || 'none are declared';
  const isRouters = Number.isInteger(code) && code > ACCEPTED && code < FIRST_PLUGIN_CODE;
  return `the code ${code} ${isRouters ? "is the router's own" : 'is not declared'}; progress() takes 0 and the plugin's codes (${own})`;
}

class RequestContext implements ActionContext<number>, Running {
  readonly identity: string;
  readonly target: string;
  readonly deadline: number;
  ended = false;
  /** What its method threw. */
  endedBy: unknown;
  aborted: CentreondError | undefined;
  /** Why its first refused row was refused. */
  #refusal: unknown;
  #controller: AbortController | undefined;
  /** Who waits for room for further rows. */
  readonly #waiting = new Set<() => void>();

  constructor(
    readonly token: string,
    delivery: Delivery,
    /** Undefined where it writes no rows. */
    readonly codes: ReadonlySet<number> | undefined,
    readonly link: CoreLink,
    readonly action: string,
    readonly log: Logger,
    readonly maxMessage: number,
  ) {
    this.identity = delivery.from;
    this.target = delivery.target ?? '';
    this.deadline = Math.ceil(delivery.deadline / 1000);
  }

  // Made when first asked for: most actions are over before anybody looks.
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.aborted && !this.#controller.signal.aborted) this.#controller.abort(this.aborted);
    return this.#controller.signal;
  }

  abort(reason: CentreondError): void {
    if (this.ended || this.aborted) return;
    this.aborted = reason;
    this.#controller?.abort(reason);
    for (const resume of this.#waiting) resume();
    this.#waiting.clear();
  }

  progress(code: number, data: Json): Promise<void> {
    try {
      return this.#write(code, data);
    } catch (error) {
      const refused = Promise.reject(error);
      // A plugin need not await it, and an unhandled rejection would end the process.
      refused.catch((reason: unknown) => this.#refused(reason));
      return refused;
    }
  }

  #write(code: number, data: Json): Promise<void> {
    if (this.ended) {
      const late = { token: this.token, action: this.action, code };
      this.log.warn({ rowAfterEnd: late }, `${this.action} wrote a row after the end of ${this.token}; it is dropped`);
      return DONE;
    }
    const refuse = (reason: string) => failure('INVALID_OUTPUT', { action: this.action, reason, row: true });
    if (!this.codes) throw refuse('it answers in the ACK');
    if (!this.codes.has(code)) throw refuse(codeFault(code, this.codes));
    if (this.link.held >= HELD_ROWS) {
      throw failure('BUSY', { what: 'the list of rows that wait for the disk', limit: HELD_ROWS });
    }
    const text = rowText(data, this.maxMessage, refuse);
    this.link.row(formatMessage('ROW', this.token, String(code), text));
    const ready = this.link.ready();
    return ready ? this.#orAborted(ready) : DONE;
  }

  /** Logs the first refused row of a request, unless the request ends with that very refusal: then the router logs it. */
  #refused(error: unknown): void {
    if (this.#refusal !== undefined) return;
    this.#refusal = error;
    setImmediate(() => {
      if (this.endedBy !== error) this.log.error({ token: this.token, action: this.action }, reasonOf(error));
    });
  }

  /** Resolves with `ready`, or when the request is aborted: what is to end must not wait for the disk. */
  async #orAborted(ready: Promise<void>): Promise<void> {
    if (this.aborted) return;
    // Not the signal's listeners: those are searched for each one that is added.
    await new Promise<void>((resolve) => {
      this.#waiting.add(resolve);
      void ready.then(() => {
        this.#waiting.delete(resolve);
        resolve();
      });
    });
  }
}
