import { type NodeKind, nodesConfig } from '@centreond/carrying';
import type { z } from 'zod';
import { SshConfig } from './ssh-config.ts';
import { SshNode } from './ssh-node.ts';

export const SSH: NodeKind<SshConfig> = {
  name: 'ssh',
  schema: SshConfig,
  actions: { add: 'ADDSSHNODE', delete: 'DELSSHNODE' },
  // A daemon of this id keeps its own account of what ran.
  clashesWith: (other) => other !== 'ssh',
  make: (node, options) => new SshNode(node, options),
};

export const Config = nodesConfig(SSH);
export type Config = z.output<typeof Config>;
