import { z } from 'zod';
import { PushConfig } from './push/push-config.ts';
import { SshConfig } from './ssh/ssh-config.ts';

/** Nodes, those of the config included. */
export const NODES_LIMIT = 10_000;

/** A node in the config's shape: each kind has a schema and, in `makeNode`, a class. */
export const NodeConfig = z.discriminatedUnion('type', [PushConfig, SshConfig]);
export type NodeConfig = z.output<typeof NodeConfig>;

/** Where a node is reached, if no other node can be there too: two links to one daemon would replace each other for ever. */
export function doorOf(node: NodeConfig): string | undefined {
  return node.type === 'push' ? node.address : undefined;
}

export const Config = z
  .strictObject({
    nodes: z
      .array(NodeConfig)
      .max(NODES_LIMIT)
      .default([])
      .describe('the nodes that this router reaches; only a change of the config changes these'),
  })
  .superRefine(({ nodes }, context) => {
    const issue = (i: number, key: string, message: string) =>
      context.addIssue({ code: 'custom', path: ['nodes', i, key], message });
    const ids = new Set<string>();
    const doors = new Map<string, string>();
    for (const [i, node] of nodes.entries()) {
      if (ids.has(node.id)) issue(i, 'id', `is the id of two nodes: ${node.id}`);
      ids.add(node.id);
      const door = doorOf(node);
      if (door === undefined) continue;
      const other = doors.get(door);
      if (other !== undefined) issue(i, 'address', `is that of the node ${other} too`);
      doors.set(door, node.id);
    }
  });
export type Config = z.output<typeof Config>;
