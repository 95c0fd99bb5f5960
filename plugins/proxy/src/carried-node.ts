import type { Ack, Logger, State, Transport } from '@centreond/plugin-sdk';
import type { CarriedRequest, NodeAnnouncement } from '@centreond/plugin-sdk/nodes';

/** What every kind of node is made with. */
export interface NodeOptions {
  readonly transport: Transport;
  readonly state: State;
  readonly log: Logger;
  /** To be called whenever {@link CarriedNode.announcement} would say something else than before. */
  readonly changed: () => void;
}

/** A node that this instance is the way to, whatever the kind of its link. It is at work once it is made. */
export interface CarriedNode {
  readonly id: string;
  /** What there is to say of it now. */
  announcement(): NodeAnnouncement;
  /** Hands a request over, for `transport.carry`: resolves with the node's ACK or rejects with its refusal, within 60 s. */
  deliver(request: CarriedRequest): Promise<Ack>;
  /** Ends the link, within 2 s. Calling it again does nothing. */
  close(): Promise<void>;
}
