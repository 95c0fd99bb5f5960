import { isIdentity } from '@centreond/protocol';
import { near } from '../words.ts';
import { CliError, cliFault, misuse } from './connection.ts';
import { EXIT } from './exit.ts';
import type { Fleet } from './fleet.ts';

/** The nodes that --target names; `all` is whichever have the action. */
export interface Named {
  readonly many: boolean;
  readonly ids: readonly string[] | 'all';
}

/** Which nodes a request goes to, and which ones are left out, since they told that they lack the action. */
export interface Chosen {
  readonly targets: readonly string[];
  readonly lacking: readonly string[];
}

/** Reads --target. Throws USAGE where it names what can be no node. */
export function targetsOf(text: string): Named {
  if (text === 'all') return { many: true, ids: 'all' };
  const parts = text.split(',');
  if (parts.length === 1) return { many: false, ids: parts };
  const ids = [...new Set(parts.map((part) => part.trim()))];
  const odd = ids.find((id) => !isIdentity(id) || id === 'all');
  if (odd === undefined) return { many: true, ids };
  const why = odd === 'all' ? 'all stands alone' : `${JSON.stringify(odd)} can be no node`;
  throw misuse(`--target ${text}: ${why}. Write ids with a comma between, or all.`);
}

/**
 * Every node that has `action`, those behind another included, the router itself not. What a node does not tell the router
 * decides: of one behind another it alone knows the actions. Throws where that is nobody.
 */
export function everyNodeWith(action: string, { router, nodes }: Fleet): Chosen {
  const direct = new Map(nodes.map(({ id, actions }) => [id, actions]));
  const behind = nodes.flatMap(({ subnodes }) => subnodes.filter((id) => !direct.has(id) && id !== router));
  const isWithout = (actions: readonly string[]) => actions.length > 0 && !actions.includes(action);
  const lacking = [...direct].filter(([, actions]) => isWithout(actions)).map(([id]) => id);
  const without = new Set(lacking);
  const targets = [...new Set([...direct.keys(), ...behind])].filter((id) => !without.has(id));
  if (targets.length > 0) return { targets, lacking };
  if (nodes.length === 0) {
    throw cliFault('NO_NODES', { router });
  }
  const meant = near(action, [...new Set(nodes.flatMap(({ actions }) => actions))]);
  const hint = meant === undefined ? '' : ` Did you mean ${meant}?`;
  const message = `None of the ${nodes.length} nodes of the router ${router} has the action ${action}.${hint} \`centreond nodes ID\` lists those of a node.`;
  throw new CliError('NODE_LACKS_ACTION', message, EXIT.failed);
}
