import { setTimeout as pause } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import {
  type ActionContext,
  type CodesOf,
  failure,
  type Instance,
  type Logger,
  reasonOf,
  type State,
  type TokenStore,
  type Transport,
} from '@centreond/plugin-sdk';
import { z } from 'zod';
import { Bulletin, type Changed, type CODES, type Taken } from './bulletin.ts';
import type { KindName, NodeKind } from './carried-node.ts';
import { Fleet } from './fleet.ts';
import { NodeId, type NodeSettings } from './node-fields.ts';
import { NODES_LIMIT } from './nodes-config.ts';
import { Roster } from './roster.ts';
import { instanceOf } from './share.ts';

/** How long the instance that carries a node may take to take up a change. */
const TAKE_LIMIT_MS = 10_000;
/** How long a new version waits for what is up by the old one to be up by it. */
const HANDOVER_MS = 3000;
const ANSWER_LIMIT_MS = 1000;

const Added = z.strictObject({
  id: z.string(),
  added: z.boolean().describe('false: it was there already, with the same settings'),
});
const Named = z.strictObject({ id: NodeId });
const Deleted = z.strictObject({ id: z.string(), deleted: z.boolean().describe('false: there was none') });
const Nodes = z.object({
  nodes: z.array(
    z.object({ id: z.string(), state: z.string(), kind: z.enum(['push', 'pull', 'ssh']).optional().catch(undefined) }),
  ),
});

/** What the action that adds a node declares, besides its name, its title and its `input`, which is the kind's schema. */
export const ADDS = {
  output: Added,
  access: 'admin',
  effects: 'write',
  idempotent: true,
  inFlight: 'requeue',
} as const;

/** What the action that deletes a node declares, besides its name and its title. */
export const DELETES = {
  input: Named,
  output: Deleted,
  access: 'admin',
  effects: 'destructive',
  idempotent: true,
  inFlight: 'requeue',
} as const;

export interface CarryingOptions<N extends NodeSettings> {
  readonly kind: NodeKind<N>;
  /** The nodes of the plugin's config. */
  readonly nodes: readonly N[];
  readonly state: State;
  readonly transport: Transport;
  /** Of a plugin that declares {@link CODES}. */
  readonly tokens: TokenStore<CodesOf<typeof CODES>>;
  readonly log: Logger;
  /** One of a pool: `@Plugin({ instances: { pool: … } })`. */
  readonly instance: Instance;
}

/** A change of a node, until the instance that carries it has taken it up. */
interface PendingChange {
  readonly id: string;
  readonly digest: string | null;
  taken(fault: string | null): void;
}

/**
 * A plugin that carries nodes of one kind, each by one instance of its pool: the nodes of its config, and those that are added at
 * run time and kept in its state. The plugin's `start`, `stop` and its two actions call the methods of the same meaning.
 */
export class Carrying<N extends NodeSettings> {
  readonly #options: CarryingOptions<N>;
  readonly #roster: Roster<N>;
  readonly #fleet: Fleet<N>;
  readonly #bulletin: Bulletin;
  readonly #pending = new Set<PendingChange>();
  #changing: Promise<unknown> = Promise.resolve();
  #routerId: Promise<string> | undefined;

  constructor(options: CarryingOptions<N>) {
    this.#options = options;
    const { kind, nodes, state, transport, tokens, log, instance } = options;
    this.#roster = new Roster({ kind, nodes, state, log: instance.id === '1' ? log : undefined });
    this.#fleet = new Fleet({ kind, transport, state, log });
    this.#bulletin = new Bulletin({
      state,
      tokens,
      log,
      instance,
      changed: (post) => this.#onChanged(post),
      taken: (post) => this.#onTaken(post),
    });
  }

  /** Carries the nodes of this instance. During a reload it resolves when those that are up are up by this version, or after 3 s. */
  async start(): Promise<void> {
    // First, so that nothing changes unheard after the roster was read.
    await this.#bulletin.open();
    await this.#exclusively(async () => {
      await this.#roster.read();
      if (this.#options.instance.id === '1') await this.#roster.publishIds();
      for (const node of this.#roster.all()) if (this.#isMine(node.id)) await this.#fleet.bringOrTell(node);
      this.#fleet.announce();
    });
    await this.#takeOver();
  }

  /** During a reload: what is up is to stay up, so its links are made before the version that has them ends. */
  async #takeOver(): Promise<void> {
    const there = await this.#nodesThere();
    for (const { id, kind } of there) {
      const { kind: own, log } = this.#options;
      if (kind === undefined || !own.clashesWith(kind) || !this.#roster.get(id) || !this.#isMine(id)) continue;
      log.warn(
        { id },
        `two nodes have the id ${id}, one of kind ${kind} and one of kind ${own.name}: a request may run on either of them, or on both. Give one of them another id`,
      );
    }
    await this.#fleet.whenUp(
      there.filter(({ state }) => state === 'up').map(({ id }) => id),
      HANDOVER_MS,
    );
  }

  /** What CONSTATUS shows now; nothing if it cannot be had. */
  async #nodesThere(): Promise<z.output<typeof Nodes>['nodes']> {
    const { transport, log } = this.#options;
    try {
      return Nodes.parse((await transport.send('CONSTATUS', {})).data).nodes;
    } catch (error) {
      log.debug({ err: error }, `which nodes there are is not known: ${reasonOf(error)}`);
      return [];
    }
  }

  /** Ends the links, within 3 s. */
  async stop(): Promise<void> {
    this.#bulletin.close();
    const none = new Set<string>();
    const outdated = this.#roster.outdated().catch((error: unknown) => {
      this.#options.log.debug({ err: error }, `the newer config is not known: ${reasonOf(error)}`);
      return none;
    });
    // A router that is gone answers no more, and the links are to be closed all the same.
    const gone = await Promise.race([outdated, pause(ANSWER_LIMIT_MS, none)]);
    await this.#fleet.close(gone);
  }

  /**
   * Carries a node from now on and over any restart; resolves once the node is carried, whether it answers or not. Rejects with
   * INVALID_DATA if there cannot be such a node, BUSY beyond 10,000, NOT_READY if its instance does not take it up.
   */
  async add(node: N, context: ActionContext): Promise<z.input<typeof Added>> {
    const { id } = node;
    const { add: action } = this.#options.kind.actions;
    const [routerId, elsewhere] = await Promise.all([this.#ownId(), this.#kindElsewhere(id)]);
    const added = await this.#exclusively(async () => {
      const fault = id === routerId ? `${id} is this router` : this.#conflict(node, elsewhere);
      if (fault !== undefined) throw failure('INVALID_DATA', { action, reason: fault });
      if (this.#roster.get(id)) return false;
      if (this.#roster.size >= NODES_LIMIT) throw failure('BUSY', { what: 'the list of nodes', limit: NODES_LIMIT });
      await this.#roster.keep(node);
      return true;
    });
    if (this.#roster.inConfig(id)) return { id, added };
    const fault = await this.#inEffect(id, this.#roster.digestOf(node), context);
    if (fault === null) return { id, added };
    await this.#exclusively(() => this.#roster.forget(id));
    await this.#inEffect(id, null, context);
    throw failure('INVALID_DATA', { action, reason: fault });
  }

  /** Stops carrying a node that was added; resolves once it is forgotten. Rejects with FORBIDDEN for one of the config. */
  async delete({ id }: z.output<typeof Named>, context: ActionContext): Promise<z.input<typeof Deleted>> {
    if (this.#roster.inConfig(id)) {
      if (this.#roster.isUnusable(id)) {
        await this.#exclusively(() => this.#roster.forget(id));
        return { id, deleted: true };
      }
      const { type } = this.#options.instance;
      const remedy = `It stands in the config of the plugin ${type}, under nodes: take it out there, then reload the plugin.`;
      throw failure('FORBIDDEN', { identity: context.identity, what: `delete the node ${id}`, remedy });
    }
    const deleted = await this.#exclusively(async () => {
      const known = this.#roster.get(id) !== undefined || this.#roster.isUnusable(id);
      await this.#roster.forget(id);
      return known;
    });
    await this.#inEffect(id, null, context);
    return { id, deleted };
  }

  /** The kind of a node of this id that is another executor and is not away for good; undefined if there is none. */
  async #kindElsewhere(id: string): Promise<KindName | undefined> {
    const there = (await this.#nodesThere()).find((one) => one.id === id && one.state !== 'unreachable');
    return there?.kind !== undefined && this.#options.kind.clashesWith(there.kind) ? there.kind : undefined;
  }

  /** Why there cannot be such a node beside those that there are. */
  #conflict(node: N, elsewhere: KindName | undefined): string | undefined {
    const { id } = node;
    const { kind, instance } = this.#options;
    const there = this.#roster.get(id);
    if (there && !isDeepStrictEqual(there, node)) {
      return this.#roster.inConfig(id)
        ? `the config has a node ${id} with other settings; change it there, then reload the plugin ${instance.type}`
        : `there is a node ${id} with other settings; ${kind.actions.delete} it first`;
    }
    if (!there && this.#roster.isUnusable(id)) {
      return `a node ${id} is kept that cannot be used, as the log says; ${kind.actions.delete} it first`;
    }
    if (!there && elsewhere !== undefined) {
      return `there is a node ${id} of kind ${elsewhere} already; delete that one first, or give this one another id`;
    }
    const door = kind.doorOf?.(node);
    if (door === undefined) return undefined;
    const other = this.#roster.all().find((one) => one.id !== id && kind.doorOf?.(one) === door);
    return other && `its address is that of the node ${other.id}`;
  }

  #ownId(): Promise<string> {
    this.#routerId ??= this.#options.transport.send('PING', {}).then(({ data }) => String(data.id));
    this.#routerId.catch(() => {
      this.#routerId = undefined;
    });
    return this.#routerId;
  }

  #isMine(id: string): boolean {
    const { instance } = this.#options;
    return instanceOf(id, instance.of) === instance.id;
  }

  // ---- between the instances --------------------------------------------------------------------------------------

  /** Has a change taken up by the instance that carries the node. Resolves with what is wrong with its settings, or null. */
  async #inEffect(id: string, digest: string | null, { identity: by, signal }: ActionContext): Promise<string | null> {
    const { promise, resolve, reject } = Promise.withResolvers<string | null>();
    // It may be rejected before anybody awaits it.
    promise.catch(() => undefined);
    const { instance } = this.#options;
    const type = `${instance.type}/${instanceOf(id, instance.of)}`;
    const reason = `it has not taken up the change of ${id} within ${TAKE_LIMIT_MS / 1000} s; the change is kept, and it takes it up when it is back`;
    const late = () => reject(failure('NOT_READY', { type, state: 'silent', reason }));
    const timer = setTimeout(late, TAKE_LIMIT_MS);
    const onAbort = () => reject(signal.reason);
    const change: PendingChange = { id, digest, taken: resolve };
    this.#pending.add(change);
    try {
      signal.throwIfAborted();
      signal.addEventListener('abort', onAbort, { once: true });
      await this.#bulletin.tellChanged({ id, by });
      return await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      this.#pending.delete(change);
    }
  }

  #onTaken({ id, digest, fault }: Taken): void {
    for (const change of this.#pending) {
      if (change.id === id && change.digest === digest) change.taken(fault);
    }
  }

  #onChanged({ id }: Changed): void {
    this.#exclusively(() => this.#takeUp(id)).catch((error: unknown) => {
      this.#options.log.error(
        { err: error, node: id },
        `a change of the node ${id} was not taken up: ${reasonOf(error)}`,
      );
    });
  }

  async #takeUp(id: string): Promise<void> {
    await this.#roster.refresh(id);
    if (!this.#isMine(id)) return;
    const node = this.#roster.get(id);
    let fault: string | undefined;
    if (node) {
      fault = await this.#fleet.bringOrTell(node);
      this.#fleet.announce();
    } else await this.#fleet.drop(id);
    const digest = node ? this.#roster.digestOf(node) : null;
    await this.#bulletin.tellTaken({ id, instance: this.#options.instance.id, digest, fault: fault ?? null });
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#changing.then(work);
    this.#changing = result.catch(() => undefined);
    return result;
  }
}
