import type { Ack, Json, Logger, State, Transport } from '@centreond/plugin-sdk';
import type { CarriedRequest, NodeAnnouncement } from '@centreond/plugin-sdk/nodes';
import type { z } from 'zod';
import type { NodeSettings } from './node-fields.ts';

/** What CONSTATUS shows as the kind of a node. */
export type KindName = NonNullable<NodeAnnouncement['kind']>;

/** One kind of node: its settings, and how a node is made of them. `N` are the settings as `schema` reads them. */
export interface NodeKind<N extends NodeSettings> {
  readonly name: KindName;
  readonly schema: z.ZodType<N>;
  /** The names of the plugin's actions that add a node and delete one; errors and the log name them. */
  readonly actions: { readonly add: string; readonly delete: string };
  /** Where a node is reached, if no other node can be reached there too. */
  doorOf?(node: N): string | undefined;
  /** Whether a node of the kind `other` and of the same id is another executor, on which a request could run a second time. */
  clashesWith(other: KindName): boolean;
  /** What to do about a kept node that `schema` refuses, as a sentence; undefined: the log has what `schema` says. */
  explain?(id: string, kept: Json): string | undefined;
  /** Makes a node and starts its link. Throws an error with a sentence if its settings cannot work. */
  make(node: N, options: NodeOptions): CarriedNode;
}

/** What a node is made with. */
export interface NodeOptions {
  readonly transport: Transport;
  readonly state: State;
  readonly log: Logger;
  /** To be called whenever {@link CarriedNode.announcement} would say something else than before. */
  readonly changed: () => void;
}

/** A node that this instance carries, whatever the kind of its link. It works from the moment it is made. */
export interface CarriedNode {
  readonly id: string;
  /** What CONSTATUS is to show of it now. */
  announcement(): NodeAnnouncement;
  /** Hands a request over, for `transport.carry`: resolves with the node's ACK or rejects with its refusal, within 60 s. */
  deliver(request: CarriedRequest): Promise<Ack>;
  /** Ends the link, within 2 s. Calling it again does nothing. */
  close(): Promise<void>;
}
