import { parseJson } from '@centreond/protocol';
import { z } from 'zod';
import type { ListedRouter } from '../fleet/router-actions.ts';
import type { RouterRecord } from '../store/membership.ts';

const Load = z
  .object({
    /** Open requests. */
    open: z.int(),
    /** Nodes that it carries, and how often it told of them. */
    nodes: z.int(),
    carried: z.int(),
    /** Whether NATS reaches it. */
    isReached: z.boolean(),
    /** The names of its actions. */
    actions: z.array(z.string()),
    /** Of the plugins of which one router of the cluster runs at a time, those for which it competes, and those that it runs. */
    competes: z.array(z.string()),
    runs: z.array(z.string()),
    /** Those that may run there: it has their turn, or they have not ended there yet. A router of an earlier version does not say. */
    turns: z.array(z.string()).exactOptional(),
  })
  .transform((load) => ({ ...load, turns: load.turns ?? load.runs }));

/** What a router says of itself in its heartbeats. */
export type Load = z.output<typeof Load>;

const NOTHING: Load = {
  open: 0,
  nodes: 0,
  carried: 0,
  isReached: false,
  actions: [],
  competes: [],
  runs: [],
  turns: [],
};

/** Reads what a router said of itself; of a router that has said nothing yet, or that is of another version, what is common. */
export function readLoad(text: string): Load {
  return Load.safeParse(parseJson(text)).data ?? NOTHING;
}

/** A router with what it said of itself. */
export function listed({ load, ...router }: RouterRecord): ListedRouter {
  const { open, nodes, isReached } = readLoad(load);
  return { ...router, open, nodes, nats: isReached };
}
