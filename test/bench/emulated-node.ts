import { RouterClient } from '@centreond/client/session';
import {
  formatAck,
  formatMessage,
  type JsonObject,
  type Message,
  newToken,
  parseData,
  parseReply,
} from '@centreond/protocol';
import type { KeyPair } from '@centreond/protocol/channel';
import { EmulatedLog } from './emulated-log.ts';

const VERSION = 'emulated';
const ACTIONS = ['COMMAND'];
/** As plugins/pull/src/registering.ts. */
const ANSWER_LIMIT_MS = 10_000;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;

export interface EmulatedNodeOptions {
  readonly id: string;
  readonly keys: KeyPair;
  readonly address: string;
  /** The fingerprint of the router. */
  readonly router: string;
  /** The node registered, or its session ended. */
  registered(isRegistered: boolean): void;
}

/** What the router was asked without the exchange of requests, as a router's core asks. */
interface Question {
  resolve(data: JsonObject): void;
  reject(error: Error): void;
}

/**
 * A node as the router sees it, without a daemon behind it: the session of a pull link, kept up as that is, and what a node says in
 * it. It answers COMMAND at once, as if a program had ended with exit code 0.
 */
export class EmulatedNode {
  readonly log: EmulatedLog;
  readonly #options: EmulatedNodeOptions;
  readonly #client: RouterClient;
  readonly #questions = new Map<string, Question>();
  /** Tokens that ran: a router that restarts sends them again. */
  readonly #ran = new Set<string>();
  /** Counts sessions: what belongs to an older one is over. */
  #session = 0;
  #failures = 0;
  #retry: NodeJS.Timeout | undefined;

  /** Begins to connect. */
  constructor(options: EmulatedNodeOptions) {
    const { id, keys, address, router } = options;
    this.#options = options;
    this.log = new EmulatedLog(id);
    this.#client = new RouterClient({
      address,
      identity: id,
      key: keys,
      router,
      onRequest: (request, reply) => this.#take(request, reply),
      onStray: (message) => this.#answered(message),
    });
    this.#client
      .on('restored', () => this.#up())
      .on('renewed', () => this.#up())
      .on('lost', () => this.#down())
      .on('replaced', () => this.#down());
    this.#client.whenUp(Number.POSITIVE_INFINITY).then(
      () => this.#up(),
      () => undefined, // closed before
    );
  }

  async close(): Promise<void> {
    this.#down();
    await this.#client.close();
  }

  #up(): void {
    this.#down();
    this.#failures = 0;
    void this.#serve(this.#session);
  }

  #down(): void {
    this.#session++;
    clearTimeout(this.#retry);
    this.#options.registered(false);
    const questions = [...this.#questions.values()];
    this.#questions.clear();
    for (const { reject } of questions) reject(new Error('the session has ended'));
    this.log.wake();
  }

  /** Registers and streams the log, again after a pause where that fails, until the session ends. */
  async #serve(session: number): Promise<void> {
    const isOver = () => session !== this.#session;
    const { id, registered } = this.#options;
    try {
      const announcement = { id, version: VERSION, actions: ACTIONS, nodes: [] };
      await this.#client.send('REGISTERNODE', announcement, { timeoutMs: ANSWER_LIMIT_MS });
      if (isOver()) return;
      registered(true);
      await this.log.stream((message) => this.#tell(message), isOver);
    } catch {
      if (isOver()) return;
      registered(false);
      const pause = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** ++this.#failures) * (0.5 + Math.random() / 2);
      this.#retry = setTimeout(() => void this.#serve(session), pause);
    }
  }

  async #tell(data: string): Promise<number> {
    const token = newToken();
    const { last } = await new Promise<JsonObject>((resolve, reject) => {
      this.#questions.set(token, { resolve, reject });
      this.#client.say(`[SETLOGS] [${token}] [] ${data}`);
    });
    if (typeof last !== 'number') throw new Error('the router does not say how far it has the log');
    return last;
  }

  #answered(message: string): void {
    const { token, data } = parseReply(message);
    const question = this.#questions.get(token);
    if (!question) return;
    this.#questions.delete(token);
    const reply = parseData(data);
    const told = typeof reply.data === 'object' && reply.data !== null && !Array.isArray(reply.data) ? reply.data : {};
    if (reply.code === 0) question.resolve(told);
    else question.reject(new Error(`the router refused it: ${JSON.stringify(told)}`));
  }

  #take({ action, token, data }: Message, reply: (message: string) => void): void {
    const { id } = this.#options;
    const accept = (answer: object) => reply(formatAck(token, 0, JSON.stringify(answer)));
    switch (action) {
      case 'PING': {
        const about = { id, hostname: id, version: VERSION };
        reply(formatMessage('PONG', token, '', { code: 0, data: about }));
        break;
      }
      case 'INFORMATION':
        accept({ id, version: VERSION, time: Date.now(), actions: ACTIONS, labels: {}, epoch: this.log.epoch });
        break;
      case 'SYNCLOGS':
        accept({ epoch: this.log.epoch, last: this.log.last });
        break;
      case 'COMMAND':
        if (this.#ran.has(token)) accept({ duplicate: true });
        else {
          this.#run(token, parseData(data));
          accept({});
        }
        break;
      default: {
        const refusal = { error: 'UNKNOWN_ACTION', message: `An emulated node has no action ${action}.` };
        reply(formatAck(token, 1, JSON.stringify(refusal)));
      }
    }
  }

  /** The rows of a request: that it was accepted, before its ACK; a line of output and the end, after it. */
  #run(token: string, { $ }: JsonObject): void {
    this.#ran.add(token);
    const from = typeof $ === 'object' && $ !== null && !Array.isArray($) ? $.from : undefined;
    const row = { token, type: 'COMMAND' };
    this.log.write({ ...row, code: 0, data: { owner: `${this.#client.id}/${String(from)}`, target: '' } });
    setImmediate(() => {
      this.log.write({ ...row, code: 100, data: { stream: 'stdout', chunk: `${this.#options.id}\n` } });
      const output = { stdout: `${this.#options.id}\n`, stderr: '', truncated: false };
      this.log.write({ ...row, code: 2, data: { exitCode: 0, signal: null, ...output } });
    });
  }
}
