import type { JsonObject, Transport } from '@centreond/plugin-sdk';
import { z } from 'zod';

const Information = z.object({
  id: z.string(),
  version: z.string(),
  actions: z.array(z.string()),
  labels: z.record(z.string(), z.string()).default({}),
});
const Nodes = z.object({
  nodes: z.array(
    z.object({
      id: z.string(),
      state: z.string(),
      score: z.number().optional(),
      actions: z.array(z.string()),
      subnodes: z.array(z.string()),
    }),
  ),
});

/** What this node is and what is behind it, as REGISTERNODE says it. */
export class Announcement {
  /** This router's id, once it was read. */
  id: string | undefined;

  constructor(
    private readonly transport: Transport,
    private readonly name: string | undefined,
  ) {}

  /** Reads what there is now; `plain` gives the nodes behind this one by their ids alone. Rejects as `transport.send` does. */
  async read(plain: boolean): Promise<JsonObject> {
    const [about, fleet] = await Promise.all([
      this.transport.send('INFORMATION', {}),
      this.transport.send('CONSTATUS', {}),
    ]);
    const { id, version, actions, labels } = Information.parse(about.data);
    this.id = id;
    const nodes = new Map<string, JsonObject>();
    const add = (node: { id: string; score: number; actions?: string[] }) => {
      const known = nodes.get(node.id);
      if (!known || Number(known.score) > node.score) nodes.set(node.id, node);
    };
    for (const node of Nodes.parse(fleet.data).nodes) {
      if (node.state !== 'up') continue;
      const score = node.score ?? 1;
      add({ id: node.id, score, ...(node.actions.length > 0 && { actions: node.actions }) });
      for (const sub of node.subnodes) add({ id: sub, score: score + 1 });
    }
    const entries = [...nodes.values()].sort((a, b) => (String(a.id) < String(b.id) ? -1 : 1));
    return {
      id,
      ...(this.name !== undefined && { name: this.name }),
      ...(Object.keys(labels).length > 0 && { labels }),
      version,
      actions: [...actions].sort(),
      nodes: plain ? entries.map((entry) => String(entry.id)) : entries,
    };
  }
}
