import 'reflect-metadata';
import {
  CONFIG,
  failure,
  INSTANCE,
  type Instance,
  LOGGER,
  type Logger,
  Plugin,
  STATE,
  type State,
  TRANSPORT,
  type Transport,
} from '@centreond/plugin-sdk';
import { inject } from 'tsyringe';
import type { CarriedNode } from './carried-node.ts';
import { makeNode } from './make-node.ts';
import { Config } from './node-config.ts';
import { isMine } from './share.ts';

/** Carries requests to the nodes that this router reaches, each by one instance of the pool. */
@Plugin({
  type: 'proxy',
  title: 'Carries requests to pushed nodes and SSH nodes',
  config: Config,
  instances: { pool: 2 },
})
export default class ProxyPlugin {
  readonly #nodes = new Map<string, CarriedNode>();

  constructor(
    @inject(CONFIG) private readonly config: Config,
    @inject(STATE) private readonly state: State,
    @inject(TRANSPORT) private readonly transport: Transport,
    @inject(LOGGER) private readonly log: Logger,
    @inject(INSTANCE) private readonly instance: Instance,
  ) {}

  start(): void {
    const { transport, state, log } = this;
    const changed = () => this.#announce();
    for (const node of this.config.nodes) {
      if (isMine(node.id, this.instance)) this.#nodes.set(node.id, makeNode(node, { transport, state, log, changed }));
    }
    this.#announce();
  }

  #announce(): void {
    const nodes = [...this.#nodes.values()].map((node) => node.announcement());
    this.transport.carry(nodes, async (request) => {
      const node = this.#nodes.get(request.target);
      if (!node) throw failure('NODE_UNREACHABLE', { target: request.target });
      return node.deliver(request);
    });
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#nodes.values()].map((node) => node.close()));
  }
}
