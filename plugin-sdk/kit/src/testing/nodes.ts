import type { ActionManifest } from '@centreond/plugin-sdk/internal';
import { type CentreondError, failure, isIdentity, type JsonObject } from '@centreond/protocol';
import { type Answer, AnswerRunner, declared, type TestAction, testAction } from './answers.ts';
import { NODE } from './history.ts';
import type { Runner, TestRequest, TestRequests } from './test-requests.ts';
import type { TestServices } from './test-services.ts';

type Actions = Readonly<Record<string, Answer | TestAction>>;

/** The nodes that the router in memory is linked with, and what the actions of others answer. */
export class TestNodes implements Runner {
  readonly #linked = new Map<string, Actions>();
  readonly #runner: AnswerRunner;

  constructor(
    private readonly services: TestServices,
    private readonly requests: TestRequests,
    private readonly answers: Actions,
  ) {
    this.#runner = new AnswerRunner(requests, (name, target) => this.#action(name, target)?.answer);
  }

  /**
   * Links the node `id`: a request with it as TARGET is answered by `actions`, and the plugin hears REGISTERNODE. Linking it again
   * replaces what it has. Resolves once the plugin has taken the event. Throws INVALID_DATA for an id that no node can have.
   */
  async register(id: string, actions: Actions = {}): Promise<void> {
    this.link(id, actions);
    await this.services.tell('REGISTERNODE', { id, version: '0.0.0', actions: Object.keys(actions), nodes: [] });
  }

  /** @internal As {@link register}, and the plugin hears nothing. */
  link(id: string, actions: Actions): void {
    if (!isIdentity(id) || id === NODE) {
      throw failure('INVALID_DATA', { action: 'REGISTERNODE', reason: `${JSON.stringify(id)} cannot be a node's id` });
    }
    this.#linked.set(id, actions);
  }

  /** Takes the node's link away: requests with it as TARGET are refused, and the plugin hears UNREGISTERNODE. */
  async unregister(id: string): Promise<void> {
    if (this.#linked.delete(id)) await this.services.tell('UNREGISTERNODE', { id });
  }

  /** Whether a request may name `target`: a linked node, or one that the plugin carries. */
  knows(target: string): boolean {
    return this.#linked.has(target) || this.services.carried.has(target);
  }

  #action(name: string, target: string): TestAction | undefined {
    const linked = this.#linked.get(target);
    const answer = linked ? linked[name] : this.answers[name];
    return answer && testAction(answer);
  }

  /** An action that the test answers, on `target` or with `''` here. */
  action(name: string, target: string): ActionManifest | undefined {
    return this.#action(name, target) && declared(name);
  }

  /** Why no request for `action` can go to `target`, or undefined. */
  targetFault(action: string, target: string): CentreondError | undefined {
    const linked = this.#linked.get(target);
    const carried = this.services.carried.get(target);
    if (!linked && !carried)
      return this.answers[action] ? undefined : failure('UNKNOWN_TARGET', { target, router: NODE });
    const have = linked ? Object.keys(linked) : carried?.actions;
    if (!have || have.includes(action)) return undefined;
    const others = [...this.#linked].filter(([, actions]) => action in actions).map(([id]) => id);
    return failure('NODE_LACKS_ACTION', { target, action, have: others });
  }

  /** Why a request cannot be accepted, or undefined. */
  refusal(
    identity: string,
    { action, token, target, data }: { action: string; token: string; target: string; data: JsonObject },
  ): CentreondError | undefined {
    const fault = target === '' ? undefined : this.targetFault(action, target);
    if (fault) return fault;
    const carried = this.services.carried.get(target);
    if (carried && carried.state !== 'up') return failure('NODE_UNREACHABLE', { target });
    return this.#action(action, target)?.refuse?.(data, { action, token, target, identity });
  }

  /** The answer of a node to an action that is answered in the ACK. Rejects with its refusal. */
  async ask(identity: string, action: string, token: string, target: string, data: JsonObject): Promise<JsonObject> {
    const fault = this.refusal(identity, { action, token, target, data });
    if (fault) throw fault;
    if (this.services.carried.has(target))
      return (await this.services.carry(target, action, data, { token, from: identity })).data;
    const request = { action, token, target, identity, signal: new AbortController().signal, progress: () => {} };
    return ((await this.#action(action, target)?.answer(data, request)) ?? {}) as JsonObject;
  }

  submit(request: TestRequest): void {
    const { token, target, owner, action, data } = request;
    if (!this.services.carried.has(target)) {
      this.#runner.submit(request);
      return;
    }
    this.requests.started(request);
    const refused = (error: CentreondError) => this.requests.fail(request, error);
    this.services.carry(target, action.name, data, { token, from: owner }).catch(refused);
  }

  abort(request: TestRequest, reason: CentreondError): void {
    this.#runner.abort(request, reason);
  }

  withdraw(): void {}
}
