import { NodeId } from '@centreond/carrying';
import { LABEL, type Link, type NodeState, type Subnode } from '@centreond/plugin-sdk/nodes';
import { z } from 'zod';

const ANSWER_LIMIT_MS = 5000;
const HIGHEST_SCORE = 1e9;

// No more than the core takes: one node that exaggerates must not keep the others from being announced.
const ActionNames = z.array(z.string().max(64)).max(10_000);
const Information = z.object({
  version: z.string().max(64),
  actions: ActionNames,
  /** Milliseconds since the epoch. */
  time: z.number().optional(),
  labels: z
    .record(z.string().regex(LABEL.key), z.string().max(LABEL.characters))
    .refine((labels) => Object.keys(labels).length <= LABEL.most)
    .optional(),
});
const Nodes = z.object({
  nodes: z.array(
    z.object({
      id: NodeId,
      state: z.enum(['up', 'connecting', 'unreachable']),
      score: z.number().min(0).max(HIGHEST_SCORE).default(1),
      actions: ActionNames.default([]),
      subnodes: z.array(NodeId).default([]),
    }),
  ),
});

/** What a node says of itself. */
export interface About {
  readonly version: string;
  readonly actions: readonly string[];
  readonly clockSkewSeconds?: number;
  readonly labels?: Readonly<Record<string, string>>;
}

/** Asks what the router at the other end is, and how far its clock is ahead of ours. Rejects as `link.send` does. */
export async function readAbout(link: Link): Promise<About> {
  const [clock, start] = [Date.now(), performance.now()];
  const { data } = await link.send('INFORMATION', {}, { timeoutMs: ANSWER_LIMIT_MS });
  const middle = clock + (performance.now() - start) / 2;
  const { version, actions, time, labels } = Information.parse(data);
  return {
    version,
    actions: [...actions].sort(),
    ...(labels && { labels }),
    ...(time !== undefined && { clockSkewSeconds: Math.round(time - middle) / 1000 }),
  };
}

/** Asks which nodes are behind the router at the other end, each once, by its best way. Rejects as `link.send` does. */
export async function readSubnodes(link: Link): Promise<Subnode[]> {
  const { data } = await link.send('CONSTATUS', {}, { timeoutMs: ANSWER_LIMIT_MS });
  const best = new Map<string, Required<Pick<Subnode, 'score' | 'state'>> & Subnode>();
  const add = (id: string, state: NodeState, score: number, actions: readonly string[]) => {
    const known = best.get(id);
    if (known && (rank(known.state) - rank(state) || known.score - score) <= 0) return;
    best.set(id, { id, state, score, ...(actions.length > 0 && { actions }) });
  };
  for (const { id, state, score, actions, subnodes } of Nodes.parse(data).nodes) {
    add(id, state, score, actions);
    for (const sub of subnodes) add(sub, state, Math.min(score + 1, HIGHEST_SCORE), []);
  }
  return [...best.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

function rank(state: NodeState): number {
  return state === 'up' ? 0 : 1;
}
