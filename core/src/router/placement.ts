import type { Manifest } from '@centreond/plugin-sdk/internal';
import type { Executor } from './executor.ts';
import type { OpenRequest } from './request.ts';

/**
 * Decides on which router of a cluster the plugins run that run on one at a time (`placement: 'one'`). The cluster implements it, the
 * host calls it: from before the daemon serves, until the plugins have ended.
 */
export interface Placement {
  /**
   * Competes for the plugin `type`. `turn` is called with true when this router is to run it, with false when it no longer may: at
   * most one router of the cluster is told true at a time. It may be called at once, within this call. Resolves, and never rejects,
   * when the plugin has started or ended here; what was told before holds until then. Returns what withdraws: `turn` is not called
   * any more, and another router may have the turn. It is called once the plugin has ended here.
   */
  compete(type: string, turn: (isMine: boolean) => Promise<void>): () => void;
  /**
   * The plugin `type` has failed here for good, though it is this router's turn. If another router competes, that one is given the
   * turn, and `turn(false)` is called here; if none does, nothing changes.
   */
  pass(type: string): void;
  /** What runs the actions of a plugin while it is another router's turn: it hands requests over to that router. */
  standIn(manifest: Manifest): StandIn;
}

/** Runs the actions of a plugin on the router whose turn it is. It says what `Executor` says, but for the status. */
export interface StandIn extends Omit<Executor, 'status' | 'standsBy' | 'early' | 'allowsCallers'> {
  /** The id of the router that runs the plugin, if that is known. */
  runsOn(): string | undefined;
  /**
   * It is this router's turn now, or another stand-in has its place: what was submitted and not handed over, which is not its own any
   * more. What was handed over, and turns out later to be at no other router, it submits to the executor of its action then. From now
   * on `abort` and `withdraw` may name requests that are no longer its own, and it leaves those alone. It may be called again.
   */
  takeBack(): OpenRequest[];
}

/** A router by itself: its turn at once, and for ever. */
export const ALONE: Placement = {
  compete(_type, turn) {
    void turn(true);
    return () => {};
  },
  pass() {},
  standIn({ type }) {
    throw new Error(`the plugin ${type} never stands by on a router by itself`);
  },
};
