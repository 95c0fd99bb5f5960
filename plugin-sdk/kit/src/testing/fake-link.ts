import type { CarriedRequest, Link, LinkOptions, NodeState } from '@centreond/plugin-sdk/nodes';
import { type Ack, failure, type JsonObject } from '@centreond/protocol';

/**
 * A link whose other end is the test. A plugin gets it by the option `link` of `testPlugin`:
 * `link: (options) => new FakeLink(options, 'lyon')`. It starts as `connecting`; the test says how it goes on.
 */
export class FakeLink implements Link {
  /** What the other router answers, by action. What a function throws is the refusal; an action without one is UNKNOWN_ACTION. */
  readonly answers: Record<string, (data: JsonObject) => JsonObject> = {};
  /** The actions that the plugin sent by the link, in order. */
  readonly sent: string[] = [];
  /** The carried requests that the plugin forwarded, in order. */
  readonly forwarded: CarriedRequest[] = [];
  /** What becomes of a forwarded request: it is acknowledged, unless the test says otherwise. */
  forwarding: (request: CarriedRequest) => Promise<Ack> = async ({ token }) => ({ token, data: {} });
  /** The other router answers nothing. */
  isMute = false;
  /** The plugin has closed the link. */
  isClosed = false;

  /** `id` is the other router's. */
  constructor(
    readonly options: LinkOptions,
    public id: string,
  ) {}

  /** Tells the plugin that the link has another state. */
  become(state: NodeState, reason = ''): void {
    this.options.onState?.(state, reason, this.options.address);
  }

  /** Asks the plugin as the other router. Resolves with the answer; rejects with the refusal, or INVALID_DATA where it takes none. */
  async ask(action: string, data: JsonObject): Promise<JsonObject> {
    const { onRequest } = this.options;
    if (!onRequest) throw failure('INVALID_DATA', { action, reason: 'the link was opened without onRequest' });
    return onRequest({ action, token: 't', target: '', data, envelope: { from: '', hops: [] } });
  }

  async ping(): Promise<{ id: string; hostname: string; version: string; roundTripMs: number }> {
    if (this.isMute) return new Promise<never>(() => {});
    return { id: this.id, hostname: this.id, version: '0.0.0', roundTripMs: 1.5 };
  }

  async send(action: string, data: object): Promise<Ack> {
    this.sent.push(action);
    if (this.isMute) return new Promise<never>(() => {});
    const answer = this.answers[action];
    if (!answer) throw failure('UNKNOWN_ACTION', { action, near: undefined });
    return { token: 't', data: answer(data as JsonObject) };
  }

  forward(request: CarriedRequest): Promise<Ack> {
    this.forwarded.push(request);
    return this.forwarding(request);
  }

  /** @throws INVALID_DATA: the test has no rows for it; answer `send`. */
  call(action: string): never {
    throw failure('INVALID_DATA', { action, reason: 'a FakeLink has no rows' });
  }

  /** @throws INVALID_DATA: the test has no rows for it. */
  follow(): never {
    throw failure('INVALID_DATA', { action: 'FOLLOW', reason: 'a FakeLink has no rows' });
  }

  streamLogs(): void {}

  async close(): Promise<void> {
    this.isClosed = true;
  }
}
