import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { reasonOf } from '@centreond/protocol';
import { PostgresServer } from '../core/store/postgres-server.ts';
import { type Identity, ROOT, until } from '../daemon-process.ts';
import type { Evidence, Told } from './checker.ts';
import { freePort } from './free-port.ts';
import type { History } from './history.ts';
import { PulledNode, Router } from './member.ts';
import { NatsServer, type NatsUser } from './nats-server.ts';
import { Witness } from './witness.ts';

const CONNECT_MS = 30_000;
/** GETLOG at the end: more rows than a part of a run has. */
const ALL_ROWS = 1_000_000;
const ALL_END_MS = 60_000;

/** Whether a node can be told of several routers. */
const KNOWS_OTHERS = readFileSync(path.join(ROOT, 'plugins/pull/plugin.manifest.json'), 'utf8').includes('"others"');

export interface ClusterPlan {
  readonly routers: number;
  /** How many nodes each router has. */
  readonly nodes?: number;
  /** Whether they know of each other. Default true; else each is by itself on the same database. */
  readonly clustered?: boolean;
  readonly nats?: NatsUser;
  /** Who is let in by every router, besides those that this connects. */
  readonly clients?: readonly { readonly identity: string; readonly fingerprint: string }[];
  /** What the first router runs besides the probe. */
  readonly plugins?: readonly object[];
  /** What the router `id` runs, too. */
  readonly pluginsOf?: (id: string) => readonly object[];
  /** `name=value`, as for `postgres -c`. */
  readonly postgres?: readonly string[];
  /** The port by which the router `id` reaches PostgreSQL, whose own is `port`; without it over the socket. */
  readonly way?: (id: string, port: number) => Promise<number>;
}

/** Routers, each with nodes, on one PostgreSQL and one NATS, and a client of each router. All are ended with it. */
export class Cluster {
  readonly postgres: PostgresServer;
  readonly nats: NatsServer;
  readonly routers: Router[] = [];
  readonly nodes: PulledNode[] = [];
  #witness: Witness | undefined;
  readonly #identities: Identity[] = [];
  readonly #isClustered: boolean;
  readonly #clients = new Map<string, Client>();
  readonly #admins = new Map<string, Client>();

  private constructor({ nats, postgres = ['fsync=off'], clustered = true }: ClusterPlan) {
    this.#isClustered = clustered;
    this.postgres = new PostgresServer(postgres);
    this.nats = new NatsServer(nats);
  }

  /** Starts all of it; resolves when every router has its nodes. */
  static async start(plan: ClusterPlan): Promise<Cluster> {
    const cluster = new Cluster(plan);
    try {
      await Promise.all([cluster.postgres.start(), cluster.nats.start()]);
      await cluster.#prepare(plan);
      // One after the other: two cores are busy with each.
      for (const router of cluster.routers) await router.start();
      for (const router of cluster.routers) await cluster.#connect(router);
      for (const node of cluster.nodes) await node.start();
      await cluster.whenLinked();
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  async #prepare({ routers, nodes = 0, clients = [], plugins = [], pluginsOf, way }: ClusterPlan): Promise<void> {
    const { url: nats, credentials } = this.nats;
    const witness = await Witness.open(this.postgres);
    this.#witness = witness;
    const cluster = this.#isClustered ? { name: 'test', nats, ...(credentials && { credentials }) } : undefined;
    for (let i = 0; i < routers; i++) {
      const id = `central-${'abcdefgh'[i]}`;
      const port = await way?.(id, this.postgres.port);
      this.routers.push(
        new Router({ id, port: await freePort(), url: (process) => witness.url(process, port), cluster }),
      );
    }
    const [first] = this.routers;
    if (!first) throw new Error('a cluster has one router at least');
    first.settings.plugins?.push(...plugins);
    for (const router of this.routers) router.settings.plugins?.push(...(pluginsOf?.(router.id) ?? []));
    this.#identities.push(first.client('alice'), first.client('root', ['client', 'admin']));
    first.clients.push(...clients.map((one) => ({ ...one, roles: ['client'] })));
    for (const router of this.routers) {
      for (let i = 0; i < nodes; i++) {
        const others = this.#isClustered && KNOWS_OTHERS ? this.routers.filter((other) => other !== router) : [];
        const node = new PulledNode(`${router.id.replace('central', 'node')}${i + 1}`, router, others);
        this.nodes.push(node);
        first.clients.push({ identity: node.id, fingerprint: node.fingerprint, roles: ['node'] });
      }
    }
    for (const router of this.routers.slice(1)) router.clients.push(...first.clients);
  }

  /** A client of one router, and an operator there. */
  async #connect(router: Router): Promise<void> {
    const open = (who: Identity) => connect({ ...router.door(who), timeoutMs: CONNECT_MS });
    const [alice, root] = this.#identities as [Identity, Identity];
    this.#clients.set(router.id, await open(alice));
    this.#admins.set(router.id, await open(root));
  }

  /** What the database saw. */
  get witness(): Witness {
    if (!this.#witness) throw new Error('it is not started');
    return this.#witness;
  }

  router(id: string): Router {
    const found = this.routers.find((router) => router.id === id);
    if (!found) throw new Error(`there is no router ${id}`);
    return found;
  }

  /** The nodes that are linked to a router first. */
  nodesOf({ id }: Router): PulledNode[] {
    return this.nodes.filter((node) => node.id.startsWith(id.replace('central', 'node')));
  }

  client({ id }: Router): Client {
    return this.#clients.get(id) as Client;
  }

  admin({ id }: Router): Client {
    return this.#admins.get(id) as Client;
  }

  /** Resolves when every router that runs reaches every node; its own, where each is by itself. */
  async whenLinked(limitMs = 60_000): Promise<void> {
    const running = this.routers.filter((router) => router.running);
    await Promise.all(running.map((router) => this.#reachesAll(router, limitMs)));
  }

  async #reachesAll(router: Router, limitMs: number): Promise<void> {
    for (const { id } of this.#isClustered ? this.nodes : this.nodesOf(router)) {
      let why = '';
      const answers = async () => {
        why = await refusalOf(this.admin(router), id);
        return why === '';
      };
      await until(`${id} answers ${router.id}`, answers, limitMs).catch(async (error: Error) => {
        throw new Error(`${error.message}: ${why}\n${await this.story()}`);
      });
    }
  }

  /** Resolves once no token of a run is open. */
  async whenEnded(prefix: string): Promise<void> {
    let open = new Map<string, string>();
    const areNone = async () => {
      open = await this.witness.open(prefix);
      return open.size === 0;
    };
    await until('all tokens have ended', areNone, ALL_END_MS).catch(async (error: Error) => {
      throw new Error(`${error.message}; ${listed(open)}\n${await this.story()}`);
    });
  }

  /** What there is of the tokens that begin with `prefix`. Every router runs. */
  async evidence(history: History, prefix: string): Promise<Evidence> {
    const runs = new Map<string, number>();
    for (const { ledger } of [...this.routers, ...this.nodes]) {
      for (const token of ledger) if (token.startsWith(prefix)) runs.set(token, (runs.get(token) ?? 0) + 1);
    }
    const rows = await this.witness.rows(prefix);
    const before = (rows[0]?.id ?? 1) - 1;
    const told: Told[] = [];
    for (const router of this.routers) {
      const all = await this.admin(router).query({ id: before, limit: ALL_ROWS }, { timeoutMs: ALL_END_MS });
      const ids = new Set(rows.map(({ id }) => id));
      // Those that count for no request are told, too.
      told.push({ router: router.id, rows: all.filter(({ id, token }) => token.startsWith(prefix) && ids.has(id)) });
    }
    return { events: history.events, rows, runs, seen: await this.witness.seen(prefix), told };
  }

  /** Who took whose place, and the last that each router logged. */
  async story(lines = 40): Promise<string> {
    const fences = await this.witness.fences().catch((error: unknown) => [`no fences: ${reasonOf(error)}`]);
    const logs = this.routers.flatMap(({ id, stderr }) => [
      `${id} logged`,
      ...stderr
        .trim()
        .split('\n')
        .filter((line) => !line.includes('a session began'))
        .slice(-lines)
        .map((line) => `  ${line.slice(0, 500)}`),
    ]);
    return [...fences, ...logs].join('\n');
  }

  /** Starts a router again, as its supervisor does. */
  async restart(router: Router): Promise<void> {
    await router.start().catch(async (error: Error) => {
      throw new Error(`${router.id} does not start: ${error.message.slice(-300)}\n${await this.story()}`);
    });
  }

  /** Ends everything, and removes it. */
  async close(): Promise<void> {
    await Promise.all([...this.#clients.values(), ...this.#admins.values()].map((client) => client.close()));
    await Promise.all([...this.routers, ...this.nodes].map((member) => member.dispose()));
    await Promise.all([this.postgres.stop(), this.nats.stop()]);
  }
}

/** Tokens that are open, some of them. */
export function listed(open: ReadonlyMap<string, string>): string {
  const some = [...open].slice(0, 10).map(([token, where]) => `${token} at ${where}`);
  return `${open.size} open: ${some.join(', ')}`;
}

/** Why a node does not run what it is sent; '' if it does. */
async function refusalOf(client: Client, target: string): Promise<string> {
  try {
    const { ok, data } = await client.call('ECHO', {}, { target, timeoutMs: 5000 });
    return ok ? '' : JSON.stringify(data);
  } catch (error) {
    return reasonOf(error);
  }
}
