import { z } from 'zod';
import type { NodeKind } from './carried-node.ts';
import type { NodeSettings } from './node-fields.ts';

/** Nodes of one plugin, those of the config included. */
export const NODES_LIMIT = 10_000;

/** The config of a plugin that carries nodes of one kind: `nodes`, no id and no door in it twice. */
export function nodesConfig<N extends NodeSettings>(kind: Pick<NodeKind<N>, 'schema' | 'doorOf'>) {
  const nodes = z
    .array(kind.schema)
    .max(NODES_LIMIT)
    .default([])
    // The same for `centreond check`.
    .meta({ 'centreond-unique': 'id' })
    .describe('the nodes that this router reaches; only a change of the config changes these');
  return z.strictObject({ nodes }).superRefine(({ nodes }, context) => {
    const issue = (i: number, key: string, message: string) =>
      context.addIssue({ code: 'custom', path: ['nodes', i, key], message });
    const ids = new Set<string>();
    const doors = new Map<string, string>();
    for (const [i, node] of nodes.entries()) {
      if (ids.has(node.id)) issue(i, 'id', `is the id of two nodes: ${node.id}`);
      ids.add(node.id);
      const door = kind.doorOf?.(node);
      if (door === undefined) continue;
      const other = doors.get(door);
      if (other !== undefined) issue(i, 'address', `is that of the node ${other} too`);
      doors.set(door, node.id);
    }
  });
}
