import { isIdentity } from '@centreond/protocol';
import { near, plain } from '../words.ts';
import { CliError, cliFault, misuse } from './connection.ts';
import { EXIT } from './exit.ts';
import type { Fleet } from './fleet.ts';
import { list } from './print.ts';

/** The nodes that --target and --label name. */
export interface Named {
  /** A request each and a summary, even where one node is left. */
  readonly many: boolean;
  /** Every node, whichever have the action. */
  readonly all: boolean;
  /** What --target has between its commas: ids and globs. */
  readonly words: readonly string[];
  /** What a node has to have, all of it. */
  readonly labels: readonly (readonly [key: string, value: string])[];
}

/** Which nodes a request goes to, and which ones are left out, since they told that they lack the action. */
export interface Chosen {
  readonly targets: readonly string[];
  readonly lacking: readonly string[];
}

/** What a glob may have: the characters of an id, * for any number of them and ? for one. */
const GLOB = /^[A-Za-z0-9._*?-]{1,64}$/;

/** Reads --target and --label. Throws USAGE where they name what can be no node or no label. */
export function targetsOf(text: string | undefined, labels: readonly string[] = []): Named {
  const pairs = labels.map(labelOf);
  if (text === undefined || text === 'all') return { many: true, all: true, words: [], labels: pairs };
  const words = [...new Set(text.split(',').map((part) => part.trim()))];
  if (words.length === 1 && !isGlob(text) && pairs.length === 0) {
    return { many: false, all: false, words: [text], labels: [] };
  }
  const odd = words.find((word) => word === 'all' || !(isGlob(word) ? GLOB.test(word) : isIdentity(word)));
  if (odd === undefined) return { many: true, all: false, words, labels: pairs };
  const why = odd === 'all' ? 'all stands alone' : `${JSON.stringify(odd)} can be no node`;
  throw misuse(`--target ${text}: ${why}. Write ids with a comma between, globs such as 'web-*', or all.`);
}

/** Whether the nodes can only be told once it is known which ones there are. */
export function needsFleet({ all, words, labels }: Named): boolean {
  return all || labels.length > 0 || words.some(isGlob);
}

/**
 * The nodes that `named` chooses, those behind another included, the router itself not. Nodes that are not named by their id are
 * asked only if they may have `action`; of one behind another it alone knows the actions, and its labels too. Throws where a glob
 * or the labels choose nobody.
 */
export function chosenOf(named: Named, action: string, fleet: Fleet): Chosen {
  const { router, nodes } = fleet;
  const direct = new Map(nodes.map((node) => [node.id, node]));
  const behind = nodes.flatMap(({ subnodes }) => subnodes.filter((id) => !direct.has(id) && id !== router));
  const ids = [...new Set([...direct.keys(), ...behind])];
  if (ids.length === 0) throw cliFault('NO_NODES', { router });
  const found = named.all ? ids : [...new Set(named.words.flatMap((word) => matching(word, ids, named, router)))];
  const matched = found.filter((id) => named.labels.every(([key, value]) => direct.get(id)?.labels[key] === value));
  if (matched.length === 0) throw new CliError('UNKNOWN_TARGET', nobodyText(named, found, fleet), EXIT.failed);
  const byId = new Set(named.words.filter((word) => !isGlob(word)));
  const lacks = (id: string) => {
    const actions = direct.get(id)?.actions ?? [];
    return !byId.has(id) && actions.length > 0 && !actions.includes(action);
  };
  const targets = matched.filter((id) => !lacks(id));
  if (targets.length > 0) return { targets, lacking: matched.filter(lacks) };
  const meant = near(action, [...new Set(nodes.flatMap(({ actions }) => actions))]);
  const hint = meant === undefined ? '' : ` Did you mean ${meant}?`;
  const whom =
    named.all && named.labels.length === 0 ? `the ${nodes.length} nodes of the router ${router}` : list(matched);
  const message = `None of ${whom} has the action ${action}.${hint} \`centreond nodes ID\` lists those of a node.`;
  throw new CliError('NODE_LACKS_ACTION', message, EXIT.failed);
}

/** The ids that a word of --target means. Throws where a glob means none, and where labels are asked of a node that is not there. */
function matching(word: string, ids: readonly string[], { labels }: Named, router: string): readonly string[] {
  if (!isGlob(word)) {
    // Without labels the router itself says what it knows of an id.
    if (labels.length === 0 || ids.includes(word)) return [word];
    const meant = near(word, ids);
    const hint = meant === undefined ? `There are ${list(ids.map(plain))}.` : `Did you mean ${plain(meant)}?`;
    throw new CliError('UNKNOWN_TARGET', `The router ${router} is not linked to a node ${word}. ${hint}`, EXIT.failed);
  }
  const pattern = new RegExp(`^${word.replaceAll('.', '\\.').replaceAll(/\*+/g, '.*').replaceAll('?', '.')}$`);
  const found = ids.filter((id) => pattern.test(id));
  if (found.length > 0) return found;
  const message = `No node of the router ${router} matches ${word}. There are ${list(ids.map(plain))}.`;
  throw new CliError('UNKNOWN_TARGET', message, EXIT.failed);
}

/** That the labels choose nobody, and which labels there are. */
function nobodyText({ all, labels }: Named, found: readonly string[], { router, nodes }: Fleet): string {
  const asked = labels.map(([key, value]) => `${key}=${value}`).join(' and ');
  const known = nodes.flatMap((node) => Object.entries(node.labels).map(([key, value]) => plain(`${key}=${value}`)));
  const there = [...new Set(known)].sort();
  const whom = all ? `No node of the router ${router}` : `None of ${list(found)}`;
  if (there.length === 0) return `${whom} has ${asked}: no node has labels. They are core.labels in a node's config.`;
  return `${whom} has ${asked}. The labels there are: ${list(there, 20)}.`;
}

function labelOf(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw misuse(`--label ${text}: write a label as KEY=VALUE, such as site=paris.`);
  return [text.slice(0, at), text.slice(at + 1)];
}

function isGlob(word: string): boolean {
  return /[*?]/.test(word);
}
