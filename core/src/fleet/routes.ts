import type { NodeAnnouncement, NodeState, Subnode } from '@centreond/plugin-sdk/nodes';
import { type CentreondError, failure } from '@centreond/protocol';
import type { Log } from '../log.ts';

/** A request on its way to another node: `data` is JSON text, `envelope` what goes with it. */
export interface Carried {
  readonly action: string;
  readonly token: string;
  readonly target: string;
  readonly data: string;
  readonly envelope: object;
  /** Who asks. */
  readonly owner: string;
}

/** Who takes requests to nodes: an instance of a plugin, or a node's own session. */
export interface Carrier {
  /** For the log and `why`. */
  readonly name: string;
  /** Has more on its way than it takes. */
  readonly congested: boolean;
  /**
   * Hands a request over. Resolves with the data of the node's ACK, as JSON text. Rejects with the refusal; with Unanswered after
   * `limitMs`, or once the carrier has left and {@link Routes.left} knows.
   */
  carry(request: Carried, limitMs: number): Promise<string>;
  /** The other router of the cluster that carries; undefined: this one does. */
  readonly router?: string;
  /** Has who carries `node` bring its log here. Rejects with NODE_UNREACHABLE. */
  synchronise?(node: string): Promise<void>;
}

/** A way to a node. */
export interface Path {
  readonly target: string;
  readonly carrier: Carrier;
  /** The node to which the carrier hands it: the target itself where the way is direct. */
  readonly via: string;
  readonly score: number;
  readonly state: NodeState;
  readonly actions: ReadonlySet<string> | undefined;
}

/** A node as CONSTATUS shows it; times in whole seconds. */
export interface NodeStatus {
  readonly id: string;
  readonly name: string;
  readonly kind: 'push' | 'pull' | 'ssh';
  readonly state: NodeState;
  /** Why it is not up, as a clause; null where it is, or where nobody said why. */
  readonly reason: string | null;
  /** Where it is reached, or came from; null where nobody said so. */
  readonly address: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly lastPing: number | null;
  readonly lastPong: number | null;
  readonly roundTripMs: number | null;
  readonly clockSkewSeconds: number | null;
  readonly version: string | null;
  readonly actions: readonly string[];
  readonly subnodes: readonly string[];
  /** The router of the cluster that carries it, where that is another than the one that is asked. */
  readonly router?: string;
}

export interface RoutesOptions {
  /** This router's id. */
  readonly id: string;
  readonly log: Log;
  /** Whether a node that nobody carries now is expected: the configuration names it. */
  expected?(id: string): boolean;
  /** The ids of all nodes that may come by themselves, linked or not. */
  nodes?(): readonly string[];
}

interface Known {
  node: NodeAnnouncement;
  readonly carrier: Carrier;
  readonly paths: readonly Path[];
}

const HOPS_LIMIT = 8;
const NEVER_LINKED = 'it has not linked since this router started';

/** The nodes that are reached from here, and by whom. A node whose carrier left stays known, and unreachable. */
export class Routes {
  readonly #options: RoutesOptions;
  readonly #byCarrier = new Map<Carrier, Map<string, Known>>();
  /** Each node's paths, the best first. */
  readonly #paths = new Map<string, Path[]>();
  /** The routers of the cluster that were here, which are no nodes. */
  readonly #routers = new Set<string>();
  /** Why the last handshakes of nodes were refused that are not up. */
  readonly #refusals = new Map<string, string>();
  readonly #onChange: ((targets: readonly string[]) => void)[] = [];

  constructor(options: RoutesOptions) {
    this.#options = options;
  }

  /** `listener` hears which nodes' paths changed. */
  onChange(listener: (targets: readonly string[]) => void): void {
    this.#onChange.push(listener);
  }

  /** Takes what a carrier says of its nodes: those that are new or changed, and the ids of those that it gave up. */
  announce(carrier: Carrier, nodes: readonly NodeAnnouncement[], gone: readonly string[] = []): void {
    const touched = new Set<string>();
    let own = this.#byCarrier.get(carrier);
    if (!own) {
      own = new Map();
      this.#byCarrier.set(carrier, own);
    }
    for (const id of gone) this.#forget(carrier, id, touched);
    for (const node of nodes) {
      if (node.id === this.#options.id) {
        this.#options.log.warn(`${carrier.name} announces the node ${node.id}, which is this router; it is ignored`);
        continue;
      }
      if (node.state === 'up') this.#refusals.delete(node.id);
      if (carrier.router === node.id) this.#routers.add(node.id);
      else if (carrier !== DEPARTED) this.#routers.delete(node.id);
      const known = own.get(node.id);
      if (known && leadsAsBefore(known.node, node)) {
        known.node = node;
        continue;
      }
      this.#forget(carrier, node.id, touched);
      this.#forget(DEPARTED, node.id, touched);
      const paths = this.#pathsOf(carrier, node);
      own.set(node.id, { node, carrier, paths });
      for (const path of paths) {
        touched.add(path.target);
        const all = this.#paths.get(path.target) ?? [];
        // The newest first among equals: after a reload that is the new version.
        this.#paths.set(path.target, [path, ...all].sort(better));
      }
    }
    this.#changed(touched);
  }

  /** The external door refused a handshake of the identity `id` for `cause`. Told of a node that is not up; else ignored. */
  refused(id: string, cause: string): void {
    const isNode = this.knows(id) || (this.#options.nodes?.().includes(id) ?? false);
    if (isNode && !this.pick(id)) this.#refusals.set(id, `its last handshake was refused: ${cause}`);
  }

  #pathsOf(carrier: Carrier, node: NodeAnnouncement): Path[] {
    const { id, state, score = 1 } = node;
    const paths: Path[] = [{ target: id, carrier, via: id, score, state, actions: setOf(node.actions) }];
    for (const entry of node.subnodes ?? []) {
      const sub: Subnode = typeof entry === 'string' ? { id: entry } : entry;
      // One that names us leads back here.
      if (sub.id === this.#options.id || sub.id === id) continue;
      paths.push({
        target: sub.id,
        carrier,
        via: id,
        score: score + (sub.score ?? 1),
        state: state === 'up' ? (sub.state ?? 'up') : state,
        actions: setOf(sub.actions),
      });
    }
    return paths;
  }

  #forget(carrier: Carrier, id: string, touched: Set<string>): void {
    const own = this.#byCarrier.get(carrier);
    const known = own?.get(id);
    if (!known) return;
    own?.delete(id);
    for (const path of known.paths) {
      touched.add(path.target);
      const left = (this.#paths.get(path.target) ?? []).filter((one) => one !== path);
      if (left.length > 0) this.#paths.set(path.target, left);
      else this.#paths.delete(path.target);
    }
  }

  /** A carrier is gone: its nodes stay known, and unreachable until somebody carries them again. */
  left(carrier: Carrier): void {
    const own = this.#byCarrier.get(carrier);
    if (!own) return;
    const orphans = [...own.values()].map(
      ({ node }): NodeAnnouncement => ({ ...node, state: 'unreachable', reason: 'its link has ended' }),
    );
    const touched = new Set<string>();
    for (const { id } of orphans) this.#forget(carrier, id, touched);
    this.#byCarrier.delete(carrier);
    const carried = (id: string) => [...this.#byCarrier.values()].some((others) => others.has(id));
    this.announce(
      DEPARTED,
      orphans.filter(({ id }) => !carried(id)),
    );
    this.#changed(touched);
  }

  /** Forgets a node that nobody carries any more. */
  forget(id: string): void {
    const touched = new Set<string>();
    this.#forget(DEPARTED, id, touched);
    this.#refusals.delete(id);
    this.#changed(touched);
  }

  #changed(touched: ReadonlySet<string>): void {
    if (touched.size > 0) for (const listener of this.#onChange) listener([...touched]);
  }

  /** Whether there is, or was, or is expected, a way to the node. */
  knows(target: string): boolean {
    return this.#paths.has(target) || (this.#options.expected?.(target) ?? false);
  }

  /** Whether `carrier` is a way to a node, whatever its state. */
  carries(carrier: Carrier, target: string): boolean {
    return this.#paths.get(target)?.some((path) => path.carrier === carrier) ?? false;
  }

  /** Whether the node `via`, which `carrier` carries, is itself `target` or leads to it, whatever its state. */
  leads(carrier: Carrier, via: string, target: string): boolean {
    const paths = this.#byCarrier.get(carrier)?.get(via)?.paths ?? [];
    return paths.some((path) => path.target === target);
  }

  /** The best way to a node that is up and does not lead back through `hops`. */
  pick(target: string, hops: readonly string[] = []): Path | undefined {
    if (hops.length >= HOPS_LIMIT) return undefined;
    return this.#paths.get(target)?.find((path) => path.state === 'up' && !hops.includes(path.via));
  }

  /** What is announced of the nodes that this router carries itself. */
  own(): NodeAnnouncement[] {
    return [...this.#byCarrier]
      .filter(([carrier]) => carrier !== DEPARTED && carrier.router === undefined)
      .flatMap(([, nodes]) => [...nodes.values()].map(({ node }) => node));
  }

  /** Whether a way that is up exists, and only `hops` forbids it. */
  loops(target: string, hops: readonly string[]): boolean {
    return this.pick(target) !== undefined && this.pick(target, hops) === undefined;
  }

  /** Whether this is the way to a router of the cluster itself, be it there or gone. */
  #isRouter(id: string, carrier: Carrier): boolean {
    return carrier.router === id || (carrier === DEPARTED && this.#routers.has(id));
  }

  /** What is announced of a node by the best direct way to it, with the reason why it is not up, if that is known. */
  direct(id: string): NodeAnnouncement | undefined {
    const path = this.#paths.get(id)?.find(({ via, carrier }) => via === id && !this.#isRouter(id, carrier));
    const node = path && this.#byCarrier.get(path.carrier)?.get(id)?.node;
    const reason = this.#refusals.get(id);
    return node && reason !== undefined ? { ...node, reason } : node;
  }

  /** Why no request reaches a node now, as a clause after "the node X"; undefined if nobody said why. */
  whyNot(target: string): string | undefined {
    const [path] = this.#paths.get(target) ?? [];
    if (path === undefined) {
      return this.knows(target) ? `is not reached: ${this.#refusals.get(target) ?? NEVER_LINKED}` : undefined;
    }
    const node = this.#byCarrier.get(path.carrier)?.get(path.via)?.node;
    const reason = this.#refusals.get(path.via) ?? node?.reason;
    if (reason === undefined || node?.state === 'up') return undefined;
    const where = path.via === target ? 'is' : `is behind ${path.via}, which is`;
    return `${where} not reached: ${withoutStop(reason)}`;
  }

  /** The node over which the best way to a node leads, itself where it is direct, and of which kind that is; undefined if there is none. */
  wayTo(target: string): { readonly via: string; readonly kind: NodeStatus['kind'] } | undefined {
    const [path] = this.#paths.get(target) ?? [];
    if (path === undefined) return undefined;
    return { via: path.via, kind: this.#byCarrier.get(path.carrier)?.get(path.via)?.node.kind ?? 'push' };
  }

  /** The actions of a node, where it announced them. */
  actionsOf(target: string): ReadonlySet<string> | undefined {
    return this.#paths.get(target)?.find((path) => path.actions)?.actions;
  }

  /** The nodes that announced `action`. */
  nodesWith(action: string): string[] {
    return [...this.#paths.keys()].filter((id) => this.actionsOf(id)?.has(action)).sort();
  }

  /** The nodes that are carried directly or expected, each once. */
  status(): NodeStatus[] {
    const best = new Map<string, Known>();
    for (const own of this.#byCarrier.values()) {
      for (const known of own.values()) {
        // The routers of a cluster are no nodes.
        if (this.#isRouter(known.node.id, known.carrier)) continue;
        const other = best.get(known.node.id);
        const [path, otherPath] = [known.paths[0] as Path, other?.paths[0]];
        if (!otherPath || better(path, otherPath) < 0) best.set(known.node.id, known);
      }
    }
    const away = (this.#options.nodes?.() ?? [])
      .filter((id) => id !== this.#options.id && !best.has(id))
      .map((id): NodeAnnouncement => ({ id, kind: 'pull', state: 'unreachable', reason: NEVER_LINKED }));
    const carried = [...best.values()].map(({ node, carrier: { router } }): NodeStatus => {
      return { ...this.#statusOf(node), ...(router !== undefined && { router }) };
    });
    return [...carried, ...away.map((node) => this.#statusOf(node))].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  #statusOf(node: NodeAnnouncement): NodeStatus {
    const { id, name = '', kind = 'push', state } = node;
    return {
      id,
      name,
      kind,
      state,
      reason: state === 'up' ? null : (this.#refusals.get(id) ?? node.reason ?? null),
      address: node.address ?? null,
      labels: node.labels ?? {},
      lastPing: node.lastPing ?? null,
      lastPong: node.lastPong ?? null,
      roundTripMs: node.roundTripMs ?? null,
      clockSkewSeconds: node.clockSkewSeconds ?? null,
      version: node.version ?? null,
      actions: node.actions ?? [],
      subnodes: (node.subnodes ?? []).flatMap((entry) => {
        if (typeof entry === 'string') return [entry];
        return entry.state === undefined || entry.state === 'up' ? [entry.id] : [];
      }),
    };
  }
}

/** Stands for carriers that left. Nothing is handed to it: its paths are unreachable. */
const DEPARTED: Carrier = {
  name: 'a carrier that left',
  congested: true,
  carry() {
    throw new Error('nobody carries this node');
  },
};

/** Some reasons are sentences; what follows them brings its own full stop. */
function withoutStop(reason: string): string {
  return reason.replace(/\.$/, '');
}

/** Whether only what is shown of a node differs, such as when it answered last. A list that was read again counts as another. */
function leadsAsBefore(before: NodeAnnouncement, now: NodeAnnouncement): boolean {
  const { state, score, actions, subnodes } = before;
  return state === now.state && score === now.score && actions === now.actions && subnodes === now.subnodes;
}

function setOf(actions: readonly string[] | undefined): ReadonlySet<string> | undefined {
  return actions && new Set(actions);
}

const RANK = { up: 0, connecting: 1, unreachable: 2 } as const;

/** What is up goes first, then what is direct, then the lower score. */
function better(a: Path, b: Path): number {
  const direct = (path: Path) => (path.via === path.target ? 0 : 1);
  return RANK[a.state] - RANK[b.state] || direct(a) - direct(b) || a.score - b.score;
}

/** NODE_UNREACHABLE with what is known of the cause. */
export function unreachable(routes: Routes, target: string): CentreondError {
  const why = routes.whyNot(target);
  return failure('NODE_UNREACHABLE', why === undefined ? { target } : { target, why });
}
