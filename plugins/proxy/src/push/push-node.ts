import { type Ack, type CarriedRequest, type Link, type NodeAnnouncement, type NodeState } from '@centreond/plugin-sdk';
import type { CarriedNode, NodeOptions } from '../carried-node.ts';
import type { PushConfig } from './push-config.ts';

/** A node with a daemon of its own, over a link to its external door. */
export class PushNode implements CarriedNode {
  readonly #link: Link;
  #state: NodeState = 'connecting';

  constructor(
    private readonly config: PushConfig,
    { transport, changed }: NodeOptions,
  ) {
    const { address, fingerprint } = config;
    this.#link = transport.link({
      address,
      fingerprint,
      onState: (state) => {
        this.#state = state;
        changed();
      },
    });
  }

  get id(): string {
    return this.config.id;
  }

  announcement(): NodeAnnouncement {
    const { id, name, score } = this.config;
    return {
      id,
      kind: 'push',
      state: this.#state,
      ...(name !== undefined && { name }),
      ...(score !== undefined && { score }),
    };
  }

  deliver(request: CarriedRequest): Promise<Ack> {
    return this.#link.forward(request);
  }

  close(): Promise<void> {
    return this.#link.close();
  }
}
