import type { CarriedNode, NodeOptions } from './carried-node.ts';
import type { NodeConfig } from './node-config.ts';
import { PushNode } from './push/push-node.ts';
import { SshNode } from './ssh/ssh-node.ts';

/** Puts a node to work, whatever its kind. Throws a sentence where its settings cannot work. */
export function makeNode(config: NodeConfig, options: NodeOptions): CarriedNode {
  switch (config.type) {
    case 'push':
      return new PushNode(config, options);
    case 'ssh':
      return new SshNode(config, options);
  }
}
