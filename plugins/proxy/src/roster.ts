import { createHash } from 'node:crypto';
import type { Json, Logger, State } from '@centreond/plugin-sdk';
import { z } from 'zod';
import { type Config, NodeConfig } from './node-config.ts';

const PREFIX = 'node:';
/** The ids of the newest config: a version that is replaced reads there what is no node any more. */
const IDS_KEY = 'config';

/** Which nodes there are: those of the config, and those that were added at run time, which are kept in the state. */
export class Roster {
  readonly #config: ReadonlyMap<string, NodeConfig>;
  readonly #added = new Map<string, NodeConfig>();

  constructor(
    { nodes }: Config,
    private readonly state: State,
    private readonly log: Logger,
  ) {
    this.#config = new Map(nodes.map((node) => [node.id, node]));
  }

  /** Reads what was added. Rejects where the state cannot be read. */
  async read(): Promise<void> {
    this.#added.clear();
    for (const { key, value } of await this.state.list(PREFIX)) this.#take(key.slice(PREFIX.length), value);
  }

  /** Reads again what the state has of `id`. */
  async refresh(id: string): Promise<void> {
    this.#take(id, await this.state.get(PREFIX + id));
  }

  #take(id: string, value: Json | undefined): void {
    this.#added.delete(id);
    if (value === undefined) return;
    const read = NodeConfig.safeParse(value);
    // Without the value: it names where a secret is.
    if (!read.success)
      this.log.error({ id, reason: z.prettifyError(read.error) }, `the kept node ${id} cannot be used`);
    else if (this.#config.has(id)) {
      this.log.warn({ id }, `the config has a node ${id}, so the one that ADDNODE made is not used`);
    } else this.#added.set(id, read.data);
  }

  get size(): number {
    return this.#config.size + this.#added.size;
  }

  /** Every node; the config's win. */
  all(): NodeConfig[] {
    return [...this.#config.values(), ...this.#added.values()];
  }

  get(id: string): NodeConfig | undefined {
    return this.#config.get(id) ?? this.#added.get(id);
  }

  inConfig(id: string): boolean {
    return this.#config.has(id);
  }

  /** Keeps a node, over any restart; resolves when it is on disk. */
  async keep(node: NodeConfig): Promise<void> {
    await this.state.set(PREFIX + node.id, { ...node });
    this.#added.set(node.id, node);
  }

  /** Keeps it no more; resolves when that is on disk. */
  async forget(id: string): Promise<void> {
    await this.state.delete(PREFIX + id);
    this.#added.delete(id);
  }

  /** Writes down which nodes this config has, for the version that it replaces. */
  async publishIds(): Promise<void> {
    await this.state.set(IDS_KEY, [...this.#config.keys()]);
  }

  /** Those of this config that a newer one has no more, and nobody added. */
  async outdated(): Promise<Set<string>> {
    const kept = await this.state.get(IDS_KEY);
    if (!Array.isArray(kept)) return new Set();
    const newer = new Set(kept);
    return new Set([...this.#config.keys()].filter((id) => !newer.has(id)));
  }
}

/** What two nodes with the same settings have in common. */
export function digestOf(node: NodeConfig): string {
  return createHash('sha256')
    .update(JSON.stringify(NodeConfig.parse(node)))
    .digest('base64url');
}
