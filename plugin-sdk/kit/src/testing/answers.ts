import type { ActionManifest } from '@centreond/plugin-sdk/internal';
import {
  type CentreondError,
  FAILED,
  FINISHED,
  failure,
  isCentreondError,
  type Json,
  type JsonObject,
  reasonOf,
} from '@centreond/protocol';
import { NODE } from './history.ts';
import type { Runner, TestRequest, TestRequests } from './test-requests.ts';

/** A request that the test answers. */
export interface AnsweredRequest {
  readonly action: string;
  readonly token: string;
  /** The node that TARGET names; empty for this router. */
  readonly target: string;
  /** Who asks. */
  readonly identity: string;
  /** Aborts when the request is cancelled or its time is over. */
  readonly signal: AbortSignal;
  /** Writes a row of progress. */
  progress(code: number, data: Json): void;
}

/**
 * What an action answers that is not the plugin's own: its output; what it throws, or rejects with, ends the request with code 1. For
 * an action of the plugin with `reply: 'ack'`, on another node, it is the answer or the refusal.
 */
export type Answer = (data: JsonObject, request: AnsweredRequest) => unknown;

/** An action that the test answers, and may refuse in the ACK: `refuse` returns the refusal, or undefined. */
export interface TestAction {
  refuse?(
    data: JsonObject,
    request: Pick<AnsweredRequest, 'action' | 'token' | 'target' | 'identity'>,
  ): CentreondError | undefined;
  readonly answer: Answer;
}

/** What a failed answer tells its caller. */
export function toldError(error: unknown): CentreondError {
  return isCentreondError(error) ? error : failure('ACTION_FAILED', { reason: reasonOf(error) });
}

/** An action that the test answers as a whole. */
export function testAction(answer: Answer | TestAction): TestAction {
  return typeof answer === 'function' ? { answer } : answer;
}

/** Runs requests by what the test answers. An aborted one ends at once. */
export class AnswerRunner implements Runner {
  readonly #running = new Map<TestRequest, AbortController>();

  constructor(
    private readonly requests: TestRequests,
    private readonly answerOf: (action: string, target: string) => Answer | undefined,
  ) {}

  submit(request: TestRequest): void {
    const { token, target, owner, action, data } = request;
    const node = target || NODE;
    this.requests.started(request);
    const controller = new AbortController();
    this.#running.set(request, controller);
    const progress = (code: number, row: Json) => this.requests.row(request, code, row, node);
    const { signal } = controller;
    Promise.resolve()
      .then(() => {
        const answer = this.answerOf(action.name, target);
        if (!answer) throw failure('NODE_UNREACHABLE', { target });
        return answer(data, { action: action.name, token, target, identity: owner, signal, progress });
      })
      .then(
        (output) => this.#end(request, FINISHED, (output ?? {}) as Json, node),
        (error: unknown) => this.#end(request, FAILED, { ...toldError(error).toData() }, node),
      );
  }

  #end(request: TestRequest, code: number, data: Json, node: string): void {
    if (this.#running.delete(request)) this.requests.row(request, code, data, node);
  }

  abort(request: TestRequest, reason: CentreondError): void {
    const controller = this.#running.get(request);
    this.#running.delete(request);
    controller?.abort(reason);
    this.requests.fail(request, reason);
  }

  withdraw(): void {}
}

/** What is known of an action that only the test declares. */
export function declared(name: string, more: Partial<ActionManifest> = {}): ActionManifest {
  return {
    name,
    title: '',
    method: '',
    input: {},
    output: {},
    access: ['client', 'node'],
    effects: 'destructive',
    idempotent: false,
    inFlight: 'fail',
    concurrency: 1000,
    timeoutSeconds: 24 * 3600,
    reply: 'row',
    unexpressed: [],
    ...more,
  };
}
