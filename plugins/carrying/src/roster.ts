import { createHash } from 'node:crypto';
import type { Json, Logger, State } from '@centreond/plugin-sdk';
import type { NodeKind } from './carried-node.ts';
import { faultsText } from './faults.ts';
import type { NodeSettings } from './node-fields.ts';

const PREFIX = 'node:';
/** The ids of the newest config: a version that is replaced reads there which of its nodes are gone. */
const IDS_KEY = 'config';

export interface RosterOptions<N extends NodeSettings> {
  readonly kind: NodeKind<N>;
  /** The nodes of the config. */
  readonly nodes: readonly N[];
  readonly state: State;
  /** Omitted in all instances of the pool but one, so that each line is logged once. */
  readonly log: Logger | undefined;
}

/** Which nodes there are: those of the config, and those that were added at run time, which are kept in the state. */
export class Roster<N extends NodeSettings> {
  readonly #options: RosterOptions<N>;
  readonly #config: ReadonlyMap<string, N>;
  readonly #added = new Map<string, N>();
  /** Kept nodes whose settings the schema refuses. */
  readonly #unusable = new Set<string>();

  constructor(options: RosterOptions<N>) {
    this.#options = options;
    this.#config = new Map(options.nodes.map((node) => [node.id, node]));
  }

  /** Reads what was added. Rejects if the state cannot be read. */
  async read(): Promise<void> {
    this.#added.clear();
    this.#unusable.clear();
    for (const { key, value } of await this.#options.state.list(PREFIX)) this.#take(key.slice(PREFIX.length), value);
  }

  /** Reads again what the state has of `id`. */
  async refresh(id: string): Promise<void> {
    this.#take(id, await this.#options.state.get(PREFIX + id));
  }

  #take(id: string, value: Json | undefined): void {
    const { kind, log } = this.#options;
    this.#added.delete(id);
    this.#unusable.delete(id);
    if (value === undefined) return;
    const { data, error } = kind.schema.safeParse(value);
    if (error) {
      this.#unusable.add(id);
      // Without the value: it names where a secret is.
      log?.error({ id }, kind.explain?.(id, value) ?? `the kept node ${id} cannot be used: ${faultsText(error)}`);
    } else if (this.#config.has(id)) {
      log?.warn({ id }, `the config has a node ${id}, so the one that ${kind.actions.add} made is not used`);
    } else this.#added.set(id, data);
  }

  get size(): number {
    return this.#config.size + this.#added.size;
  }

  /** Every node; the config's win. */
  all(): N[] {
    return [...this.#config.values(), ...this.#added.values()];
  }

  get(id: string): N | undefined {
    return this.#config.get(id) ?? this.#added.get(id);
  }

  inConfig(id: string): boolean {
    return this.#config.has(id);
  }

  /** Whether a node is kept whose settings the schema refuses. */
  isUnusable(id: string): boolean {
    return this.#unusable.has(id);
  }

  /** Keeps a node, over any restart; resolves when it is on disk. */
  async keep(node: N): Promise<void> {
    await this.#options.state.set(PREFIX + node.id, { ...node });
    this.#added.set(node.id, node);
  }

  /** Forgets a node that was kept; resolves when that is on disk. */
  async forget(id: string): Promise<void> {
    await this.#options.state.delete(PREFIX + id);
    this.#added.delete(id);
    this.#unusable.delete(id);
  }

  /** Writes down which nodes this config has, for the version that it replaces. */
  async publishIds(): Promise<void> {
    await this.#options.state.set(IDS_KEY, [...this.#config.keys()]);
  }

  /** The nodes of this config that a newer one no longer has and nobody added. */
  async outdated(): Promise<Set<string>> {
    const kept = await this.#options.state.get(IDS_KEY);
    if (!Array.isArray(kept)) return new Set();
    const newer = new Set(kept);
    return new Set([...this.#config.keys()].filter((id) => !newer.has(id)));
  }

  /** The same for two nodes with the same settings, and for no others. */
  digestOf(node: N): string {
    const settings = this.#options.kind.schema.parse(node);
    return createHash('sha256').update(JSON.stringify(settings)).digest('base64url');
  }
}
