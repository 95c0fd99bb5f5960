import { type ActionManifest, CentreondError, type ErrorData, failure } from '@centreond/plugin-sdk';

export interface QuestionOptions {
  readonly action: ActionManifest;
  /** JSON text without `$`. */
  readonly data: string;
  readonly token: string;
  /** Who asks. */
  readonly from: string;
  /** The node that TARGET named, empty for this router. */
  readonly target: string;
  readonly clock: { now(): number };
}

/** A request that an instance answers in the ACK: it has no row, and is over when its answer or its refusal is there. */
export class Question {
  /** The answer as JSON text. */
  readonly answered: Promise<string>;
  readonly acceptedAt: number;
  /** When it is refused with TIMEOUT: milliseconds since the epoch. */
  readonly deadline: number;
  /** Called when its time is over: whoever holds it lets go of it. */
  onLate: (() => void) | undefined;
  #resolve: (answer: string) => void = () => {};
  #reject: (error: CentreondError) => void = () => {};
  readonly #timer: NodeJS.Timeout;

  constructor(readonly options: QuestionOptions) {
    const { action, clock } = options;
    this.acceptedAt = clock.now();
    this.deadline = this.acceptedAt + action.timeoutSeconds * 1000;
    this.answered = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#timer = setTimeout(() => {
      this.refuse(failure('TIMEOUT', { action: action.name, seconds: action.timeoutSeconds }));
      this.onLate?.();
    }, action.timeoutSeconds * 1000);
    this.#timer.unref();
  }

  get action(): { readonly manifest: ActionManifest } {
    return { manifest: this.options.action };
  }

  /** What sentences call it. */
  get name(): string {
    return this.options.token || this.options.action.name;
  }

  /** Takes what an instance says: code 0 with the answer, or code 1 with the refusal. Too late it does nothing. */
  take(code: number, data: string): void {
    if (code === 0) {
      clearTimeout(this.#timer);
      this.#resolve(data);
    } else {
      const { error, message } = JSON.parse(data) as ErrorData;
      this.refuse(new CentreondError(error, message));
    }
  }

  /** Refuses it. Too late it does nothing. */
  refuse(error: CentreondError): void {
    clearTimeout(this.#timer);
    this.#reject(error);
  }
}
