import type { Node, NodeState } from '../api/shapes.ts';

/** A node as the tables show it: one that is linked here, or one behind such a node. */
export interface Member {
  readonly id: string;
  readonly state: NodeState;
  /** The nodes through which it is reached; none: it is linked here. */
  readonly via: readonly string[];
  /** What is known of it here; of a node behind another, little is. */
  readonly node: Node | undefined;
  /** The router of the cluster that carries it, or the node before it; undefined where that is not known. */
  readonly router: string | undefined;
}

/**
 * All nodes that requests can go to, by id. A direct link wins over a way through another node. `own` is the id of the router that one
 * looks at, which carries what no other does.
 */
export function membersOf(nodes: readonly Node[], own: string): Member[] {
  const members = new Map<string, Member>();
  const carrierOf = ({ router, state }: Node) => router ?? (state === 'unreachable' ? undefined : own);
  for (const node of nodes) {
    members.set(node.id, { id: node.id, state: node.state, via: [], node, router: carrierOf(node) });
  }
  for (const before of nodes) {
    const { id: via, state, subnodes } = before;
    for (const id of subnodes) {
      const known = members.get(id);
      if (known?.node) continue;
      const isUp = state === 'up' || known?.state === 'up';
      const ways = [...(known?.via ?? []), via];
      const router = known?.router ?? carrierOf(before);
      members.set(id, { id, state: isUp ? 'up' : 'unreachable', via: ways, node: undefined, router });
    }
  }
  return [...members.values()].sort((a, b) => compareIds(a.id, b.id));
}

const order = new Intl.Collator('en', { numeric: true });

/** `node-2` before `node-10`. */
export function compareIds(a: string, b: string): number {
  return order.compare(a, b);
}

/**
 * Whether a node is meant by what was typed into the filter: each word must hold. `site=paris` is a label, `state:up`,
 * `via:lyon` and `router:central-b` are what they say, `-word` excludes, anything else is a part of any text about it.
 */
export function isMeant(member: Member, typed: string): boolean {
  return typed
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '' && word !== '-')
    .every((word) => (word.startsWith('-') ? !holds(member, word.slice(1)) : holds(member, word)));
}

function holds({ id, state, via, node, router }: Member, word: string): boolean {
  const labels = Object.entries(node?.labels ?? {}).map(([key, value]) => `${key}=${value}`.toLowerCase());
  if (/^[a-z0-9._/-]+=/.test(word))
    return labels.some((label) => label === word || (word.endsWith('=') && label.startsWith(word)));
  const [, key, value = ''] = /^(state|via|kind|router):(.*)$/.exec(word) ?? [];
  if (key === 'state') return state.startsWith(value);
  if (key === 'via') return via.some((each) => each.toLowerCase() === value);
  if (key === 'router') return router?.toLowerCase() === value;
  if (key === 'kind') return (node?.kind ?? 'behind').startsWith(value);
  const texts = [id, node?.name, node?.address, node?.version, node?.reason, ...via, ...labels];
  return texts.some((text) => text?.toLowerCase().includes(word));
}

export interface Counts {
  readonly up: number;
  readonly connecting: number;
  readonly unreachable: number;
}

export function countStates(members: readonly { readonly state: NodeState }[]): Counts {
  const counts = { up: 0, connecting: 0, unreachable: 0 };
  for (const { state } of members) counts[state]++;
  return counts;
}

/** The keys of labels by which a map can be grouped: those that most nodes have first. */
export function labelKeys(members: readonly Member[]): string[] {
  const counts = new Map<string, number>();
  for (const { node } of members) {
    for (const key of Object.keys(node?.labels ?? {})) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].sort(([a, m], [b, n]) => n - m || compareIds(a, b)).map(([key]) => key);
}

export interface Group {
  /** The value of the label, or the router's id; empty: those without. */
  readonly name: string;
  readonly members: readonly Member[];
}

/** By what a map is grouped: the way to the nodes, or a label. */
export type Grouping = { readonly by: 'router' } | { readonly by: 'label'; readonly key: string };

/** Nodes in groups, by name; those that belong to none are last. `router` is the id of the router that one looks at. */
export function groupsOf(members: readonly Member[], grouping: Grouping, router: string): Group[] {
  const groups = new Map<string, Member[]>();
  for (const member of members) {
    const name =
      grouping.by === 'router' ? (member.via[0] ?? member.router ?? router) : (member.node?.labels[grouping.key] ?? '');
    const group = groups.get(name);
    if (group) group.push(member);
    else groups.set(name, [member]);
  }
  const last = (name: string) => (name === '' ? 1 : 0);
  return [...groups]
    .map(([name, each]) => ({ name, members: each }))
    .sort((a, b) => last(a.name) - last(b.name) || compareIds(a.name, b.name));
}
