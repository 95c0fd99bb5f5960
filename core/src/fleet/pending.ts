import { CentreondError, failure, type JsonObject, parseJson } from '@centreond/protocol';

/** No answer came, and none will: nobody knows whether the request arrived. */
export class Unanswered extends CentreondError {}

interface Question {
  readonly timer: NodeJS.Timeout;
  resolve(data: string): void;
  reject(error: CentreondError): void;
}

/** What one peer was asked and has not answered, each question under a key of its own. */
export class Pending {
  readonly #questions = new Map<string, Question>();

  /** `identity` is the peer's; it has `limit` questions at most. */
  constructor(
    private readonly identity: string,
    private readonly limit: number,
  ) {}

  /**
   * Asks by `send`, and resolves with the data of the answer as JSON text. Rejects with the peer's refusal; with Unanswered after
   * `limitMs`, or when the peer leaves; with BUSY if the peer has too much to answer, or has that key.
   */
  ask(key: string, limitMs: number, send: () => void): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#questions.size >= this.limit || this.#questions.has(key)) {
        throw failure('BUSY', { what: `the list of requests that ${this.identity} has to answer`, limit: this.limit });
      }
      const timer = setTimeout(() => {
        this.#questions.delete(key);
        const { code, message } = failure('NOT_ACKNOWLEDGED', { token: key, seconds: limitMs / 1000 });
        reject(new Unanswered(code, message));
      }, limitMs).unref();
      this.#questions.set(key, { timer, resolve, reject });
      send();
    });
  }

  /** Takes an answer: `{code, data}` as JSON text. One that nobody waits for any more is dropped. */
  answer(key: string, text: string): void {
    const question = this.#questions.get(key);
    if (!question) return;
    clearTimeout(question.timer);
    this.#questions.delete(key);
    const reply = replyOf(text);
    if (!reply) {
      const { code, message } = failure('NODE_UNREACHABLE', { target: this.identity, why: 'sent a malformed answer' });
      question.reject(new Unanswered(code, message));
    } else if (reply.code === 0) question.resolve(JSON.stringify(reply.data));
    else {
      const { error = 'INTERNAL', message = 'The peer gave no reason.' } = reply.data;
      question.reject(new CentreondError(String(error), String(message)));
    }
  }

  /** The peer left: what it had to answer rejects. */
  drop(): void {
    const { code, message } = failure('NODE_UNREACHABLE', { target: this.identity });
    for (const { timer, reject } of this.#questions.values()) {
      clearTimeout(timer);
      reject(new Unanswered(code, message));
    }
    this.#questions.clear();
  }
}

/** An answer; undefined if it is malformed. */
function replyOf(text: string): { readonly code: number; readonly data: JsonObject } | undefined {
  try {
    const { code, data = {} } = parseJson(text) as Partial<Record<'code' | 'data', unknown>>;
    const isObject = typeof data === 'object' && data !== null && !Array.isArray(data);
    return typeof code === 'number' && isObject ? { code, data: data as JsonObject } : undefined;
  } catch {
    return undefined;
  }
}
