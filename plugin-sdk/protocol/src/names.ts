import type { Json } from './frame.ts';

/** Events that the core emits. */
export interface NodeRegistered {
  id: string;
  name?: string;
  version: string;
  actions: string[];
  nodes: string[];
}
/** Something that happened on this router, as GETEVENTS has it: besides these, the fields of its kind. */
export interface Happened {
  id: number;
  /** In milliseconds since the epoch. */
  time: number;
  kind: string;
  /** A sentence for people. */
  text: string;
  [field: string]: Json;
}
export interface CoreEvents {
  REGISTERNODE: NodeRegistered;
  UNREGISTERNODE: { id: string };
  HAPPENED: Happened;
}

/**
 * The actions that `call` and `send` know, each with its `input`, `output` and `reply`. Empty here, so every name compiles. The
 * file that `centreond-plugin types` writes fills it from the manifests of the installed plugins; from then on a name that is
 * not in it does not compile. A name of type `string` always does: `call(name as string, data)`.
 */
// biome-ignore lint/suspicious/noEmptyInterface: it is there to be augmented
export interface Actions {}

/** The events that `emit` and `@On` know, each with what it carries: those of the core, and what `centreond-plugin types` adds. */
export interface Events extends CoreEvents {}
