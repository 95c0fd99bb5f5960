import { type NodeKind, nodesConfig } from '@centreond/carrying';
import { z } from 'zod';
import { PushConfig } from './push-config.ts';
import { PushNode } from './push-node.ts';

/** The settings of an SSH node that may be logged: not its key, its passphrase and its password. */
const FormerSsh = z.object({
  type: z.literal('ssh'),
  id: z.string(),
  name: z.string().optional(),
  score: z.number().optional(),
  address: z.string().optional(),
  user: z.string().optional(),
  hostKey: z.string().optional(),
  roots: z.array(z.string()).optional(),
  timeoutSeconds: z.number().optional(),
  maxTimeoutSeconds: z.number().optional(),
});

export const PUSH: NodeKind<PushConfig> = {
  name: 'push',
  schema: PushConfig,
  actions: { add: 'ADDNODE', delete: 'DELNODE' },
  // Two links to one daemon would replace each other for ever.
  doorOf: ({ address }) => address,
  // A pulled node of this id is the same daemon, over another link.
  clashesWith: (other) => other === 'ssh',
  explain(id, kept) {
    const { data } = FormerSsh.safeParse(kept);
    return (
      data &&
      `the kept node ${id} is an SSH node, which the plugin ssh carries now: load @centreond/plugin-ssh, send it ADDSSHNODE with ${JSON.stringify(data)} and the key or password, then send DELNODE of ${id}`
    );
  },
  make: (node, options) => new PushNode(node, options),
};

export const Config = nodesConfig(PUSH);
export type Config = z.output<typeof Config>;
