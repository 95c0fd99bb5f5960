import type { Logger } from '@centreond/plugin-sdk';
import type { CarriedRequest, NodeAnnouncement } from '@centreond/plugin-sdk/nodes';
import {
  type Ack,
  type ErrorData,
  failure,
  formatMessage,
  isCentreondError,
  isIdentity,
  type JsonObject,
  type Message,
  parseJson,
  reasonOf,
} from '@centreond/protocol';
import type { Core } from './services.ts';

const NODES_AT_ONCE = 500;

type Deliver = (request: CarriedRequest) => Promise<Ack>;

/** An instance as the way to nodes: tells the core which, and hands what comes for them to the plugin. */
export class Carrying {
  /** What the core was told, by node id. */
  #told = new Map<string, string>();
  #deliver: Deliver | undefined;
  #current: symbol | undefined;

  constructor(
    private readonly core: Core,
    private readonly wire: { send(message: string): void },
    private readonly log: Logger,
  ) {}

  /** Replaces what this instance carries; disposing the last one makes its nodes unreachable. Throws INVALID_DATA. */
  carry(nodes: readonly NodeAnnouncement[], deliver: Deliver): Disposable {
    for (const { id } of nodes) {
      if (!isIdentity(id)) {
        throw failure('INVALID_DATA', { action: 'carry', reason: `${JSON.stringify(id)} cannot be a node's id` });
      }
    }
    const mine = Symbol('carrying');
    this.#current = mine;
    this.#deliver = deliver;
    this.#announce(nodes);
    return {
      [Symbol.dispose]: () => {
        if (this.#current !== mine) return;
        this.#current = undefined;
        this.#deliver = undefined;
        this.#announce(nodes.map((node) => ({ ...node, state: 'unreachable' })));
      },
    };
  }

  /** Tells what is new or changed, and what is gone. */
  #announce(nodes: readonly NodeAnnouncement[]): void {
    const before = this.#told;
    this.#told = new Map(nodes.map((node) => [node.id, JSON.stringify(node)]));
    const changed = nodes.filter(({ id }) => before.get(id) !== this.#told.get(id));
    const gone = [...before.keys()].filter((id) => !this.#told.has(id));
    for (let at = 0; at < Math.max(changed.length, gone.length); at += NODES_AT_ONCE) {
      const some = { nodes: changed.slice(at, at + NODES_AT_ONCE), gone: gone.slice(at, at + NODES_AT_ONCE) };
      this.core.ask('ANNOUNCE', some).catch((error: unknown) => {
        this.log.error({ err: error }, `the router did not take nodes that this instance carries: ${reasonOf(error)}`);
        // Told again with the next announcement.
        for (const { id } of some.nodes) this.#told.delete(id);
      });
    }
  }

  /** Takes a CARRY of the core; its answer goes back when the plugin has one. */
  receive({ token: number, target, data }: Message): void {
    const request = { ...(parseJson(data) as Omit<CarriedRequest, 'target'>), target };
    const answer = (code: 0 | 1, body: JsonObject | ErrorData) =>
      this.wire.send(formatMessage('CARRIED', number, '', { code, data: body }));
    this.#handOver(request).then(
      ({ data: body }) => answer(0, body),
      (error: unknown) => {
        if (!isCentreondError(error)) {
          this.log.error({ err: error, token: request.token }, `deliver() threw for ${target}: ${reasonOf(error)}`);
          answer(1, failure('ACTION_FAILED', { reason: reasonOf(error) }).toData());
        } else answer(1, { error: error.code, message: error.message });
      },
    );
  }

  async #handOver(request: CarriedRequest): Promise<Ack> {
    if (!this.#deliver) throw failure('NODE_UNREACHABLE', { target: request.target });
    return this.#deliver(request);
  }
}
